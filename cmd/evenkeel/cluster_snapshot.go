package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) clusterSnapshot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save the cluster's State to a file, look into one, restore one",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.snapshotSave(), a.snapshotInspect(), a.snapshotRestore())
	return cmd
}

func (a *app) snapshotSave() *cobra.Command {
	var req api.SnapshotRequest
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save the State to a file with checksums",
		Long: `Saves the State: settings, mode, members, moves, decisions, load of the last hour.
It holds all that was acknowledged before the command began; with --stale what
the member that is asked has, which works without a leader. The file appears
under its name only when it is whole, on the disk, and was read back. It is no
secret key, but names hosts, VMs and operators. CA and certificates are not in it.`,
		Example: `  evenkeel cluster snapshot save /var/backups/evenkeel-$(date +%F).snap
  evenkeel cluster snapshot save --stale last-words.snap`,
		Args: exactlyOne("a file"),
	}
	cmd.Flags().BoolVar(&req.Stale, "stale", false, "what the member that is asked has, without asking the leader")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		s, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (snapshot, error) { return saveSnapshot(ctx, c, req, args[0]) })
		if err != nil {
			return err
		}
		return a.printSnapshot(s)
	})
	return cmd
}

// saveSnapshot replaces the file as a whole, or leaves it as it is.
func saveSnapshot(ctx context.Context, c *api.Client, req api.SnapshotRequest, path string) (s snapshot, err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return s, plainFailure(err)
	}
	defer os.Remove(tmp.Name()) // a no-op once it is renamed
	w := bufio.NewWriterSize(tmp, 1<<20)
	if err := c.Snapshot(ctx, req, w); err != nil {
		return s, errors.Join(err, tmp.Close())
	}
	if err := errors.Join(w.Flush(), tmp.Sync(), tmp.Close()); err != nil {
		return s, plainFailure(fmt.Errorf("%s: %w", path, err))
	}
	if s, _, err = readSnapshot(tmp.Name()); err != nil {
		return s, plainFailure(fmt.Errorf("what arrived is not whole, %s was not written: %w", path, err))
	}
	s.File = path
	if err := os.Rename(tmp.Name(), path); err != nil {
		return s, plainFailure(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return s, plainFailure(err)
	}
	return s, errors.Join(d.Sync(), d.Close())
}

func (a *app) snapshotInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "Check a saved State and say what is in it",
		Long:  `Reads the whole file, checks its checksums, and needs no daemon.`,
		Example: `  evenkeel cluster snapshot inspect evenkeel.snap
  evenkeel cluster snapshot inspect evenkeel.snap --json | jq .index`,
		Args: exactlyOne("a file"),
		RunE: a.verb(func(_ context.Context, args []string) error {
			s, _, err := readSnapshot(args[0])
			if err != nil {
				return plainFailure(err)
			}
			return a.printSnapshot(s)
		}),
	}
}

// snapshot says what a saved State is.
type snapshot struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	File       string            `json:"file"`
	Bytes      int64             `json:"bytes"`
	Cluster    string            `json:"cluster"`
	Index      uint64            `json:"index"` // of the State
	Term       uint64            `json:"term"`
	Level      uint32            `json:"level"`
	At         time.Time         `json:"at"` // the cluster's time in the State
	SavedAt    time.Time         `json:"saved_at"`
	SavedBy    string            `json:"saved_by"` // the member that was asked
	Stale      bool              `json:"stale"`    // it may lack what was acknowledged before
	Version    string            `json:"version"`  // of that member's binary
	Voters     []consensus.Voter `json:"voters"`
	Mode       cluster.Mode      `json:"mode"`
	Members    int               `json:"members"`
	VMs        int               `json:"vms"`
	Moves      int               `json:"moves"`
	InFlight   int               `json:"in_flight"` // of the moves: ordered, claimed, running or unknown
	Decisions  int               `json:"decisions"`
}

