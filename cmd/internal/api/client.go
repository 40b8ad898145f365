package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Target says where evenkeeld is: a unix socket, or an address and the files
// of an operator's certificate.
type Target struct {
	Socket string

	Addr                          string // host:port; "" for the socket
	CACert, ClientCert, ClientKey string
}

// Client calls one evenkeeld.
type Client struct {
	target Target
	http   *http.Client
	base   string
}

// Dial makes a client; it connects when it is first used.
func Dial(t Target) (*Client, error) {
	if t.Addr == "" {
		transport := &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", t.Socket)
			},
			DisableCompression: true,
		}
		return &Client{t, &http.Client{Transport: transport}, "http://evenkeel"}, nil
	}
	material, err := certs.LoadTLS(t.CACert, t.ClientCert, t.ClientKey)
	if err != nil {
		return nil, err
	}
	transport := &http2.Transport{
		DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			cfg := certs.Expect(material.ClientConfig("h2"), certs.Peer{Kinds: []cluster.Kind{cluster.KindAgent, cluster.KindWitness}})
			return dialTLS(ctx, network, addr, cfg)
		},
		DisableCompression: true,
	}
	return &Client{t, &http.Client{Transport: transport}, "https://" + t.Addr}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Where names the target in messages.
func (c *Client) Where() string {
	if c.target.Addr != "" {
		return c.target.Addr
	}
	return c.target.Socket
}

// Status asks how the cluster is.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return call[Empty, Status](ctx, c, "Status", &Empty{})
}

// Hosts lists the hypervisors.
func (c *Client) Hosts(ctx context.Context) (*HostList, error) {
	return call[Empty, HostList](ctx, c, "Hosts", &Empty{})
}

// VMs lists the VMs with their live counters.
func (c *Client) VMs(ctx context.Context) (*VMList, error) {
	return call[Empty, VMList](ctx, c, "VMs", &Empty{})
}

// Moves lists moves, newest first.
func (c *Client) Moves(ctx context.Context, req HistoryRequest) (*MoveList, error) {
	return call[HistoryRequest, MoveList](ctx, c, "Moves", &req)
}

// Decisions lists decisions, newest first.
func (c *Client) Decisions(ctx context.Context, req HistoryRequest) (*DecisionList, error) {
	return call[HistoryRequest, DecisionList](ctx, c, "Decisions", &req)
}

// Plan asks what the leader would do now.
func (c *Client) Plan(ctx context.Context, req PlanRequest) (*Plan, error) {
	return call[PlanRequest, Plan](ctx, c, "Plan", &req)
}

// Explain asks why something was decided, or why nothing was.
func (c *Client) Explain(ctx context.Context, subject string) (*Explanation, error) {
	return call[ExplainRequest, Explanation](ctx, c, "Explain", &ExplainRequest{subject})
}

// Settings shows the shared policy.
func (c *Client) Settings(ctx context.Context) (*Settings, error) {
	return call[Empty, Settings](ctx, c, "GetSettings", &Empty{})
}

// Peers asks every member what it knows of itself.
func (c *Client) Peers(ctx context.Context) (*PeerList, error) {
	return call[Empty, PeerList](ctx, c, "Peers", &Empty{})
}

// Peer asks this member alone.
func (c *Client) Peer(ctx context.Context) (*PeerAnswer, error) {
	return call[Empty, PeerAnswer](ctx, c, "Peer", &Empty{})
}

// Version asks for the daemon's version.
func (c *Client) Version(ctx context.Context) (*ServerVersion, error) {
	return call[Empty, ServerVersion](ctx, c, "Version", &Empty{})
}

// SetMode changes what automation may do.
func (c *Client) SetMode(ctx context.Context, req ModeRequest) (*Change, error) {
	return call[ModeRequest, Change](ctx, c, "SetMode", &req)
}

// Pause stops automation for a while.
func (c *Client) Pause(ctx context.Context, req PauseRequest) (*Change, error) {
	return call[PauseRequest, Change](ctx, c, "Pause", &req)
}

// Resume lifts a pause and a freeze.
func (c *Client) Resume(ctx context.Context, req ResumeRequest) (*Change, error) {
	return call[ResumeRequest, Change](ctx, c, "Resume", &req)
}

// Cancel takes an order back, or aborts its migration.
func (c *Client) Cancel(ctx context.Context, req CancelRequest) (*Change, error) {
	return call[CancelRequest, Change](ctx, c, "Cancel", &req)
}

// Resolve says where a VM runs after a move of unknown outcome.
func (c *Client) Resolve(ctx context.Context, req ResolveRequest) (*Change, error) {
	return call[ResolveRequest, Change](ctx, c, "Resolve", &req)
}

