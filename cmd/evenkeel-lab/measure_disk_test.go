package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/diskrun"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// diskRunEvery is how often the guests of TestDiskMeasured work their disks, and
// diskTries how many runs they have to be counted exactly once: some kernels
// pass over tracepoints for some milliseconds about once a second, and a run
// that fell into such a gap has requests missing (bpf's own tests say more).
const (
	diskRunEvery = 8 * time.Second
	diskTries    = 10
)

// TestDiskMeasured has guests do finite runs of disk I/O, each with another way
// in which QEMU does it, and holds what `evenkeel vms show` says against the
// guests' own accounts: requests and bytes to the last one. Then an operator
// asks.
func TestDiskMeasured(t *testing.T) {
	guest := func(name, aio, cache, load string) lab.Guest {
		return lab.Guest{Name: name, On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB), Disk: &lab.Disk{
			Size: lab.Bytes(32 * cluster.MiB), AIO: aio, Cache: cache, Load: fmt.Sprintf("%s@%v", load, diskRunEvery),
		}}
	}
	const transfers, flushes = "read:4096x50,write:16384x40", "flush:4096x20"
	busy := func(name string) lab.Guest {
		return lab.Guest{Name: name, On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB), Load: "cpu:100"}
	}
	d := fleet(t, lab.Scenario{
		Description: "guests with disks on hv1, and two that keep it suffering, so that it tells of its VMs every few seconds",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 4)}},
		Witness:     true,
		Mode:        "off",
		Guests: []lab.Guest{
			guest("threads", "threads", "none", transfers), guest("native", "native", "none", transfers), guest("uring", "io_uring", "none", transfers),
			guest("flushing", "threads", "none", flushes), guest("cached", "threads", "writeback", transfers), busy("busy1"), busy("busy2"),
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	countedExactly(ctx, t, d, map[string][]string{
		"threads": {"read", "write"}, "native": {"read", "write"}, "uring": {"read", "write"},
		// Its writes are not compared: a flush makes the file system below write
		// its journal, for the VM.
		"flushing": {"flush"},
	})
	for _, name := range []string{"threads", "native", "uring"} {
		diskFigures(ctx, t, d, name, cluster.LayerDevice)
	}
	diskFigures(ctx, t, d, "cached", cluster.LayerQEMU)
	for name, words := range map[string][]string{
		"native":   {"read ", "write ", ", device ", ", device p99 ", ", in QEMU ", "local storage, measured by the host's block layer", "lockable"},
		"flushing": {"flush ", ", device ", "local storage, measured by the host's block layer"},
		"cached":   {", in QEMU ", "measured by QEMU: means only", "through the host's page cache (cache=writeback)"},
	} {
		out, err := d.Lab.Exec(ctx, "hv2", "evenkeel", "vms", "show", name)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("evenkeel vms show %s\n%s", name, out)
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("evenkeel vms show %s does not say %q", name, w)
			}
		}
	}
}

// shown is a VM as `evenkeel vms show NAME --json` tells it.
func shown(ctx context.Context, d *drill.Drill, name string) (api.VM, error) {
	out, err := d.Lab.Exec(ctx, "hv2", "evenkeel", "vms", "show", name, "--json")
	if err != nil {
		return api.VM{}, err
	}
	var list struct{ Items []api.VM }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return api.VM{}, fmt.Errorf("%w in %s", err, out)
	}
	if len(list.Items) != 1 {
		return api.VM{}, fmt.Errorf("%d VMs are shown as %s", len(list.Items), name)
	}
	return list.Items[0], nil
}

// tally is what is known of a guest's runs so far.
type tally struct {
	last    uint64          // the newest run that was seen
	counts  diskrun.Account // as evenkeel had them after it
	usable  bool            // they were read before the next one began
	tries   int
	missing []string // operations that were not exact yet
}

// countedExactly compares each run's growth of evenkeel's counters with the
// guest's account of it, until each guest's operations were exact once each.
func countedExactly(ctx context.Context, t *testing.T, d *drill.Drill, want map[string][]string) {
	t.Helper()
	tallies := map[string]*tally{}
	for g, ops := range want {
		tallies[g] = &tally{missing: ops}
	}
	err := drill.Until(ctx, "each guest's runs to be counted exactly", func() (bool, error) {
		done := true
		for g, y := range tallies {
			if err := y.look(ctx, t, d, g); err != nil {
				return false, err
			}
			done = done && (len(y.missing) == 0 || y.tries >= diskTries)
		}
		return done, nil
	})
	for g, y := range tallies {
		if len(y.missing) > 0 {
			t.Errorf("%s: in %d runs not once exact: %v (%v)", g, y.tries, y.missing, err)
		}
	}
}

