package libvirt

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/procfs"
)

const (
	vmOne   = "11111111-1111-4111-8111-111111111111"
	vmTwo   = "22222222-2222-4222-8222-222222222222"
	vmOther = "33333333-3333-4333-8333-333333333333"
)

// TestOnLibvirt drives the adapter against a real libvirtd and QEMU. The parts
// run in order on one daemon; each leaves no VM behind.
func TestOnLibvirt(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b := bench{ctx, h}
	t.Run("version", b.version)
	t.Run("daemon process", func(t *testing.T) { b.daemonPID(t, d) })
	t.Run("listing", b.listing)
	t.Run("absent VM", b.absent)
	t.Run("stamp", b.stamp)
	t.Run("remembered", b.remembered)
	t.Run("blocked", b.blocked)
	t.Run("events", b.events)
	t.Run("process of another host", b.otherHost)
	t.Run("hung monitor", b.hungMonitor)
	t.Run("daemon frozen", func(t *testing.T) { b.frozen(t, d) })
	t.Run("daemon restarted", func(t *testing.T) { d = b.restarted(t, d) })
	t.Run("closed", b.closed)
	if err := d.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t)
}

type bench struct {
	ctx context.Context // ends only if something hangs
	h   *Host
}

// start runs a VM until the part of the test ends.
func (b bench) start(t *testing.T, name, vm string, vcpus int) {
	t.Helper()
	if err := b.h.startGuest(b.ctx, guestXML(name, vm, vcpus)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.h.destroyGuest(b.ctx, vm); err != nil && !errors.Is(err, ErrNoVM) {
			t.Errorf("clean up: %v", err)
		}
	})
}

// only returns the one VM that is listed.
func (b bench) only(t *testing.T) agent.Guest {
	t.Helper()
	guests, err := b.h.Guests(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(guests) != 1 {
		t.Fatalf("%d VMs listed, want 1: %+v", len(guests), guests)
	}
	return guests[0]
}

func (b bench) sees(t *testing.T, vm string, want agent.Sighting) {
	t.Helper()
	got, err := b.h.Look(b.ctx, vm)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Look (-want +got):\n%s", diff)
	}
}

func (b bench) version(t *testing.T) {
	v, err := b.h.Version(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"libvirt": v.Libvirt, "QEMU": v.QEMU} {
		if major, _, _ := strings.Cut(text, "."); major == "0" || strings.Count(text, ".") != 2 {
			t.Errorf("%s version %q", what, text)
		}
	}
	if got := b.h.Socket(); got != "/run/libvirt/libvirt-sock" {
		t.Errorf("socket %s", got)
	}
	// Where the modular daemon's socket is, it is asked; here it leads to the same daemon.
	const modular = "/run/libvirt/virtqemud-sock"
	if err := os.Symlink("libvirt-sock", modular); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(modular)
	h := open(t, Config{})
	if again, err := h.Version(b.ctx); err != nil || again != v || h.Socket() != modular {
		t.Errorf("at %s: %+v, %v, want %+v", h.Socket(), again, err, v)
	}
	if got := b.h.URI(); got != "qemu:///system" {
		t.Errorf("URI %s", got)
	}
}

func (b bench) daemonPID(t *testing.T, d *daemon) {
	want := d.cmd.Process.Pid
	if got, err := b.h.DaemonPID(b.ctx); err != nil || got != want {
		t.Errorf("the daemon is process %d, %v, want %d", got, err, want)
	}
	// With socket activation only the pid file tells.
	if got := b.h.qemus.daemonFromPIDFile(); got != want {
		t.Errorf("the pid file says %d, want %d", got, want)
	}
	if b.h.qemus.isDaemon(os.Getpid()) || b.h.qemus.isDaemon(0) {
		t.Error("this test passes for a libvirt daemon")
	}
	if cpus, from, err := procfs.Host().GuestCPUs(want); err != nil || len(cpus) == 0 {
		t.Errorf("CPUs for guests %s from %s, %v", cpus, from, err)
	}
}

func (b bench) listing(t *testing.T) {
	b.start(t, "one", vmOne, 2)
	g := b.only(t)
	pid, tids := g.PID, g.VCPUThreads
	g.PID, g.VCPUThreads = 0, nil
	want := agent.Guest{UUID: vmOne, Name: "one", State: agent.RunStateRunning, MaxMemoryBytes: 64 << 20, Diskless: true}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("guest (-want +got):\n%s", diff)
	}
	if len(tids) != 2 {
		t.Fatalf("vCPU threads %v, want 2", tids)
	}
	for i, tid := range tids {
		comm, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid) + "/comm")
		if want := "CPU " + strconv.Itoa(i) + "/TCG\n"; err != nil || string(comm) != want {
			t.Errorf("vCPU %d is thread %q (%v), want %q", i, comm, err, want)
		}
		s, err := procfs.Host().Schedstat(pid, tid)
		if err != nil || s.Timeslices == 0 {
			t.Errorf("schedstat of vCPU %d: %+v, %v", i, s, err)
		}
	}
	// The pid file misleads nobody, and the VM is found without it.
	removePIDFile(t, "one")
	if got := b.only(t).PID; got != pid {
		t.Errorf("without its pid file QEMU is %d, want %d", got, pid)
	}
	b.sees(t, vmOne, agent.Sighting{State: agent.RunStateRunning, Process: true})
	if err := b.h.destroyGuest(b.ctx, vmOne); err != nil {
		t.Fatal(err)
	}
	b.sees(t, vmOne, agent.Sighting{})
}