// readSnapshot reads and checks a file whole.
func readSnapshot(path string) (snapshot, cluster.State, error) {
	f, err := os.Open(path)
	if err != nil {
		return snapshot{}, cluster.State{}, err
	}
	defer f.Close()
	counted := &counter{r: f}
	b, state, err := consensus.ReadBackup(bufio.NewReaderSize(counted, 1<<20))
	if err != nil {
		return snapshot{}, cluster.State{}, fmt.Errorf("%s: %w", path, err)
	}
	s := snapshot{
		APIVersion: api.Version, Kind: "Snapshot", File: path, Bytes: counted.n, Cluster: b.Cluster, Index: b.Index, Term: b.Term, Level: b.Level,
		At: b.At.Std().UTC(), SavedAt: b.SavedAt.Std().UTC(), SavedBy: b.SavedBy, Stale: b.Stale, Version: b.Version, Voters: b.Voters, Mode: state.Mode,
	}
	if s.Voters == nil {
		s.Voters = []consensus.Voter{}
	}
	s.Members, s.VMs, s.Moves, s.Decisions = state.Size()
	for range state.Live() {
		s.InFlight++
	}
	return s, state, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (a *app) printSnapshot(s snapshot) error {
	return a.print(s, func(w *ui.Writer) {
		w.Linef("%s: %d bytes, checksums are right", s.File, s.Bytes)
		w.Linef("  cluster    %s", s.Cluster)
		w.Linef("  state      entry %d of term %d, feature level %d, of %s", s.Index, s.Term, s.Level, s.At.Format(time.RFC3339))
		how := "it holds all that was acknowledged before"
		if s.Stale {
			how = "stale: it may lack what was acknowledged before"
		}
		w.Linef("  saved      %s by %s (%s); %s", s.SavedAt.Format(time.RFC3339), s.SavedBy, s.Version, how)
		for _, v := range s.Voters {
			w.Linef("  voter      %s at %s", v.Member, v.Address)
		}
		w.Linef("  holds      mode %s, %d members, %d VMs, %d moves (%d in flight), %d decisions", s.Mode, s.Members, s.VMs, s.Moves, s.InFlight, s.Decisions)
	}, []string{s.File})
}

func (a *app) snapshotRestore() *cobra.Command {
	var path string
	var yes, force bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Found the cluster anew on this host from a saved State",
		Long: `For a cluster that is lost as a whole. Makes this host, which must have a
certificate, an empty state directory and no running daemon, the only voter of a
cluster that goes on from the saved State; all others join it anew with empty
state directories. While a voter is left, ` + "`evenkeel cluster recover`" + ` loses less.

Orders that were open at the save are cancelled, moves in flight are unknown
until there is evidence, automation is frozen until ` + "`evenkeel resume`" + `, and join
tokens are void. Members that were removed after the save are not known to be.`,
		Example: `  sudo systemctl stop evenkeeld
  sudo evenkeel cluster snapshot restore evenkeel-2026-11-23.snap`,
		Args: exactlyOne("a file"),
	}
	cmd.Flags().StringVar(&path, "config", config.DefaultPath, "this host's configuration, a `FILE`")
	cmd.Flags().BoolVar(&force, "force-cluster", false, "although the file is of a cluster with another id")
	yesFlag(cmd, &yes)
	cmd.RunE = a.verb(func(_ context.Context, args []string) error {
		s, state, err := readSnapshot(args[0])
		if err != nil {
			return plainFailure(err)
		}
		host, err := survivorOf(path)
		if err != nil {
			return err
		}
		if s.Cluster != host.Cluster {
			if !force {
				return exits{exitConfig, fmt.Errorf("%s is of cluster %s, this host of %s; say --force-cluster if you mean to give this cluster that one's State", s.File, s.Cluster, host.Cluster)}
			}
			state.Cluster, s.Voters = host.Cluster, nil // nobody of this one voted there
		}
		question := fmt.Sprintf("Found cluster %s anew on this host, from the State of %s (entry %d)? All other members must join again.", host.Cluster, s.At.Format(time.RFC3339), s.Index)
		if err := a.consent(yes, question); err != nil {
			return err
		}
		out, err := consensus.Restore(host, s.Voters, state)
		if err != nil {
			return recoverFailure(err)
		}
		return a.printRecovered(recoveredOf(host, out, "restored from "+s.File))
	})
	return cmd
}