func (y *tally) look(ctx context.Context, t *testing.T, d *drill.Drill, guest string) error {
	runs, err := d.Lab.DiskRuns(guest)
	if err != nil || len(runs) == 0 || runs[len(runs)-1].N == y.last {
		return err
	}
	seen, run := time.Now(), runs[len(runs)-1]
	vm, err := shown(ctx, d, guest)
	if err != nil {
		return err
	}
	if vm.BlockCounters == nil || vm.BlockCounters.By == "nobody" {
		return fmt.Errorf("%s: block counters %+v (%s)", guest, vm.BlockCounters, vm.Message)
	}
	before, following := y.counts, y.usable && run.N == y.last+1
	y.last, y.counts = run.N, accountOf(*vm.BlockCounters)
	// The next run begins no sooner than what is left of the interval.
	y.usable = time.Since(seen) < (diskRunEvery-(run.Ended-run.Began))/2
	if !following || !y.usable {
		return nil
	}
	y.tries++
	y.compare(t, guest, run, y.counts.Sub(before))
	return nil
}

func accountOf(c api.BlockCounters) diskrun.Account {
	return diskrun.Account{
		Reads: c.Requests["read"], ReadBytes: c.Bytes["read"],
		Writes: c.Requests["write"], WriteBytes: c.Bytes["write"], Flushes: c.Requests["flush"],
	}
}

// compare takes the operations that were counted exactly off the list.
func (y *tally) compare(t *testing.T, guest string, run diskrun.Run, got diskrun.Account) {
	t.Helper()
	did := run.Did
	t.Logf("%s, run %d of %v: counted %+v, the guest %+v", guest, run.N, (run.Ended - run.Began).Round(time.Millisecond), got, did)
	type figures struct{ requests, bytes uint64 }
	for op, f := range map[string]struct{ got, did figures }{
		"read":  {figures{got.Reads, got.ReadBytes}, figures{did.Reads, did.ReadBytes}},
		"write": {figures{got.Writes, got.WriteBytes}, figures{did.Writes, did.WriteBytes}},
		"flush": {figures{got.Flushes, 0}, figures{did.Flushes, 0}},
	} {
		if !slices.Contains(y.missing, op) {
			continue
		}
		if f.did.requests == 0 || f.got.requests > f.did.requests || f.got.bytes > f.did.bytes {
			t.Errorf("%s, run %d: %s: counted %+v, the guest %+v", guest, run.N, op, f.got, f.did)
		}
		if f.got == f.did {
			y.missing = slices.DeleteFunc(slices.Clone(y.missing), func(o string) bool { return o == op })
		}
	}
}

// diskFigures waits for a VM's replicated figures and checks what they say of
// where they are from.
func diskFigures(ctx context.Context, t *testing.T, d *drill.Drill, guest string, layer cluster.BlockLayer) {
	t.Helper()
	var vm api.VM
	err := drill.Until(ctx, "the disk's figures of "+guest, func() (ok bool, err error) {
		if vm, err = shown(ctx, d, guest); err != nil || vm.Block == nil {
			return false, err
		}
		b := vm.Block
		return b.Read.RequestsPerSecond > 0 && b.Write.RequestsPerSecond > 0 && b.Read.GuestSeconds != nil, nil
	})
	if err != nil {
		t.Errorf("%v; block %+v", err, vm.Block)
		return
	}
	b := vm.Block
	if b.Layer != layer || b.Backend != cluster.BackendLocal || b.Shared != "" || vm.DiskLock != cluster.LockLockable {
		t.Errorf("%s: layer %s, backend %s, shared %q, lock %s", guest, b.Layer, b.Backend, b.Shared, vm.DiskLock)
	}
	if hidden := layer == cluster.LayerQEMU; hidden != (b.Hidden != "") {
		t.Errorf("%s: hidden: %q", guest, b.Hidden)
	}
	for what, f := range map[string]api.BlockFigures{"read": b.Read, "write": b.Write} {
		// The mean request is as long as the guest's were, up to the rounding of
		// replicated figures by an eighth each.
		size := map[string]float64{"read": 4096, "write": 16384}[what]
		if mean := f.BytesPerSecond / f.RequestsPerSecond; mean < size*0.75 || mean > size*1.3 {
			t.Errorf("%s: a %s has %.0f bytes, the guest's %.0f", guest, what, mean, size)
		}
		if measured := f.DeviceSeconds != nil && f.DeviceP99Seconds != nil; measured != (layer == cluster.LayerDevice) {
			t.Errorf("%s: %s by %s has latencies of the device: %v", guest, what, layer, measured)
		}
		if f.DeviceSeconds != nil && f.GuestSeconds != nil && *f.DeviceSeconds > 1.3**f.GuestSeconds {
			t.Errorf("%s: a %s takes the device %.6f s, and QEMU with it %.6f s", guest, what, *f.DeviceSeconds, *f.GuestSeconds)
		}
	}
}