func (b bench) absent(t *testing.T) {
	b.sees(t, vmOther, agent.Sighting{State: agent.RunStateAbsent})
	b.noJob(t, vmOther)
	if err := b.h.Stamp(b.ctx, vmOther, "o-1"); !errors.Is(err, ErrNoVM) {
		t.Errorf("Stamp: %v, want ErrNoVM", err)
	}
	err := b.h.Migrate(b.ctx, agent.MigrateRequest{VM: vmOther, PeerURI: "qemu+tcp://127.0.0.1/system", MigrateURI: "tcp://127.0.0.1"})
	if !errors.Is(err, ErrNoVM) {
		t.Errorf("Migrate: %v, want ErrNoVM", err)
	}
	if guests, err := b.h.Guests(b.ctx); err != nil || len(guests) != 0 {
		t.Errorf("Guests: %v, %v", guests, err)
	}
	// A VM that is defined but does not run is absent as well.
	define := func(lv *golibvirt.Libvirt) error {
		_, err := lv.DomainDefineXML(guestXML("off", vmTwo, 1))
		return err
	}
	if err := b.h.call(b.ctx, "define", define); err != nil {
		t.Fatal(err)
	}
	b.sees(t, vmTwo, agent.Sighting{State: agent.RunStateAbsent})
	b.noJob(t, vmTwo)
	if guests, err := b.h.Guests(b.ctx); err != nil || len(guests) != 0 {
		t.Errorf("Guests: %v, %v", guests, err)
	}
	b.undefine(t, vmTwo)
}

