package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const (
	procSign  = "/evenkeel.agent.v1/Sign"
	procCAKey = "/evenkeel.agent.v1/CAKey"
)

type (
	// signRequest asks a member with the CA's key for the certificate of a host
	// that has spent its token.
	signRequest struct {
		Index     uint64   `json:"index"` // of the command by which it was spent
		Token     string   `json:"token"` // id
		CSR       []byte   `json:"csr"`
		Addresses []string `json:"addresses"`
	}
	signResponse struct {
		Certificate []byte `json:"certificate"` // PEM
	}

	// caKeyRequest asks for the CA's key, or only whether the member has it.
	caKeyRequest struct {
		Only bool `json:"only,omitempty"`
	}
	caKeyResponse struct {
		Has bool   `json:"has"`
		Key []byte `json:"key,omitempty"` // PEM
	}
)

type signFunc func(context.Context, *signRequest) ([]byte, error)

// signer finds who can sign: this member, or a voter that has the CA's key.
func (s *Server) signer(ctx context.Context, node *consensus.Node) (signFunc, error) {
	if s.cfg.Authority == nil {
		return nil, errors.New("this member issues no certificates")
	}
	if s.cfg.Authority.Has() {
		return func(ctx context.Context, req *signRequest) ([]byte, error) { return s.certify(ctx, node, req) }, nil
	}
	var without []string
	for _, v := range s.others(node) {
		out, err := call[caKeyRequest, caKeyResponse](ctx, s.client, v.Address, procCAKey, &caKeyRequest{Only: true})
		if err == nil && out.Has {
			return func(ctx context.Context, req *signRequest) ([]byte, error) {
				out, err := call[signRequest, signResponse](ctx, s.client, v.Address, procSign, req)
				if err != nil {
					return nil, err
				}
				return out.Certificate, nil
			}, nil
		}
		without = append(without, v.Address)
	}
	return nil, fmt.Errorf("neither this member nor another voter that answers (%s) has the CA's key: copy ca.key and ca.pem into the folder ca of the leader's state directory, or make the host's certificate where the key is, with `evenkeel certs host`", strings.Join(without, ", "))
}

// CanSign says why no host can join through this leader, or nil.
func (s *Server) CanSign(ctx context.Context) error {
	node, err := s.ready()
	if err != nil {
		return err
	}
	_, err = s.signer(ctx, node)
	return err
}

// others are the voters beside this member.
func (s *Server) others(node *consensus.Node) []consensus.Voter {
	return slices.DeleteFunc(node.Health().Voters, func(v consensus.Voter) bool { return v.Member == s.cfg.Identity.MemberID })
}

// certify issues a certificate for the key that spent a token: the State, not
// the caller, says so.
func (s *Server) certify(ctx context.Context, node *consensus.Node, req *signRequest) ([]byte, error) {
	if err := node.AwaitIndex(ctx, req.Index); err != nil {
		return nil, err
	}
	member, err := s.cfg.Authority.Applicant(req.CSR)
	if err != nil {
		return nil, err
	}
	state, _ := node.State()
	t, ok := state.Token(req.Token)
	if !ok || t.UsedBy != member {
		return nil, fmt.Errorf("token %.20q was not used by member %s", req.Token, member)
	}
	if err := state.Spendable(t.ID, member, state.Now); err != nil {
		return nil, err
	}
	id := cluster.Identity{ClusterID: s.cfg.Identity.ClusterID, Kind: cluster.KindAgent, MemberID: member, Name: t.Name}
	if t.Role == cluster.RoleWitness {
		id.Kind = cluster.KindWitness
	}
	return s.cfg.Authority.Issue(req.CSR, id, req.Addresses)
}

// mayHaveKey says whether the caller is a voter: only those sign, and hold the
// CA's key.
func (s *Server) mayHaveKey(ctx context.Context) (*consensus.Node, error) {
	node, err := s.ready()
	if err != nil {
		return nil, err
	}
	id := caller(ctx)
	if !isMember(id) || s.cfg.Authority == nil || !slices.ContainsFunc(node.Health().Voters, func(v consensus.Voter) bool { return v.Member == id.MemberID }) {
		return nil, connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s is no voter", id.Name))
	}
	return node, nil
}

func (s *Server) sign(ctx context.Context, req *signRequest) (*signResponse, error) {
	node, err := s.mayHaveKey(ctx)
	if err != nil {
		return nil, err
	}
	cert, err := s.certify(ctx, node, req)
	if err != nil {
		return nil, connect.NewError(connect.CodePermissionDenied, err)
	}
	s.log.Info("certificate issued", "token", req.Token, "for", caller(ctx).Name)
	return &signResponse{cert}, nil
}

func (s *Server) caKey(ctx context.Context, req *caKeyRequest) (*caKeyResponse, error) {
	if _, err := s.mayHaveKey(ctx); err != nil {
		return nil, err
	}
	out := &caKeyResponse{Has: s.cfg.Authority.Has()}
	if req.Only || !out.Has {
		return out, nil
	}
	key, err := s.cfg.Authority.Key()
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	s.log.Info("the CA's key was handed to another voter", "voter", caller(ctx).Name)
	out.Key = key
	return out, nil
}

// followAuthority asks the other voters for the CA's key while this member
// votes and has none, so that hosts can join after the loss of whoever has it.
func (s *Server) followAuthority(node *consensus.Node) {
	if s.cfg.Authority == nil {
		return
	}
	for sleep(s.ctx, s.cfg.Limits.KeyPause) {
		h := node.Health()
		votes := slices.ContainsFunc(h.Voters, func(v consensus.Voter) bool { return v.Member == s.cfg.Identity.MemberID })
		if !votes || h.Part == "agent" || s.cfg.Authority.Has() {
			continue
		}
		for _, v := range s.others(node) {
			if err := s.fetchKey(v); err == nil {
				s.log.Info("this member has the CA's key now: hosts can join through it", "from", v.Address)
				break
			}
		}
	}
}

var errNoKey = errors.New("it has no CA key")

func (s *Server) fetchKey(v consensus.Voter) error {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	out, err := call[caKeyRequest, caKeyResponse](ctx, s.client, v.Address, procCAKey, &caKeyRequest{})
	switch {
	case err != nil:
		return err
	case !out.Has:
		return errNoKey
	}
	if err := s.cfg.Authority.Adopt(out.Key); err != nil {
		s.log.Warn("the CA's key that a voter handed over was not kept", "from", v.Address, "err", err)
		return err
	}
	return nil
}
