package rebalancer_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// A VM whose disks or network fall silent is suspect only when they were never
// silent before, and stay so until no later figures would be waited for.
func TestDisksAndNetworkFallSilent(t *testing.T) {
	const lively, silent, unmeasured, elsewhere = 1, 2, 3, 4
	for name, c := range map[string]struct {
		disks, network int // after the move
		bursts         bool
		wakes          time.Duration
		verdict        cluster.Verdict
		says           string
	}{
		"both go on":                {disks: lively, network: lively, verdict: cluster.VerdictBetter},
		"the disks are lost":        {disks: silent, network: lively, verdict: cluster.VerdictSuspect, says: "its disks never had less than 10 requests a second"},
		"the network is lost":       {disks: lively, network: silent, verdict: cluster.VerdictSuspect, says: "it never received less than 500 bytes a second"},
		"between two bursts":        {disks: silent, network: lively, wakes: time.Minute, verdict: cluster.VerdictBetter},
		"a cache serves it":         {disks: elsewhere, network: lively, verdict: cluster.VerdictBetter},
		"nobody measures it":        {disks: unmeasured, network: unmeasured, verdict: cluster.VerdictBetter},
		"it was silent before, too": {disks: silent, network: silent, bursts: true, verdict: cluster.VerdictBetter},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, cluster.ModeAuto)
				disks, network, moved := lively, lively, -1
				start := time.Now()
				f.vitals = func(vm int) (d cluster.Detail) {
					d.Block = &cluster.Block{Layer: cluster.LayerQEMU, Backend: cluster.BackendLocal, Read: cluster.BlockFigures{Requests: 60}, Write: cluster.BlockFigures{Requests: 40}}
					d.Network = &cluster.Network{ReceivedBytes: 5000}
					if c.bursts && time.Since(start) < 3*time.Minute {
						d.Block.Read.Requests, d.Block.Write.Requests, d.Network.ReceivedBytes = 0, 0, 0
					}
					if vm != moved {
						return d
					}
					switch disks {
					case silent:
						d.Block.Read.Requests, d.Block.Write.Requests = 9, 0 // less than a tenth
					case unmeasured:
						d.Block = nil
					case elsewhere:
						d.Block = &cluster.Block{Layer: cluster.LayerDevice, Backend: cluster.BackendLocal}
					}
					switch network {
					case silent:
						d.Network.ReceivedBytes = 400
					case unmeasured:
						d.Network = nil
					}
					return d
				}
				r := f.leader()
				f.watched(r, 7*time.Minute)
				m := f.moved(r)
				moved, disks, network = int(m.VM[35]-'0'), c.disks, c.network
				f.play(r, time.Minute, nil)
				m = f.is(m.ID, cluster.MoveDone)
				if waits := c.verdict == cluster.VerdictSuspect || c.wakes > 0; waits != (m.Verdict == "") {
					t.Fatalf("after a minute: %q, %s", m.Verdict, m.Why)
				}
				if c.wakes > 0 {
					disks, network = lively, lively
				}
				f.play(r, time.Minute, nil)
				m = f.is(m.ID, cluster.MoveDone)
				if m.Verdict != c.verdict || !strings.Contains(m.Why, c.says) || (f.s.Frozen.Since != 0) != (c.verdict == cluster.VerdictSuspect) {
					t.Errorf("verdict %q, %s; frozen %+v", m.Verdict, m.Why, f.s.Frozen)
				}
				if !c.bursts && (m.Predicted.VMRequestsFloor != 10 || m.Predicted.VMReceivedFloor != 500) {
					t.Errorf("floors of %d requests and %d bytes a second", m.Predicted.VMRequestsFloor, m.Predicted.VMReceivedFloor)
				}
				if m.Measured.VMRequestsAfter < 0 || m.Measured.VMReceivedAfter < 0 {
					t.Errorf("measured %+v", m.Measured)
				}
			})
		})
	}
}

// Single waits, memory and the VM that was to bear most are measured again.
func TestMoreIsMeasuredThanContention(t *testing.T) {
	story(t, "beside one that was there", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.vms[hvB] = []int{9}
		f.p99 = map[string]time.Duration{hvA: 24 * time.Millisecond, hvB: time.Millisecond}
		f.vitals = func(int) cluster.Detail { return cluster.Detail{Memory: &cluster.Memory{Resident: 300 * cluster.MiB}} }
		m := f.moved(r)
		f.p99 = map[string]time.Duration{hvA: 20 * time.Millisecond, hvB: 9 * time.Millisecond}
		f.play(r, time.Minute, nil)
		m = f.is(m.ID, cluster.MoveDone)
		p, e := m.Predicted, m.Measured
		if e == nil {
			t.Fatalf("verdict %q, %s", m.Verdict, m.Why)
		}
		if p.VMP99Before != 24*time.Millisecond || p.TargetP99Before != time.Millisecond || p.VMP99After == 0 || p.SourceP99After == 0 || p.TargetP99After < p.VMP99After {
			t.Errorf("tails predicted: %+v", p)
		}
		if e.VMP99After != 9*time.Millisecond || e.TargetP99After != 9*time.Millisecond || e.SourceP99After != 20*time.Millisecond {
			t.Errorf("tails measured: %+v", e)
		}
		for _, got := range []cluster.Effect{p, *e} {
			if got.SourceMemoryBefore != 1200*cluster.MiB || got.SourceMemoryAfter != 900*cluster.MiB || got.TargetMemoryBefore != 300*cluster.MiB || got.TargetMemoryAfter != 600*cluster.MiB {
				t.Errorf("memory: %+v", got)
			}
			if off := got.BystanderContentionAfter - cluster.Percent(50); got.Bystander != vmID(9) || got.BystanderContentionBefore != 0 || off < -10_000 || off > 10_000 {
				t.Errorf("bystander: %+v", got)
			}
		}
		if p.Downtime == 0 {
			t.Error("no downtime is predicted")
		}
	})
}