func (b bench) undefine(t *testing.T, vm string) {
	t.Helper()
	id, _ := parseUUID(vm)
	err := b.h.call(b.ctx, "undefine", func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainUndefine(dom)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b bench) noJob(t *testing.T, vm string) {
	t.Helper()
	if j, err := b.h.Job(b.ctx, vm); !errors.Is(err, agent.ErrNoJob) {
		t.Errorf("Job: %+v, %v, want ErrNoJob", j, err)
	}
	if j, err := b.h.CompletedJob(b.ctx, vm); !errors.Is(err, agent.ErrNoJob) {
		t.Errorf("CompletedJob: %+v, %v, want ErrNoJob", j, err)
	}
	if err := b.h.Abort(b.ctx, vm); !errors.Is(err, agent.ErrNoJob) {
		t.Errorf("Abort: %v, want ErrNoJob", err)
	}
}

func (b bench) stamp(t *testing.T) {
	b.start(t, "one", vmOne, 1)
	b.noJob(t, vmOne)
	for _, order := range []string{"0190c2f3-order", "second"} {
		if err := b.h.Stamp(b.ctx, vmOne, order); err != nil {
			t.Fatal(err)
		}
		if got := b.only(t).Order; got != order {
			t.Errorf("stamped %q, read back %q", order, got)
		}
	}
	for _, bad := range []string{"", "a'/><x", strings.Repeat("o", maxOrder+1), "ü"} {
		if err := b.h.Stamp(b.ctx, vmOne, bad); err == nil {
			t.Errorf("Stamp took %q", bad)
		}
	}
}

// remembered VMs are listed as they are: what changes one changes its status
// file.
// blocked asks about a VM that may go, and about one with a device of which QEMU
// alone knows that it does not travel. Nothing is left of either question.
func (b bench) blocked(t *testing.T) {
	ask := func(vm string) error {
		return b.h.Lets(b.ctx, agent.MigrateRequest{VM: vm, PeerURI: "qemu+tcp://192.0.2.1/system", MigrateURI: "tcp://192.0.2.1", Persist: true, AutoConverge: true, Parallel: 2})
	}
	b.start(t, "one", vmOne, 1)
	if err := ask(vmOne); err != nil {
		t.Errorf("it may go: %v", err)
	}
	stays := "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-device'/><qemu:arg value='nvme,serial=x'/></qemu:commandline></domain>"
	if err := b.h.startGuest(b.ctx, strings.Replace(guestXML("two", vmTwo, 1), "</domain>", stays, 1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.h.destroyGuest(b.ctx, vmTwo); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	if err := ask(vmTwo); !errors.Is(err, agent.ErrBlocked) || !strings.Contains(err.Error(), "nvme") {
		t.Errorf("it may not go: %v", err)
	}
	if err := ask(vmOther); !errors.Is(err, ErrNoVM) {
		t.Errorf("there is no such VM: %v", err)
	}
	for _, vm := range []string{vmOne, vmTwo} {
		b.sees(t, vm, agent.Sighting{State: agent.RunStateRunning, Process: true})
		b.noJob(t, vm)
	}
}

func (b bench) remembered(t *testing.T) {
	b.start(t, "one", vmOne, 1)
	b.untilRemembered(t)
	first := b.only(t)
	if again := b.only(t); !cmp.Equal(first, again) || len(first.VCPUThreads) != 1 || first.PID == 0 {
		t.Errorf("%+v, then %+v", first, again)
	}
	if err := b.h.Stamp(b.ctx, vmOne, "order"); err != nil {
		t.Fatal(err)
	}
	if got := b.only(t).Order; got != "order" {
		t.Errorf("stamped, and read back %q", got)
	}
	b.untilRemembered(t)
	b.plug(t, 2)
	if g := b.only(t); len(g.VCPUThreads) != 2 || g.Order != "order" {
		t.Errorf("with a second vCPU: %+v", g)
	}
	b.untilRemembered(t)
	if err := b.h.destroyGuest(b.ctx, vmOne); err != nil {
		t.Fatal(err)
	}
	if guests, err := b.h.Guests(b.ctx); err != nil || len(guests) != 0 {
		t.Errorf("after its end: %+v, %v", guests, err)
	}
	b.start(t, "one", vmOne, 1)
	if g := b.only(t); g.PID == first.PID || len(g.VCPUThreads) != 1 || g.Order != "" {
		t.Errorf("another process: %+v", g)
	}
}

// untilRemembered lists until a listing takes VM one from memory.
func (b bench) untilRemembered(t *testing.T) {
	t.Helper()
	for {
		b.only(t)
		if _, ok := b.h.known.recall(vmOne, "one", b.h.qemus.statusInfo("one"), time.Now(), b.h.qemus.proc); ok {
			return
		}
		select {
		case <-b.ctx.Done():
			t.Fatal("it is never remembered")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// plug gives the running VM one so many vCPUs.
func (b bench) plug(t *testing.T, vcpus uint32) {
	t.Helper()
	id, err := parseUUID(vmOne)
	if err != nil {
		t.Fatal(err)
	}
	err = b.h.call(b.ctx, "plug vCPUs", func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainSetVcpusFlags(dom, vcpus, uint32(golibvirt.DomainVCPULive))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b bench) events(t *testing.T) {
	ctx, cancel := context.WithCancel(b.ctx)
	events, err := b.h.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what string) {
		t.Helper()
		for e := range events {
			if e.UUID != vmOne {
				t.Fatalf("event of %q", e.UUID)
			}
			if e.What == what {
				return
			}
		}
		t.Fatalf("stream ended before %q", what)
	}
	b.start(t, "one", vmOne, 1)
	expect("started") // libvirt sends "resumed" before it
	id, _ := parseUUID(vmOne)
	suspend := func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainSuspend(dom)
	}
	if err := b.h.call(ctx, "suspend", suspend); err != nil {
		t.Fatal(err)
	}
	expect("suspended")
	b.sees(t, vmOne, agent.Sighting{State: agent.RunStatePaused, Process: true})
	if err := b.h.destroyGuest(ctx, vmOne); err != nil {
		t.Fatal(err)
	}
	expect("stopped")
	cancel()
	for range events { // it must end
	}
}

// otherHost: a QEMU process with our VM's UUID that belongs to another host
// on the same kernel is not ours, and ours is not theirs.
func (b bench) otherHost(t *testing.T) {
	p := startPeer(t)
	if r := p.ask(t, "start", ""); r.Err != "" {
		t.Fatal(r.Err)
	}
	b.start(t, "one", vmOne, 1)
	removePIDFile(t, "one")
	pid := b.only(t).PID
	if r := p.ask(t, "create", vmOne); r.Err != "" {
		t.Fatal(r.Err)
	}
	r := p.ask(t, "guests", "")
	if r.Err != "" || len(r.Guests) != 1 || r.Guests[0].PID == pid || r.Guests[0].PID == 0 {
		t.Errorf("host B lists %+v (%s), ours is %d", r.Guests, r.Err, pid)
	}
	if got := b.only(t).PID; got != pid {
		t.Errorf("with host B's VM there QEMU is %d, want %d", got, pid)
	}
	if err := b.h.destroyGuest(b.ctx, vmOne); err != nil {
		t.Fatal(err)
	}
	b.sees(t, vmOne, agent.Sighting{})
	if r := p.ask(t, "look", vmOne); !r.Sighting.Process || r.Sighting.State != agent.RunStateRunning {
		t.Errorf("host B sees %+v (%s)", r.Sighting, r.Err)
	}
	if r := p.ask(t, "destroy", vmOne); r.Err != "" {
		t.Error(r.Err)
	}
}

// hungMonitor stops QEMU and lets another client wait for it, which holds the
// VM's job lock: listing answers as ever, Look says that a job may run.
func (b bench) hungMonitor(t *testing.T) {
	b.start(t, "one", vmOne, 1)
	b.start(t, "two", vmTwo, 1)
	id, _ := parseUUID(vmOne)
	pid := b.guest(t, vmOne).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer resume(t, pid)
	b.sees(t, vmTwo, agent.Sighting{State: agent.RunStateRunning, Process: true})

	blocked, release := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() {
		done <- b.h.call(blocked, "wait for a hung QEMU", func(lv *golibvirt.Libvirt) error {
			dom, err := lookup(lv, id)
			if err != nil {
				return err
			}
			return lv.DomainSuspend(dom)
		})
	}()
	b.untilOccupied(t, id)

	if g := b.guest(t, vmOne); g.PID != pid || g.State != agent.RunStateRunning || g.Migrating {
		t.Errorf("listed as %+v", g)
	}
	b.sees(t, vmOne, agent.Sighting{State: agent.RunStateRunning, Process: true, JobRunning: true})
	b.sees(t, vmTwo, agent.Sighting{State: agent.RunStateRunning, Process: true})
	short, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
	defer cancel()
	for what, err := range map[string]error{
		"Job":   func() error { _, err := b.h.Job(short, vmOne); return err }(),
		"Stamp": b.h.Stamp(short, vmOne, "o-1"),
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want its deadline", what, err)
		}
	}
	release()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("abandoned call: %v", err)
	}
	resume(t, pid)
	for {
		s, err := b.h.Look(b.ctx, vmOne)
		if err != nil {
			t.Fatal(err)
		}
		if !s.JobRunning {
			break
		}
	}
}

func resume(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Error(err)
	}
}

func (b bench) guest(t *testing.T, vm string) agent.Guest {
	t.Helper()
	guests, err := b.h.Guests(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(guests, func(g agent.Guest) bool { return g.UUID == vm })
	if i < 0 {
		t.Fatalf("VM %s is not listed: %+v", vm, guests)
	}
	return guests[i]
}

// untilOccupied waits until libvirt says that a command waits for QEMU.
func (b bench) untilOccupied(t *testing.T, vm golibvirt.UUID) {
	t.Helper()
	for state := uint32(golibvirt.DomainControlOk); state == uint32(golibvirt.DomainControlOk); {
		err := b.h.call(b.ctx, "ask for the control state", func(lv *golibvirt.Libvirt) error {
			dom, err := lookup(lv, vm)
			if err != nil {
				return err
			}
			state, _, _, err = lv.DomainGetControlInfo(dom, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// frozen stops the daemon: calls end by their context, and it goes on after.
func (b bench) frozen(t *testing.T, d *daemon) {
	if err := d.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
	defer cancel()
	for range maxCalls + maxIdle { // more than there are connections
		if _, err := b.h.Guests(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Guests: %v, want its deadline", err)
		}
	}
	if err := d.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if _, err := b.h.Guests(b.ctx); err != nil {
		t.Errorf("Guests after the freeze: %v", err)
	}
}

// restarted kills the daemon under a running VM and an event stream.
func (b bench) restarted(t *testing.T, d *daemon) *daemon {
	b.start(t, "one", vmOne, 1)
	before := b.only(t)
	events, err := b.h.Events(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range events { // ends because the connection is lost
	}
	for range 3 {
		if _, err := b.h.Guests(b.ctx); !errors.Is(err, agent.ErrDisconnected) {
			t.Errorf("Guests without a daemon: %v, want ErrDisconnected", err)
		}
	}
	if _, err := b.h.Look(b.ctx, vmOne); !errors.Is(err, agent.ErrDisconnected) {
		t.Errorf("Look without a daemon: %v, want ErrDisconnected", err)
	}
	if d, err = startDaemon(); err != nil {
		t.Fatal(err)
	}
	if err := untilUp(b.ctx, b.h); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, b.only(t)); diff != "" {
		t.Errorf("after the restart (-before +after):\n%s", diff)
	}
	return d
}

func (b bench) closed(t *testing.T) {
	events, err := b.h.Events(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.h.Close(); err != nil {
		t.Fatal(err)
	}
	for range events {
	}
	if _, err := b.h.Guests(b.ctx); !errors.Is(err, agent.ErrDisconnected) {
		t.Errorf("Guests of a closed Host: %v", err)
	}
	if err := b.h.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
