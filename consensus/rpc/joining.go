package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
)

// Enrol asks the cluster that a token names to let this host in. config makes
// the TLS configuration, which knows the cluster's CA by its fingerprint. It
// tries the token's addresses, and where they point. While a member answers
// that there is no leader, it tries again until ctx ends.
func Enrol(ctx context.Context, addresses []string, config func(protocol string) *tls.Config, req EnrolRequest) (*Enrolment, error) {
	for {
		out, again, err := enrolOnce(ctx, addresses, config, &req)
		if err == nil || !again || !sleep(ctx, enrolPause) {
			return out, err
		}
	}
}

const enrolPause = 500 * time.Millisecond

// enrolOnce asks each address once; again says that another round may do.
func enrolOnce(ctx context.Context, addresses []string, config func(protocol string) *tls.Config, req *EnrolRequest) (out *Enrolment, again bool, err error) {
	queue := slices.Clone(addresses)
	var errs []error
	for hops := 0; len(queue) > 0 && hops < 2*maxTokenAddrs && ctx.Err() == nil; hops++ {
		addr := queue[0]
		queue = queue[1:]
		out, err := enrolAt(ctx, addr, config(ProtocolJoin), req)
		if err == nil {
			return out, false, nil
		}
		err = &joinError{addr, err}
		to, redirected := leaderIn(err)
		switch code := connect.CodeOf(err); {
		case redirected:
			queue = append([]string{to}, queue...)
		case code == connect.CodePermissionDenied, code == connect.CodeInvalidArgument, code == connect.CodeFailedPrecondition:
			return nil, false, err
		default:
			again = again || connect.IsWireError(err)
			errs = append(errs, err)
		}
	}
	return nil, again, errors.Join(append(errs, ctx.Err())...)
}

// joinError is what a member answered a host, without the wire's words.
type joinError struct {
	addr string
	err  error
}

func (e *joinError) Error() string {
	var c *connect.Error
	if errors.As(e.err, &c) {
		return e.addr + ": " + c.Message()
	}
	return e.addr + ": " + e.err.Error()
}

func (e *joinError) Unwrap() error { return e.err }

func enrolAt(ctx context.Context, addr string, cfg *tls.Config, req *EnrolRequest) (*Enrolment, error) {
	ctx, cancel := context.WithTimeout(ctx, enrolTime/2)
	defer cancel()
	t := &http2.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			conn := tls.Client(raw, cfg)
			if err := conn.HandshakeContext(ctx); err != nil {
				raw.Close()
				return nil, err
			}
			return conn, nil
		},
		DisableCompression: true, MaxHeaderListSize: 16 << 10, WriteByteTimeout: 10 * time.Second,
	}
	defer t.CloseIdleConnections()
	out, err := connect.NewClient[EnrolRequest, Enrolment](&http.Client{Transport: t}, "https://"+addr+procEnrol, clientOptions()...).CallUnary(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return out.Msg, nil
}
