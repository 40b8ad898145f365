package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/agent"
)

// memorySocket is the migration URI's path: at host B, QEMU listens on it; at
// host A, the gate does.
const memorySocket = "/run/memory.sock"

// TestMigrationOnLibvirt migrates between two real libvirtds. The memory goes
// through a gate of the test's, which holds it up at will: each state of a
// migration lasts as long as the test looks at it.
func TestMigrationOnLibvirt(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("hosts", func(t *testing.T) {
		p := startPeer(t)
		started := p.ask(t, "start", "")
		if started.Err != "" {
			t.Fatal(started.Err)
		}
		m := mover{bench{ctx, h}, p, rootOf(started.PID)}
		t.Run("done", m.done)
		t.Run("parallel", m.parallel)
		t.Run("encrypted", m.encrypted)
		t.Run("post-copy", m.postCopy)
		t.Run("persistent VM", m.persistent)
		t.Run("abandoned by the caller", m.abandoned)
		t.Run("aborted", m.aborted)
		t.Run("link cut", m.cut)
		t.Run("target unreachable", m.unreachable)
	})
	if err := errors.Join(h.Close(), d.stop(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t)
}

type mover struct {
	bench
	peer *peer
	root string // host B's file tree, seen from host A
}

// rootOf is the file tree that a process sees.
func rootOf(pid int) string { return fmt.Sprintf("/proc/%d/root", pid) }

func (m mover) request(vm string) agent.MigrateRequest {
	return agent.MigrateRequest{
		VM:         vm,
		PeerURI:    "qemu+unix:///system?socket=" + m.root + "/run/libvirt/libvirt-sock",
		MigrateURI: "unix://" + memorySocket,
	}
}

func (m mover) migrate(ctx context.Context, r agent.MigrateRequest) <-chan error {
	done := make(chan error, 1)
	go func() { done <- m.h.Migrate(ctx, r) }()
	return done
}

func (m mover) peerSees(t *testing.T, vm string, want agent.Sighting) {
	t.Helper()
	r := m.peer.ask(t, "look", vm)
	if diff := cmp.Diff(want, r.Sighting); diff != "" || r.Err != "" {
		t.Errorf("host B (%s) (-want +got):\n%s", r.Err, diff)
	}
}

func (m mover) destroyAtPeer(t *testing.T, vm string) {
	t.Helper()
	if r := m.peer.ask(t, "destroy", vm); r.Err != "" {
		t.Errorf("host B: %s", r.Err)
	}
}

// untilHeld waits until the migration's memory stands before the gate, and
// returns the job at that moment.
func (m mover) untilHeld(t *testing.T, g *gate, vm string) agent.Job {
	t.Helper()
	select {
	case <-g.arrived:
	case <-m.ctx.Done():
		t.Fatal("no memory arrived at the gate")
	}
	j, err := m.h.Job(m.ctx, vm)
	if err != nil {
		t.Fatalf("Job: %v", err)
	}
	return j
}

// untilEnded waits until no job runs on the VM at either host any more.
func (m mover) untilEnded(t *testing.T, vm string) {
	t.Helper()
	for {
		s, err := m.h.Look(m.ctx, vm)
		if err != nil {
			t.Fatal(err)
		}
		r := m.peer.ask(t, "look", vm)
		if r.Err != "" {
			t.Fatal(r.Err)
		}
		if !s.JobRunning && !r.Sighting.JobRunning {
			return
		}
	}
}

var (
	absent  = agent.Sighting{State: agent.RunStateAbsent}
	running = agent.Sighting{State: agent.RunStateRunning, Process: true}
)

func (m mover) done(t *testing.T) {
	m.start(t, "one", vmOne, 1)
	if err := m.h.Stamp(m.ctx, vmOne, "order-7"); err != nil {
		t.Fatal(err)
	}
	events, err := m.h.Events(m.ctx)
	if err != nil {
		t.Fatal(err)
	}
	before := m.only(t)
	g := openGate(t, m.root)
	r := m.request(vmOne)
	r.BandwidthBytesPerSec, r.MaxDowntime = 64<<20, 400*time.Millisecond
	result := m.migrate(m.ctx, r)

	j := m.untilHeld(t, g, vmOne)
	if j.Incoming {
		t.Errorf("job at the source: %+v", j)
	}
	if ms := m.maxDowntime(t, vmOne); ms != 400 {
		t.Errorf("the longest downtime is %d ms, want 400", ms)
	}
	m.sees(t, vmOne, agent.Sighting{State: agent.RunStateRunning, Process: true, JobRunning: true})
	m.peerSees(t, vmOne, agent.Sighting{State: agent.RunStatePaused, Process: true, PausedByMigration: true, JobRunning: true})
	if !m.only(t).Migrating {
		t.Error("the source lists the VM as not migrating")
	}
	atPeer := m.peer.ask(t, "guests", "")
	if len(atPeer.Guests) != 1 || !atPeer.Guests[0].Migrating || !atPeer.Guests[0].Incoming || atPeer.Guests[0].PID == before.PID || atPeer.Guests[0].PID == 0 {
		t.Errorf("the target lists %+v (%s)", atPeer.Guests, atPeer.Err)
	}
	if r := m.peer.ask(t, "job", vmOne); !r.Job.Incoming || r.Err != "" {
		t.Errorf("job at the target: %+v (%s)", r.Job, r.Err)
	}

	g.release()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	m.sees(t, vmOne, absent)
	m.peerSees(t, vmOne, running)
	want := agent.Guest{UUID: vmOne, Name: "one", State: agent.RunStateRunning, MaxMemoryBytes: 64 << 20, Diskless: true, Order: "order-7"}
	atPeer = m.peer.ask(t, "guests", "")
	ignore := cmpopts.IgnoreFields(agent.Guest{}, "PID", "VCPUThreads")
	if diff := cmp.Diff([]agent.Guest{want}, atPeer.Guests, ignore); diff != "" {
		t.Errorf("listed at the target (-want +got):\n%s", diff)
	}
	for e := range events {
		if e.What == "migrated" {
			break
		}
	}
	m.completed(t, vmOne)
	m.destroyAtPeer(t, vmOne)
}

func (m mover) maxDowntime(t *testing.T, vm string) (ms uint64) {
	t.Helper()
	id, _ := parseUUID(vm)
	err := m.h.call(m.ctx, "ask for the longest downtime", func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		ms, err = lv.DomainMigrateGetMaxDowntime(dom, 0)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return ms
}

// completed checks the figures that the target keeps of the job.
func (m mover) completed(t *testing.T, vm string) {
	t.Helper()
	r := m.peer.ask(t, "completed", vm)
	if r.Err != "" {
		t.Fatal(r.Err)
	}
	j := r.Job
	t.Logf("completed: %+v", j)
	if !j.Incoming || j.Downtime <= 0 || j.Elapsed <= 0 || j.Downtime > j.Elapsed || j.ProcessedBytes <= 0 || j.TotalBytes < 64<<20 || j.RemainingBytes != 0 {
		t.Errorf("completed job: %+v", j)
	}
}

func (m mover) persistent(t *testing.T) {
	id, _ := parseUUID(vmTwo)
	err := m.h.call(m.ctx, "define and start", func(lv *golibvirt.Libvirt) error {
		dom, err := lv.DomainDefineXML(guestXML("two", vmTwo, 1))
		if err != nil {
			return err
		}
		return lv.DomainCreate(dom)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !m.only(t).Persistent {
		t.Error("listed as transient")
	}
	openGate(t, m.root).release()
	r := m.request(vmTwo)
	r.Persist, r.Undefine = true, true
	if err := m.h.Migrate(m.ctx, r); err != nil {
		t.Fatal(err)
	}
	at := m.peer.ask(t, "guests", "")
	if len(at.Guests) != 1 || !at.Guests[0].Persistent {
		t.Errorf("the target lists %+v (%s)", at.Guests, at.Err)
	}
	err = m.h.call(m.ctx, "look up", func(lv *golibvirt.Libvirt) error { _, err := lookup(lv, id); return err })
	if !errors.Is(err, ErrNoVM) {
		t.Errorf("still defined at the source: %v", err)
	}
	m.destroyAtPeer(t, vmTwo)
}

// abandoned: the caller goes away, the migration does not.
func (m mover) abandoned(t *testing.T) {
	m.start(t, "one", vmOne, 1)
	g := openGate(t, m.root)
	ctx, cancel := context.WithCancel(m.ctx)
	result := m.migrate(ctx, m.request(vmOne))
	m.untilHeld(t, g, vmOne)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Migrate: %v, want the context's end", err)
	}
	if _, err := m.h.Job(m.ctx, vmOne); err != nil {
		t.Errorf("the job ended with its caller: %v", err)
	}
	g.release()
	m.untilEnded(t, vmOne)
	m.sees(t, vmOne, absent)
	m.peerSees(t, vmOne, running)
	m.completed(t, vmOne)
	m.destroyAtPeer(t, vmOne)
}

func (m mover) aborted(t *testing.T) {
	m.start(t, "one", vmOne, 1)
	g := openGate(t, m.root)
	result := m.migrate(m.ctx, m.request(vmOne))
	m.untilHeld(t, g, vmOne)
	if err := m.h.Abort(m.ctx, vmOne); err != nil {
		t.Fatal(err)
	}
	g.release()
	m.stayed(t, <-result)
}

// stayed checks that a failed migration left the VM running at the source only.
func (m mover) stayed(t *testing.T, result error) {
	t.Helper()
	if e := (*Error)(nil); !errors.As(result, &e) {
		t.Errorf("Migrate: %v, want libvirt's refusal", result)
	}
	m.untilEnded(t, vmOne)
	m.sees(t, vmOne, running)
	m.peerSees(t, vmOne, absent)
	if _, err := m.h.Job(m.ctx, vmOne); !errors.Is(err, agent.ErrNoJob) {
		t.Errorf("Job: %v, want ErrNoJob", err)
	}
	if g := m.only(t); g.Migrating {
		t.Errorf("still listed as migrating: %+v", g)
	}
}

func (m mover) cut(t *testing.T) {
	m.start(t, "one", vmOne, 1)
	g := openGate(t, m.root)
	result := m.migrate(m.ctx, m.request(vmOne))
	m.untilHeld(t, g, vmOne)
	g.cut()
	m.stayed(t, <-result)
}

func (m mover) unreachable(t *testing.T) {
	m.start(t, "one", vmOne, 1)
	r := m.request(vmOne)
	r.PeerURI = "qemu+unix:///system?socket=/run/nobody-listens"
	m.stayed(t, m.h.Migrate(m.ctx, r))
}

// gate stands between the two QEMUs on the memory's way.
type gate struct {
	arrived chan struct{} // closed when the source's QEMU has connected
	open    chan struct{}
	broken  chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

func openGate(t *testing.T, root string) *gate {
	t.Helper()
	l, err := net.Listen("unix", memorySocket)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{arrived: make(chan struct{}), open: make(chan struct{}), broken: make(chan struct{})}
	g.wg.Go(func() {
		from, err := l.Accept()
		if err != nil {
			return // the part of the test ended without a migration
		}
		close(g.arrived)
		defer from.Close()
		g.pass(t, from, root)
	})
	t.Cleanup(func() {
		l.Close()
		g.cut()
		g.wg.Wait()
		os.Remove(root + memorySocket)
	})
	return g
}

func (g *gate) pass(t *testing.T, from net.Conn, root string) {
	select {
	case <-g.open:
	case <-g.broken:
		return
	}
	to, err := net.Dial("unix", root+memorySocket)
	if err != nil {
		t.Log("gate:", err) // an aborted migration's target listens no more
		return
	}
	defer to.Close()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(from, to) }) // a migration may end either side at any time
	_, _ = io.Copy(to, from)
	to.Close()
	back.Wait()
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func (g *gate) cut() { g.once.Do(func() { close(g.broken) }) }
