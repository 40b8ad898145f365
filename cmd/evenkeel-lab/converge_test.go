package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/heartbeat"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestConvergence moves a guest that changes its memory several times as fast
// as the policy lets it be copied, over several connections of the relay, while
// QEMU slows it down. How long that takes is not ours to say: by its budget the
// move is done or aborted, and the guest has run on, once.
func TestConvergence(t *testing.T) {
	d := fleet(t, lab.Scenario{
		Description: "a guest that changes its memory faster than it is copied",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 4)}},
		Witness:     true,
		Mode:        "off",
		Policy: map[string]string{
			"warm_up": "2s", "settle": "5s", "allow_unlocked": "true",
			"bandwidth": "16MiB", "auto_converge": "true", "parallel": "4", "move_budget": "45s",
		},
		Guests: []lab.Guest{{Name: "busy", On: "hv1", VCPUs: 1, Memory: lab.Bytes(192 * cluster.MiB), Load: "cpu:20+dirty:48"}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := drill.Until(ctx, "evenkeel to let it go", func() (bool, error) {
		_, err := d.Lab.Exec(ctx, "witness", "evenkeel", "migrate", "busy", "hv2", "--dry-run")
		return err == nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	if out, err := d.Lab.Exec(ctx, "witness", "evenkeel", "migrate", "busy", "hv2", "--yes", "--no-wait"); err != nil {
		t.Fatal(out, err)
	}
	var last api.Move
	throttle, channels := 0.0, 0
	if err := drill.Until(ctx, "the move to end", func() (bool, error) {
		moves, err := d.Moves(ctx)
		if err != nil || len(moves) != 1 {
			return false, err
		}
		last = moves[0]
		throttle = max(throttle, last.Progress.ThrottleRatio)
		if last.State == cluster.MoveRunning {
			channels = max(channels, relayed(ctx, t, d))
		}
		return !last.State.Live(), nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s after %v: %s %s; slowed by up to %.0f %%, %d connections of the relay", last.State, last.EndedAt.Sub(last.StartedAt.Time), last.Why, last.Report, throttle*100, channels)
	if throttle == 0 {
		t.Error("the guest was never slowed down")
	}
	// libvirt's, the stream's own and the four.
	if channels < 6 {
		t.Errorf("the relay had %d connections at most, want 6", channels)
	}
	if last.LimitBy != cluster.LimitPolicy || last.LimitBytesPerSecond != 16<<20 {
		t.Errorf("limit %d bytes/s by %q", last.LimitBytesPerSecond, last.LimitBy)
	}
	want := map[cluster.MoveState]string{cluster.MoveDone: "hv2", cluster.MoveAborted: "hv1"}[last.State]
	if on := d.Lab.GuestHosts("busy"); want == "" || !slices.Equal(on, []string{want}) {
		t.Errorf("the move ended %s, the guest runs on %v", last.State, on)
	}
	if last.State == cluster.MoveAborted && !strings.Contains(last.Report, "not done within its time budget of 45s") {
		t.Errorf("aborted: %q", last.Report)
	}
	beats, err := d.Lab.Heartbeats("busy")
	if r := heartbeat.Judge(beats); err != nil || r.Boots != 1 || r.Missing != 0 || r.Disordered != 0 || r.Beats < 2 {
		t.Errorf("the guest's heartbeats: %+v, %v", r, err)
	}
}

// relayed counts the connections that hv1's relay has made to hv2's.
func relayed(ctx context.Context, t *testing.T, d *drill.Drill) (n int) {
	t.Helper()
	out, err := d.Lab.Exec(ctx, "hv1", "cat", "/proc/self/net/tcp")
	if err != nil {
		t.Error(err)
		return 0
	}
	for line := range strings.Lines(out) {
		// sl, local, remote, state: established, to port 7473.
		if f := strings.Fields(line); len(f) > 3 && f[3] == "01" && strings.HasSuffix(f[2], ":1D31") {
			n++
		}
	}
	return n
}
