package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"
)

const procRenew = "/evenkeel.agent.v1/Renew"

type (
	// renewRequest asks a member with the CA's key for another certificate. Whom
	// that speaks for, the certificate of the connection says.
	renewRequest struct {
		CSR       []byte   `json:"csr"`       // PKCS #10 in DER
		Addresses []string `json:"addresses"` // IP addresses and names
	}
	renewResponse struct {
		Certificate []byte `json:"certificate"` // PEM
	}
)

// Bounds of a renewal.
const (
	maxRenewAddresses = 32
	maxSigners        = 16 // members that are asked
)

// renew signs a certificate for a new key of the member that asks, under its
// id, kind and name as they are. Nothing of that is taken from the request.
func (s *Server) renew(ctx context.Context, req *renewRequest) (*renewResponse, error) {
	id := caller(ctx)
	switch {
	case !isMember(id):
		return nil, connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s is no member: an operator gets another certificate from who has the CA, by `evenkeel certs operator`", id.Name))
	case len(req.Addresses) > maxRenewAddresses:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d addresses, at most %d", len(req.Addresses), maxRenewAddresses))
	case s.cfg.Authority == nil || !s.cfg.Authority.Has():
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("this member has no CA key"))
	}
	cert, err := s.cfg.Authority.Issue(req.CSR, id, req.Addresses)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	s.log.Info("certificate renewed", "for", id.Name, "member", id.MemberID, "kind", id.Kind)
	return &renewResponse{cert}, nil
}

// Renew has a certificate signed for another key of who speaks, by the first
// member that can: it asks those at the addresses, and the voters that they
// name.
func (c *Client) Renew(ctx context.Context, csr []byte, addresses, at []string) ([]byte, error) {
	var refused []error
	for i := 0; i < len(at) && i < maxSigners; i++ {
		out, err := call[renewRequest, renewResponse](ctx, c, at[i], procRenew, &renewRequest{csr, addresses})
		if err == nil {
			return out.Certificate, nil
		}
		refused = append(refused, err)
		if ctx.Err() != nil {
			break
		}
		if info, err := c.Peer(ctx, at[i]); err == nil {
			for _, v := range info.Voters {
				if !slices.Contains(at, v.Address) {
					at = append(at[:len(at):len(at)], v.Address)
				}
			}
		}
	}
	return nil, fmt.Errorf("no member signed a certificate; where ca.key is kept offline, issue it there with `evenkeel certs host --id`: %w", errors.Join(refused...))
}
