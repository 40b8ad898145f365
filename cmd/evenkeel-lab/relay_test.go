package main

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestRelay has migrations go through the relays while things break: first
// both ends' daemons are killed, which harms nothing, then a relay is, which
// breaks the migration and leaves the VM where it was. The next move finds its
// way again, and no passage outlives its move.
func TestRelay(t *testing.T) {
	d := faultFleet(t)
	t.Run("both daemons killed in pre-copy", func(t *testing.T) {
		fill(t, d, 1, "witness")
		since, from, pulse := lastIndex(t, d), time.Now(), d.Listen()
		stage(t, d, phases[2], 1, "witness", since)
		for _, host := range []string{"hv1", "hv2"} {
			if err := d.Lab.SignalAgent(t.Context(), host, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(4 * time.Second)
		for _, host := range []string{"hv1", "hv2"} {
			if err := d.Lab.StartAgent(t.Context(), host); err != nil {
				t.Fatal(err)
			}
		}
		moves := balancedEnd(t, d, since)
		t.Logf("moves: %s", words(moves))
		heartbeats(t, d, pulse, from)
		noPassages(t, d)
	})
	t.Run("the source's relay killed in pre-copy", func(t *testing.T) {
		fill(t, d, 2, "witness")
		since, from, pulse := lastIndex(t, d), time.Now(), d.Listen()
		stage(t, d, phases[2], 2, "witness", since)
		if err := d.Lab.SignalRelay(t.Context(), "hv1", syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		failed(t, d, since)
		for _, g := range d.Lab.Guests() {
			if at := d.Lab.GuestHosts(g.Name); !slices.Equal(at, []string{"hv1"}) {
				t.Errorf("guest %s runs on %v", g.Name, at)
			}
		}
		if err := d.Lab.StartRelay(t.Context(), "hv1"); err != nil {
			t.Fatal(err)
		}
		moves := balancedEnd(t, d, since)
		t.Logf("moves: %s", words(moves))
		heartbeats(t, d, pulse, from)
		noPassages(t, d)
	})
}

// failed waits until the newest move has failed.
func failed(t *testing.T, d *drill.Drill, since uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	err := drill.Until(ctx, "the move to fail", func() (bool, error) {
		moves, err := d.Moves(ctx)
		if err != nil {
			return false, err
		}
		moves = newer(moves, since)
		return slices.ContainsFunc(moves, func(m api.Move) bool { return m.State == cluster.MoveFailed }), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// noPassages waits until no host's relay has a move's sockets left.
func noPassages(t *testing.T, d *drill.Drill) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := drill.Until(ctx, "the passages to be closed", func() (bool, error) {
		for _, host := range []string{"hv1", "hv2"} {
			out, err := d.Lab.Exec(ctx, host, "ls", "/run/evenkeel/relay")
			if err != nil || strings.TrimSpace(out) != "" {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		t.Error(err)
	}
}
