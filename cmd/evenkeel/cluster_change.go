package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func exactlyOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

func (a *app) clusterAdd() *cobra.Command {
	var req api.AddMemberRequest
	role, valid := string(cluster.RoleHypervisor), time.Hour
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Let a host join: print a token that is good once",
		Long: `Prints a token for ` + "`evenkeel cluster join`" + ` on the new host: one line, good for
that host, once, and for a limited time. Who has the token can join in its
place, so hand it over as you would a password. The cluster keeps only its hash.`,
		Example: `  evenkeel cluster add hv2
  evenkeel cluster add wit --role witness --valid 10m
  evenkeel cluster add hv2 --replace        # hv2 lost its disk and comes back`,
		Args: exactlyOne("the new host's name"),
	}
	actFlags(cmd, &req.Act)
	cmd.Flags().StringVar(&role, "role", role, "`ROLE`: hypervisor or witness")
	cmd.Flags().DurationVar(&valid, "valid", valid, "for how long, a `TIME`")
	cmd.Flags().BoolVar(&req.Replace, "replace", false, "the host was a member and lost its disk: its old id is revoked when it joins")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		secret := rpc.NewSecret()
		req.ID, req.Name, req.Role, req.ValidSeconds, req.Hash = requestID(), args[0], cluster.Role(role), valid.Seconds(), rpc.HashSecret(secret[:])
		change, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.AddMember(ctx, req) })
		if err != nil {
			return err
		}
		if change.Join == nil {
			return errors.New("the leader's answer lacks what a host needs to join; is its version older than this one's?")
		}
		if change.Join.Line, err = tokenLine(secret, *change.Join); err != nil {
			return err
		}
		return a.printToken(change)
	})
	return cmd
}

// tokenLine puts the secret and what the leader said into one line.
func tokenLine(secret [16]byte, j api.Join) (string, error) {
	t := rpc.Token{Secret: secret, Cluster: j.Cluster, Name: j.Name, Role: j.Role, Expires: j.Expires.Truncate(time.Second), Addresses: j.Addresses}
	print, err := hex.DecodeString(j.Fingerprint)
	if err != nil || len(print) != len(t.Fingerprint) {
		return "", fmt.Errorf("the leader's fingerprint of the CA is %.80q, not a SHA-256", j.Fingerprint)
	}
	copy(t.Fingerprint[:], print)
	if err := t.Check(); err != nil {
		return "", err
	}
	return t.String(), nil
}

// printToken prints the token alone to stdout, for a pipe; the rest is notes.
func (a *app) printToken(change *api.Change) error {
	a.notes(change.Head)
	if !change.Done {
		change.Join.Line = "" // no cluster knows it
	}
	if !a.format.Data() {
		if !change.Done {
			a.note("dry run, nothing was changed: %s", change.Text)
		} else {
			a.note("%s; on that host: sudo evenkeel cluster join TOKEN", change.Text)
		}
	}
	return a.print(change, func(w *ui.Writer) {
		if change.Done {
			w.Line(w.Paint(ui.Plain, change.Join.Line))
		}
	}, []string{change.Join.Line})
}

func (a *app) clusterRemove() *cobra.Command {
	var req api.RemoveMemberRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a member out of the cluster and revoke its certificate",
		Long: `Takes a member out for good: of the State, of the Raft group, and its certificate
is refused by every member from now on. A host that still has VMs or moves in
flight is not removed unless you say --force; its VMs go on running, evenkeel no
longer looks after them. To come back the host joins anew.`,
		Example: `  evenkeel cluster remove hv4 --reason scrapped`,
		Args:    exactlyOne("the name or id of a member"),
	}
	actFlags(cmd, &req.Act)
	yesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&req.Force, "force", false, "although it has VMs or moves in flight")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.ID, req.Member = requestID(), args[0]
		if !req.DryRun {
			if err := a.consent(yes, fmt.Sprintf("Remove %s and revoke its certificate for good?", req.Member)); err != nil {
				return err
			}
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.RemoveMember(ctx, req) })
	})
	return cmd
}

func (a *app) clusterTransfer() *cobra.Command {
	var req api.TransferLeaderRequest
	cmd := &cobra.Command{
		Use:   "transfer-leader [NAME]",
		Short: "Hand leadership over to another voter",
		Example: `  evenkeel cluster transfer-leader
  evenkeel cluster transfer-leader wit --reason 'hv1 is rebooted'`,
		Args: atMostOne("a member"),
	}
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.ID = requestID()
		if len(args) == 1 {
			req.Member = args[0]
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.TransferLeader(ctx, req) })
	})
	return cmd
}

func (a *app) clusterUpgrade() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "End a rolling upgrade",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var req api.FinalizeRequest
	finalize := &cobra.Command{
		Use:   "finalize",
		Short: "Allow what only the new version can do",
		Long: `Raises the feature level to what the leader knows, once all members know it too.
From then on an older version cannot come back: it would stop at the first entry
that it does not know.`,
		Args: noArgs,
	}
	actFlags(finalize, &req.Act)
	finalize.RunE = a.verb(func(ctx context.Context, _ []string) error {
		req.ID = requestID()
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Finalize(ctx, req) })
	})
	cmd.AddCommand(finalize)
	return cmd
}

// joinFailure gives the codes of the house to what a cluster answers a host.
func joinFailure(err error) error {
	switch connect.CodeOf(err) {
	case connect.CodePermissionDenied:
		return exits{exitForbidden, err}
	case connect.CodeInvalidArgument:
		return exits{exitUsage, err}
	case connect.CodeFailedPrecondition:
		return exits{exitBlocked, err}
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeUnknown:
		return exits{exitUnreachable, fmt.Errorf("no member let this host in; the token stays good until it expires: %w", err)}
	}
	return plainFailure(err)
}