// SetSettings changes the shared policy.
func (c *Client) SetSettings(ctx context.Context, req SettingsRequest) (*Change, error) {
	return call[SettingsRequest, Change](ctx, c, "SetSettings", &req)
}

// AddMember lets a host join.
func (c *Client) AddMember(ctx context.Context, req AddMemberRequest) (*Change, error) {
	return call[AddMemberRequest, Change](ctx, c, "AddMember", &req)
}

// RemoveMember takes a member out of the cluster.
func (c *Client) RemoveMember(ctx context.Context, req RemoveMemberRequest) (*Change, error) {
	return call[RemoveMemberRequest, Change](ctx, c, "RemoveMember", &req)
}

// TransferLeader hands leadership over.
func (c *Client) TransferLeader(ctx context.Context, req TransferLeaderRequest) (*Change, error) {
	return call[TransferLeaderRequest, Change](ctx, c, "TransferLeader", &req)
}

// Finalize raises the feature level after an upgrade.
func (c *Client) Finalize(ctx context.Context, req FinalizeRequest) (*Change, error) {
	return call[FinalizeRequest, Change](ctx, c, "Finalize", &req)
}

// TakeLock takes the cluster's lock.
func (c *Client) TakeLock(ctx context.Context, req LockRequest) (*Change, error) {
	return call[LockRequest, Change](ctx, c, "TakeLock", &req)
}

// GiveLock gives the cluster's lock back.
func (c *Client) GiveLock(ctx context.Context, req UnlockRequest) (*Change, error) {
	return call[UnlockRequest, Change](ctx, c, "GiveLock", &req)
}

func call[Req, Resp any](ctx context.Context, c *Client, method string, req *Req) (*Resp, error) {
	client := connect.NewClient[Req, Resp](c.http, c.base+procedure(method), clientOptions()...)
	resp, err := client.CallUnary(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return resp.Msg, nil
}

// explain makes an [Error] of what went wrong.
func (c *Client) explain(ctx context.Context, err error) error {
	var wire *connect.Error
	if errors.As(err, &wire) && connect.IsWireError(err) {
		return &Error{causeOf(wire.Code()), wire.Message(), cluster.Code(wire.Meta().Get(headerRefusal)), err}
	}
	var handshake *HandshakeError
	switch {
	case ctx.Err() != nil:
		return &Error{CauseUnreachable, fmt.Sprintf("%s: no answer in time", c.Where()), "", err}
	case errors.Is(err, fs.ErrPermission):
		return &Error{CauseForbidden, c.Where() + ": not allowed to open the socket; be root or in the group evenkeel", "", err}
	case errors.As(err, &handshake) && handshake.Refused():
		return &Error{CauseForbidden, handshake.Error() + "; check that --client-cert is an operator's of this cluster and --cacert its CA", "", err}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &Error{CauseUnreachable, c.Where() + ": no evenkeeld answers there; is it running (systemctl status evenkeeld), and is that the right place (--socket, --addr)?", "", err}
	}
	return &Error{CauseUnreachable, fmt.Sprintf("%s: %s", c.Where(), message(err)), "", err}
}

// Cause is why a call failed, as far as a caller would act differently.
type Cause int

// The causes.
const (
	CauseFailed      Cause = iota // it was tried and did not work
	CauseUsage                    // the request makes no sense
	CauseNotFound                 // it names what is not there
	CauseBlocked                  // refused as things are; Code says why
	CauseUnreachable              // nobody answers, or there is no leader
	CauseForbidden                // not allowed
	CauseUnknown                  // it may or may not have been done
)

// Error is a call that failed.
type Error struct {
	Cause Cause
	Text  string
	Code  cluster.Code // of a refusal, else ""
	err   error
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the transport's error.
func (e *Error) Unwrap() error { return e.err }

func causeOf(code connect.Code) Cause {
	switch code {
	case connect.CodeInvalidArgument:
		return CauseUsage
	case connect.CodeNotFound:
		return CauseNotFound
	case connect.CodeFailedPrecondition:
		return CauseBlocked
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeCanceled:
		return CauseUnreachable
	case connect.CodePermissionDenied, connect.CodeUnauthenticated:
		return CauseForbidden
	case connect.CodeAborted:
		return CauseUnknown
	}
	return CauseFailed
}

// DefaultSocket is where evenkeeld has its socket if agent.yaml says nothing.
const DefaultSocket = "/run/evenkeel/agent.sock"

// SocketThere says whether a socket exists at the path.
func SocketThere(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

// DefaultTimeout bounds a request if the caller says nothing: longer than the
// server takes to give up, so that its explanation arrives.
const DefaultTimeout = 15 * time.Second
