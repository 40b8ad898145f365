package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// lister is a hypervisor that lists what it is told to.
type lister struct {
	Hypervisor
	guests []Guest
}

func (l *lister) Guests(context.Context) ([]Guest, error) { return l.guests, nil }

type sourceOnly struct{ Meter }

func (sourceOnly) Source() cluster.Source { return cluster.SourceEBPF }

// listing is an agent that has listed what a hypervisor answered, and the
// State of a cluster that knows it.
type listing struct {
	*Agent
	host  *lister
	state cluster.State
	said  *bytes.Buffer
	seq   uint64
}

const listingCluster = "00000000-0000-4000-8000-00000000c1a5"

func newListing(t *testing.T, guests []Guest) *listing {
	t.Helper()
	l := &listing{host: &lister{guests: guests}, said: &bytes.Buffer{}, state: cluster.New(listingCluster)}
	member := cluster.Member{
		ID: vmID(999_999), Name: "hv1", Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: 8000, Memory: 64 * cluster.GiB,
	}
	l.Agent = New(Config{
		Member: member, Hypervisor: l.host, Meter: sourceOnly{}, Proc: procfs.New(fstest.MapFS{}),
		Uptime: func() time.Duration { return time.Hour }, Now: func() time.Time { return time.Unix(2e9, 0) },
		Logger: slog.New(slog.NewTextHandler(l.said, nil)),
	})
	l.apply(t, cluster.Announce{Cluster: listingCluster, Member: member})
	l.list(t.Context())
	return l
}

