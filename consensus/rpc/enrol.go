package rpc

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Authority issues certificates for hosts that join; cmd/internal/certs has
// one.
type Authority interface {
	// Has says whether this member has the CA's key.
	Has() bool
	// Applicant is the member id of who signed a certificate request.
	Applicant(csr []byte) (member string, err error)
	// Issue signs a certificate, in PEM, for the key in the request.
	Issue(csr []byte, id cluster.Identity, addresses []string) (cert []byte, err error)
	// Key is the CA's key, for another voter; Adopt keeps it.
	Key() ([]byte, error)
	Adopt(key []byte) error
}

// ProtocolJoin is spoken by hosts that have no certificate yet. One call is all
// that they can make.
const ProtocolJoin = "ek-join/1"

const procEnrol = "/evenkeel.join.v1/Enrol"

// The messages of a host that joins.
type (
	// EnrolRequest is what a host shows.
	EnrolRequest struct {
		Cluster   string       `json:"cluster"`
		Secret    []byte       `json:"secret"` // of its token
		Name      string       `json:"name"`
		Role      cluster.Role `json:"role"`
		CSR       []byte       `json:"csr"`       // PKCS #10 in DER
		Addresses []string     `json:"addresses"` // IP addresses and names for its certificate
	}
	// Enrolment is what it gets.
	Enrolment struct {
		Member      string   `json:"member"`
		Certificate []byte   `json:"certificate"` // PEM
		CA          []byte   `json:"ca"`          // PEM
		Peers       []string `json:"peers"`       // host:port of members
	}
)

// Bounds of a host's call.
const (
	maxEnrol      = 16 << 10 // bytes
	enrolTime     = 30 * time.Second
	maxEnrolments = 8 // connections at once
	maxAddresses  = 8
)

// helloConfig picks the TLS configuration by the language that is asked for:
// only who wants nothing but to join needs no certificate.
func (s *Server) helloConfig() *tls.Config {
	cfg := s.cfg.ServerTLS(ProtocolRaft, ProtocolAgent)
	if s.cfg.JoinTLS == nil || s.cfg.Authority == nil {
		return cfg
	}
	cfg = cfg.Clone()
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Equal(hello.SupportedProtos, []string{ProtocolJoin}) {
			return s.cfg.JoinTLS(ProtocolJoin), nil
		}
		return nil, nil
	}
	return cfg
}

// serveJoin answers a host that has no certificate, within a short time.
func (s *Server) serveJoin(conn net.Conn) error {
	if !s.joining.enter(conn.RemoteAddr().String(), conn) {
		return errors.New("too many hosts want to join at once")
	}
	defer s.joining.leave(conn.RemoteAddr().String(), conn)
	if err := conn.SetDeadline(time.Now().Add(enrolTime)); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(procEnrol, connect.NewUnaryHandlerSimple(procEnrol, s.enrol,
		connect.WithCodec(JSON{Strict: true}), connect.WithCompression("gzip", nil, nil), connect.WithReadMaxBytes(maxEnrol), connect.WithSendMaxBytes(maxUp)))
	s.http2.ServeConn(conn, &http2.ServeConnOpts{Context: s.ctx, Handler: mux, BaseConfig: &http.Server{MaxHeaderBytes: 16 << 10}})
	return nil
}

// enrol lets a host join that shows a good token. Only the leader does: the
// token is spent by a command of its own.
func (s *Server) enrol(ctx context.Context, req *EnrolRequest) (*Enrolment, error) {
	node, err := s.ready()
	if err != nil {
		return nil, err
	}
	if req.Cluster != s.cfg.Identity.ClusterID {
		return nil, connect.NewError(connect.CodePermissionDenied, fmt.Errorf("the token is for cluster %.40q, this is %s", req.Cluster, s.cfg.Identity.ClusterID))
	}
	if len(req.Addresses) > maxAddresses {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d addresses, at most %d", len(req.Addresses), maxAddresses))
	}
	if _, err := node.ReadIndex(ctx); err != nil {
		return nil, answer(node, err)
	}
	token, member, err := s.judge(node, req)
	if err != nil {
		s.log.Warn("a host was not let in", "name", fmt.Sprintf("%.64q", req.Name), "err", err)
		return nil, connect.NewError(connect.CodePermissionDenied, err)
	}
	sign, err := s.signer(ctx, node)
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	self := cluster.Actor{Kind: s.cfg.Identity.Kind, ID: s.cfg.Identity.MemberID, Name: s.cfg.Identity.Name}
	index, err := node.Propose(ctx, cluster.Command{ID: "use " + token.ID + " " + member, Actor: self, Body: cluster.UseToken{Token: token.ID, Member: member}})
	if refusal := cluster.RefusalOf(err); refusal != nil {
		return nil, connect.NewError(connect.CodePermissionDenied, refusal)
	}
	if err != nil {
		return nil, answer(node, err)
	}
	cert, err := sign(ctx, &signRequest{Index: index, Token: token.ID, CSR: req.CSR, Addresses: req.Addresses})
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("sign the certificate: %w; join again with the same token", err))
	}
	ca, err := s.cfg.CA()
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	s.log.Info("a host has joined", "name", token.Name, "role", token.Role, "member", member, "token", token.ID)
	return &Enrolment{Member: member, Certificate: cert, CA: ca, Peers: node.Meet()}, nil
}

// judge holds a request against the State.
func (s *Server) judge(node *consensus.Node, req *EnrolRequest) (t cluster.Token, member string, err error) {
	if member, err = s.cfg.Authority.Applicant(req.CSR); err != nil {
		return t, "", err
	}
	state, _ := node.State()
	hash := HashSecret(req.Secret)
	t, known := state.Token(cluster.TokenID(hash))
	if !known || subtle.ConstantTimeCompare([]byte(t.Hash), []byte(hash)) != 1 {
		return t, "", state.Spendable("", member, state.Now)
	}
	switch {
	case t.Name != req.Name:
		return t, "", fmt.Errorf("token %s is for host %s, this host calls itself %.80q", t.ID, t.Name, req.Name)
	case t.Role != req.Role:
		return t, "", fmt.Errorf("token %s is for a %s, this host wants to be a %.20q", t.ID, t.Role, req.Role)
	}
	return t, member, state.Spendable(t.ID, member, cluster.TimeOf(time.Now()))
}
