package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// unknownEnd is for how long an operator's certificate of which only the id is
// known may still be valid: longer than `evenkeel certs operator` makes one.
const unknownEnd = 10 * 366 * day

func (a *app) certsRevoke() *cobra.Command {
	var req api.RevokeCertificateRequest
	var id string
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke FILE|--id ID",
		Short: "Have an operator's certificate refused from now on",
		Long: `Has an operator's certificate refused by every member, from its next request on,
until its own end. It takes an admin. The file is the certificate; its key is not
needed. Of a lost one the id is in each audit line of its operator. A member's
certificate is revoked by ` + "`evenkeel cluster remove`" + `.`,
		Example: `  evenkeel certs revoke bob/operator.pem --reason 'laptop in the train'
  evenkeel certs revoke --id 5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 == (id != "") {
				return errors.New("name the certificate's FILE, or its --id")
			}
			return nil
		},
	}
	actFlags(cmd, &req.Act)
	yesFlag(cmd, &yes)
	cmd.Flags().StringVar(&id, "id", "", "the `ID` in the certificate, if the file is not at hand")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.ID = requestID()
		if err := revoked(&req, args, id); err != nil {
			return err
		}
		if !req.DryRun {
			if err := a.consent(yes, fmt.Sprintf("Refuse the certificate of %s (%s) from now on?", req.Name, req.Operator)); err != nil {
				return err
			}
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.RevokeCertificate(ctx, req) })
	})
	return cmd
}

// revoked reads whose certificate is meant.
func revoked(req *api.RevokeCertificateRequest, args []string, id string) error {
	if len(args) == 0 {
		if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
			return usage{fmt.Errorf("--id %.60q is no UUID", id)}
		}
		req.Operator, req.Name, req.NotAfter = id, "an operator", api.Time{Time: time.Now().Add(unknownEnd)}
		return nil
	}
	c, err := readCertificate(args[0])
	switch {
	case err != nil:
		return exits{exitConfig, fmt.Errorf("%s: %w", args[0], err)}
	case c.For == string(cluster.KindAgent) || c.For == string(cluster.KindWitness):
		return usage{fmt.Errorf("%s is the certificate of member %s: `evenkeel cluster remove %s` revokes it", args[0], ui.Clean(c.Name), ui.Clean(c.Name))}
	case c.For != string(cluster.KindOperator):
		return usage{fmt.Errorf("%s is a certificate for %s, not an operator's", args[0], c.For)}
	}
	req.Operator, req.Name, req.NotAfter = c.Member, c.Name, c.NotAfter
	return nil
}