func (l *listing) apply(t *testing.T, body cluster.Body) {
	t.Helper()
	next, err := l.state.Apply(cluster.Meta{Index: l.state.Index + 1, Term: 1}, cluster.Command{
		Level: 1, Actor: cluster.Actor{Kind: cluster.KindAgent, ID: l.cfg.Member.ID}, At: cluster.TimeOf(l.cfg.Now()), Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.state = next
}

// publish sends a snapshot as it goes over the wire, and lets the State judge.
func (l *listing) publish(t *testing.T, details *cluster.Details) []cluster.VM {
	t.Helper()
	l.seq++
	s, _ := l.snapshot(l.seq, true)
	if details != nil {
		details.Inventory, details.Window, details.Vitals = s.Inventory.Revision, s.Load.Window, s.Load.Window
		s.Details = details
	}
	d, err := cluster.NewDigest(s)
	if err != nil {
		t.Fatalf("it cannot be sent: %v", err)
	}
	if d, err = cluster.ReadDigest(d.Bytes()); err != nil {
		t.Fatal(err)
	}
	l.apply(t, cluster.Snapshots{Batch: []cluster.Snapshot{d.Snapshot()}})
	h, _ := l.state.Host(l.cfg.Member.ID)
	if h.Refused != nil {
		t.Fatalf("the State refused it: %v", h.Refused)
	}
	return h.Inventory.VMs
}

func (l *listing) guest(n int, name string) Guest {
	return Guest{UUID: vmID(n), Name: name, State: RunStateRunning, MaxMemoryBytes: 1 << 36, Persistent: true, DisksLocked: true, VCPUThreads: []int{1, 2}}
}

// rich are details with all that can be told of so many VMs.
func rich(n int) *cluster.Details {
	d := &cluster.Details{}
	rate := cluster.BytesPerSecond(1 << 40)
	figures := cluster.BlockFigures{Requests: 1 << 40, Bytes: 1 << 45, Errors: 1 << 30, Queue: time.Minute, Device: time.Minute, P99: time.Minute, Guest: time.Minute}
	for i := range n {
		v := cluster.Detail{
			Slot: uint32(i), Quota: 4000, Waits: &cluster.Waits{VMs: 1000, Host: 1001, Kernel: 1002, OwnVCPUs: 1003, OwnOthers: 1004, Quota: 1005, SliceQuota: 1006, Idle: 1007, Migrated: 1008, Unattributed: 1009},
			Memory:  &cluster.Memory{Resident: 1 << 45, Swapped: 1 << 44, MajorFaults: 1 << 40, DirtyRate: &rate},
			Network: &cluster.Network{ReceivedBytes: 1 << 45, SentBytes: 1 << 45},
			Block:   &cluster.Block{Layer: cluster.LayerDevice, Backend: cluster.BackendNetwork, Read: figures, Write: figures, Flush: figures, Shared: "nfs 192.168.17.23:/export/vms"},
		}
		for c := range cluster.MaxCulprits {
			v.Culprits = append(v.Culprits, cluster.Culprit{VM: vmID((i + c + 1) % n), Share: 100_000})
		}
		d.VMs = append(d.VMs, v)
	}
	return d
}

// A host with ten thousand VMs tells of as many as a snapshot holds, whatever
// they are called, and takes no part until there are fewer: nobody knows what
// the others need.
func TestFault32TenThousandVMs(t *testing.T) {
	for what, name := range map[string]func(n int) string{
		"short names": func(n int) string { return fmt.Sprint("vm", n) },
		"usual names": func(n int) string { return fmt.Sprintf("customer-%05d-production-db", n) },
		"names that JSON makes six times as long": func(n int) string { return fmt.Sprintf("%05d%s", n, strings.Repeat("<", 251)) },
	} {
		t.Run(what, func(t *testing.T) {
			var guests []Guest
			l := newListing(t, nil)
			for n := range 10_000 {
				guests = append(guests, l.guest(n+1, name(n)))
			}
			l.host.guests = guests
			l.list(t.Context())
			first := l.publish(t, rich(len(l.guests)))
			t.Logf("%d VMs told of", len(first))
			if len(first) < 200 || len(first) != len(l.guests) {
				t.Fatalf("%d VMs told of", len(first))
			}
			want := fmt.Sprintf("10000 VMs run here, and it can tell of %d at most", len(first))
			if got := l.hold(); got != want || !strings.Contains(l.said.String(), "more VMs run here than a host can tell of") {
				t.Errorf("held: %q, want %q; it said %s", got, want, l.said)
			}
			if r := l.exec.held("target"); r == nil || r.Code != cluster.CodeHeld {
				t.Errorf("as a target it answers %v", r)
			}
			// One more, whose UUID goes before all others, pushes none out, and none in.
			l.host.guests = append(guests, l.guest(0, name(10_000)))
			l.list(t.Context())
			if l.publish(t, nil)[0] != first[0] || l.untold != 10_001-len(first) {
				t.Errorf("another VM is told of, %d are not", l.untold)
			}
			l.host.guests = guests[:100]
			l.list(t.Context())
			if vms := l.publish(t, nil); len(vms) != 100 || l.hold() != "" {
				t.Errorf("%d of 100 VMs told of, held: %q", len(vms), l.hold())
			}
		})
	}
}

// What libvirt tells of one VM cannot be: the VM is known all the same, with
// its figures bounded, and so are the others.
func TestFault32AbsurdVM(t *testing.T) {
	l := newListing(t, nil)
	most := make([]int, cluster.MaxVCPUs+1)
	for i := range most {
		most[i] = i + 1
	}
	for what, spoil := range map[string]func(g *Guest){
		"memory of 10^18 bytes": func(g *Guest) { g.MaxMemoryBytes = 1e18 },
		"negative memory":       func(g *Guest) { g.MaxMemoryBytes = -1 },
		"4097 vCPUs":            func(g *Guest) { g.VCPUThreads = most },
		"no name":               func(g *Guest) { g.Name = "" },
	} {
		bad, good := l.guest(1, "bad"), l.guest(2, "good")
		spoil(&bad)
		l.host.guests = []Guest{bad, good}
		l.list(t.Context())
		vms := l.publish(t, nil)
		if len(vms) != 2 || vms[0].UUID != bad.UUID || vms[0].Name == "" || vms[1].Name != "good" {
			t.Errorf("%s: %+v", what, vms)
		}
		if bad.MaxMemoryBytes == 1e18 && vms[0].MaxMemory != cluster.MaxMemory {
			t.Errorf("%s counts as %v: more than any host has must not fit anywhere", what, vms[0].MaxMemory)
		}
	}
}

// The kernel's counters of one VM jump by 2^63: its figures are left out, and
// it is unknown, not idle; the figures of the others stand.
func TestFault32AbsurdCounters(t *testing.T) {
	const n = 3
	l := newListing(t, nil)
	for i := range n {
		l.host.guests = append(l.host.guests, l.guest(i, fmt.Sprint("vm", i)))
	}
	l.list(t.Context())
	for s := range 11 {
		at := time.Duration(s) * time.Second
		sample := second(at, n, at/4, at/4)
		if s > 5 {
			v := sample.reading.VMs[vmID(1)]
			v.VCPUs[0].RunNS = 1 << 63
			v.VCPUs[0].WaitNS = math.MaxUint64
			sample.reading.VMs[vmID(1)] = v
			sample.ownNS = 1 << 63
		}
		l.window.add(sample)
	}
	if vms := l.publish(t, nil); len(vms) != n {
		t.Errorf("%d VMs are known", len(vms))
	}
	h, _ := l.state.Host(l.cfg.Member.ID)
	beat, _ := h.Last()
	if len(beat.Load.VMs) != n-1 || beat.Load.VMs[0].Run != 250 || beat.Load.VMs[1].Slot != 2 || beat.Load.Source != cluster.SourceEBPF {
		t.Errorf("figures %+v, want of slots 0 and 2", beat.Load)
	}
}
