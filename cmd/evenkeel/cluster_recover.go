package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/rpc"
)

func (a *app) clusterRecover() *cobra.Command {
	var path string
	var yes bool
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Go on alone after a majority of the voters is lost for good",
		Long: `Makes this host, which must have been a voter and whose daemon must be stopped,
the only voter of its cluster, with all that its log holds. The state directory
is copied aside first. Only for voters that are lost FOR GOOD: they are revoked,
and cut themselves off if they come back with their old files and reach this host.
If they only reach each other they are a majority and go on as the old cluster,
and the two order moves without knowing of each other. If they can be brought
back, bring them back instead; a cluster without a quorum moves nothing, and its
VMs run. It refuses while one of the others answers that it knows a leader.

What only the lost voters had is gone: run this on the voter with the highest
log, see ` + "`evenkeel cluster peers`" + ` before its daemon is stopped. Orders that are open
are cancelled, moves in flight are unknown until there is evidence, automation is
frozen until ` + "`evenkeel resume`" + `. docs/disaster-recovery.md is the drill.`,
		Example: `  sudo systemctl stop evenkeeld
  sudo evenkeel cluster recover`,
		Args: noArgs,
	}
	cmd.Flags().StringVar(&path, "config", config.DefaultPath, "this host's configuration, a `FILE`")
	yesFlag(cmd, &yes)
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		host, err := survivorOf(path)
		if err != nil {
			return err
		}
		client, err := clientOf(path)
		if err != nil {
			return err
		}
		defer client.Close()
		host.Peer = client.Peer
		if err := a.consent(yes, "Are the other voters lost for good, and will none of them ever start with its old files?"); err != nil {
			return err
		}
		aside := host.Dir + ".before-recover-" + time.Now().UTC().Format("20060102T150405Z")
		out, err := consensus.Recover(ctx, host, aside)
		if err != nil {
			return recoverFailure(err)
		}
		return a.printRecovered(recoveredOf(host, out, "recovered from this member's log"))
	})
	return cmd
}

// survivorOf is this host by its configuration and certificate.
func survivorOf(path string) (s consensus.Survivor, err error) {
	cfg, err := config.Load(path)
	if err != nil {
		return s, err
	}
	files := hostFiles{cfg}
	id, has, err := files.certified()
	if err != nil {
		return s, err
	}
	if !has {
		return s, exits{exitConfig, fmt.Errorf("this host has no certificate (%s); restore the host's TLS files from a backup first", cfg.TLS.Cert)}
	}
	if id.ClusterID != cfg.Cluster.ID {
		return s, exits{exitConfig, fmt.Errorf("%s is of cluster %s, %s names %s; correct one of them", cfg.TLS.Cert, id.ClusterID, path, cfg.Cluster.ID)}
	}
	return consensus.Survivor{Dir: files.raft(), Cluster: id.ClusterID, Member: id.MemberID, Address: cfg.Advertise.Cluster}, nil
}

// clientOf speaks to other members as this host.
func clientOf(path string) (*rpc.Client, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, exits{exitConfig, err}
	}
	m, err := certs.LoadTLS(cfg.TLS.CA, cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return nil, exits{exitConfig, err}
	}
	return rpc.NewClient(m.Identity(), m.ClientConfig), nil
}

func recoverFailure(err error) error {
	if errors.Is(err, consensus.ErrInUse) {
		return exits{exitBlocked, fmt.Errorf("%w; stop it first (systemctl stop evenkeeld)", err)}
	}
	if errors.Is(err, consensus.ErrQuorum) {
		return exits{exitBlocked, err}
	}
	return plainFailure(err)
}

// recovered is the answer of recover and restore.
type recovered struct {
	APIVersion  string            `json:"apiVersion"`
	Kind        string            `json:"kind"`
	How         string            `json:"how"`
	Cluster     string            `json:"cluster"`
	Member      string            `json:"member"`
	Index       uint64            `json:"index"` // of the State that was kept
	Term        uint64            `json:"term"`
	At          time.Time         `json:"at"`
	Incarnation uint64            `json:"incarnation"`
	Aside       string            `json:"aside"`     // copy of the state directory from before, "" if there was none
	Lost        []consensus.Voter `json:"lost"`      // who voted beside this member
	Cancelled   int               `json:"cancelled"` // orders
	Unknown     int               `json:"unknown"`   // moves
	Next        []string          `json:"next"`
}

func recoveredOf(host consensus.Survivor, r consensus.Recovered, how string) recovered {
	out := recovered{
		APIVersion: api.Version, Kind: "Recovered", How: how, Cluster: host.Cluster, Member: host.Member, Index: r.Index, Term: r.Term, At: r.At.Std().UTC(),
		Incarnation: r.Incarnation, Aside: r.Backup, Lost: r.Lost, Cancelled: r.Cancelled, Unknown: r.Unknown,
	}
	if out.Lost == nil {
		out.Lost = []consensus.Voter{}
	}
	out.Next = []string{"here: systemctl start evenkeeld, then `evenkeel status`"}
	for _, v := range r.Lost {
		out.Next = append(out.Next, fmt.Sprintf("voter %s at %s: never start it with its old files; empty %s there before anything else", v.Member, v.Address, filepath.Dir(host.Dir)))
	}
	out.Next = append(out.Next,
		"each lost host: here `evenkeel cluster add NAME --replace`, there an empty state directory, no old certificate, and `evenkeel cluster join TOKEN`",
		"look at `evenkeel history` and `evenkeel migrations list`; resolve what is unknown; then `evenkeel resume`",
	)
	return out
}

func (a *app) printRecovered(r recovered) error {
	return a.print(r, func(w *ui.Writer) {
		w.Linef("this host is the only voter of cluster %s now, %s", r.Cluster, r.How)
		w.Linef("  state      entry %d of term %d, of %s; what came later is lost", r.Index, r.Term, r.At.Format(time.RFC3339))
		w.Linef("  moves      %d open orders cancelled, %d moves unknown until there is evidence; automation is frozen", r.Cancelled, r.Unknown)
		if r.Aside != "" {
			w.Linef("  copy       %s is the state directory from before", r.Aside)
		}
		w.Linef("next:")
		for _, n := range r.Next {
			w.Linef("  - %s", n)
		}
	}, []string{r.Cluster})
}
