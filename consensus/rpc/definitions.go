package rpc

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus/definitions"
)

// A host brings the definitions of its VMs to a voter: the list of what it has,
// then those that the voter asks for.
const (
	procListDefinitions = "/evenkeel.agent.v1/ListDefinitions"
	procKeepDefinitions = "/evenkeel.agent.v1/KeepDefinitions"
)

type (
	listDefinitionsRequest struct {
		VMs []definitions.Mark `json:"vms"`
	}
	listDefinitionsResponse struct {
		Wanted []string `json:"wanted"` // UUIDs
	}
	keepDefinitionsRequest struct {
		Definitions []definitions.Definition `json:"definitions"`
	}
	keepDefinitionsResponse struct{}
)

// sentAtOnce bounds the compressed definitions of one call, in bytes: in base64
// they stay within maxUp.
const sentAtOnce = 512 << 10

// keeper is the store, if the caller may bring something: a host tells of
// itself alone, as whom its certificate names it.
func (s *Server) keeper(ctx context.Context) (*definitions.Store, error) {
	switch {
	case !isMember(caller(ctx)):
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("only hosts tell how their VMs are defined"))
	case s.cfg.Definitions == nil:
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this member keeps no definitions"))
	}
	return s.cfg.Definitions, nil
}

func (s *Server) listDefinitions(ctx context.Context, req *listDefinitionsRequest) (*listDefinitionsResponse, error) {
	store, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	id := caller(ctx)
	wanted, err := store.List(id.MemberID, id.Name, req.VMs)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return &listDefinitionsResponse{wanted}, nil
}

func (s *Server) keepDefinitions(ctx context.Context, req *keepDefinitionsRequest) (*keepDefinitionsResponse, error) {
	store, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	if err := store.Keep(caller(ctx).MemberID, req.Definitions); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return &keepDefinitionsResponse{}, nil
}

// Deposit tells the voter at an address how this host's VMs are defined, all of
// them. It sends what the voter does not have yet, and says how much that was.
func (c *Client) Deposit(ctx context.Context, addr string, all []definitions.Definition) (sent int, err error) {
	list := &listDefinitionsRequest{VMs: make([]definitions.Mark, len(all))}
	by := make(map[string]definitions.Definition, len(all))
	for i, d := range all {
		list.VMs[i], by[d.VM] = d.Mark, d
	}
	answer, err := call[listDefinitionsRequest, listDefinitionsResponse](ctx, c, addr, procListDefinitions, list)
	if err != nil {
		return 0, err
	}
	var part keepDefinitionsRequest
	bytes := 0
	flush := func() error {
		if len(part.Definitions) == 0 {
			return nil
		}
		_, err := call[keepDefinitionsRequest, keepDefinitionsResponse](ctx, c, addr, procKeepDefinitions, &part)
		sent, part.Definitions, bytes = sent+len(part.Definitions), nil, 0
		return err
	}
	for _, vm := range answer.Wanted {
		d, ok := by[vm]
		if !ok {
			continue
		}
		if bytes+len(d.XML) > sentAtOnce {
			if err := flush(); err != nil {
				return sent, err
			}
		}
		part.Definitions, bytes = append(part.Definitions, d), bytes+len(d.XML)
	}
	return sent, flush()
}
