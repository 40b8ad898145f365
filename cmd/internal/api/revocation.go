package api

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// RevokeCertificateRequest has an operator's certificate refused.
type RevokeCertificateRequest struct {
	Act
	Operator string `json:"operator"`  // the id in the certificate's URI
	Name     string `json:"name"`      // for people
	NotAfter Time   `json:"not_after"` // the certificate's end
}

func (s *Server) revokeCertificate(_ context.Context, v view, req *RevokeCertificateRequest) (order, error) {
	if req.Operator == v.who.actor.ID {
		return order{}, invalid("that is your own certificate; let another operator revoke it, or do it at a host's socket")
	}
	until := cluster.TimeOf(req.NotAfter.Time)
	text := fmt.Sprintf("the certificate of %s (%s) is refused from now on", req.Name, req.Operator)
	if until <= v.now {
		text = fmt.Sprintf("the certificate of %s (%s) ended %s: it was refused already", req.Name, req.Operator, req.NotAfter.Time.UTC().Format(time.RFC3339))
	}
	return order{body: cluster.RevokeCertificate{ID: req.Operator, Name: req.Name, Until: until, Text: req.Reason}, text: text}, nil
}

// RevokeCertificate has an operator's certificate refused.
func (c *Client) RevokeCertificate(ctx context.Context, req RevokeCertificateRequest) (*Change, error) {
	return call[RevokeCertificateRequest, Change](ctx, c, "RevokeCertificate", &req)
}
