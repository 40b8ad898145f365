package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/wiretap"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// fault is something that befalls a part of a host. The returned function takes
// it away again.
type fault struct {
	name   string
	part   string // of the host; two faults of one part do not overlap
	member bool   // befalls the witness too
	strike func(s *scene, host string) (heal func() error)
}

var faults = []fault{
	{"daemon killed", "agent", true, func(s *scene, host string) func() error {
		s.must(s.d.Lab.SignalAgent(s.ctx, host, syscall.SIGKILL))
		return func() error { return s.d.Lab.StartAgent(s.ctx, host) }
	}},
	{"daemon stopped", "agent", true, func(s *scene, host string) func() error {
		s.must(s.d.Lab.StopAgent(s.ctx, host))
		return func() error { return s.d.Lab.StartAgent(s.ctx, host) }
	}},
	{"daemon frozen", "agent", true, func(s *scene, host string) func() error {
		release := freeze(s.t, s.d, host)
		return func() error { release(); return nil }
	}},
	{"libvirtd killed", "libvirtd", false, func(s *scene, host string) func() error {
		s.must(s.d.Lab.SignalLibvirtd(s.ctx, host, syscall.SIGKILL))
		return func() error { return s.d.Lab.StartLibvirtd(s.ctx, host) }
	}},
	{"libvirtd frozen", "libvirtd", false, func(s *scene, host string) func() error {
		s.must(s.d.Lab.SignalLibvirtd(s.ctx, host, syscall.SIGSTOP))
		return func() error { return s.d.Lab.SignalLibvirtd(s.ctx, host, syscall.SIGCONT) }
	}},
	{"cable pulled", "link", true, func(s *scene, host string) func() error {
		s.must(s.d.Lab.SetLink(host, false))
		return func() error { return s.d.Lab.SetLink(host, true) }
	}},
	{"QEMUs frozen", "qemu", false, freezeQEMUs},
	{"arriving QEMU killed", "qemu", false, killArriving},
	{"message held, and lost", "libvirtd", false, func(s *scene, host string) func() error { return s.interpose(host, (*wiretap.Stop).Cut) }},
	{"message held", "libvirtd", false, func(s *scene, host string) func() error { return s.interpose(host, (*wiretap.Stop).Pass) }},
	{"moves cancelled", "operator", false, func(s *scene, _ string) func() error {
		for _, m := range s.moves() {
			if m.State.Live() {
				_, err := s.evenkeel("migrations", "cancel", m.ID, "--yes")
				s.t.Logf("  cancel %s: %s", m.ID, cmp.Or(word(err), "taken"))
			}
		}
		return nil
	}},
	{"another move ordered", "operator", false, func(s *scene, _ string) func() error { s.order(); return nil }},
	{"virsh migrate", "operator", false, moveByHand},
}

func word(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// freezeQEMUs stops the VMs of a host: their monitors hang.
func freezeQEMUs(s *scene, host string) func() error {
	var pids []int
	for _, g := range s.d.Lab.Guests() {
		if pid, err := s.d.Lab.QEMUPID(host, g.Name); err == nil && syscall.Kill(pid, syscall.SIGSTOP) == nil {
			pids = append(pids, pid)
		}
	}
	return func() (err error) {
		for _, pid := range pids {
			if e := syscall.Kill(pid, syscall.SIGCONT); !errors.Is(e, syscall.ESRCH) {
				err = errors.Join(err, e)
			}
		}
		return err
	}
}

// killed excuses everything.
const killed = "its QEMU was killed"

// killArriving kills the QEMU of a VM that is being copied to a host. One that
// has taken over meanwhile was the VM: then the VM is lost by the fault.
func killArriving(s *scene, host string) func() error {
	for _, m := range s.moves() {
		if m.State != cluster.MoveRunning || m.Target != host {
			continue
		}
		pid, err := s.d.Lab.QEMUPID(host, m.VM)
		if err != nil {
			continue
		}
		s.t.Logf("  the QEMU of %s", m.VM)
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			s.excused[m.VM] = killed
		}
	}
	return nil
}

// interpose holds one message of the next migration at a host's libvirtd.
func (s *scene) interpose(host string, end func(*wiretap.Stop)) func() error {
	path, err := s.d.Lab.LibvirtSocket(host)
	s.must(err)
	tap, err := wiretap.Open(path)
	s.must(err)
	procedures := []wiretap.Procedure{wiretap.Prepare, wiretap.Perform, wiretap.Finish, wiretap.Finish}
	stop := tap.Arm(procedures[s.rng.IntN(len(procedures))], []wiretap.Direction{wiretap.Call, wiretap.Reply}[s.rng.IntN(2)])
	s.t.Logf("  %v", stop)
	for _, m := range s.moves() {
		if m.State.Live() {
			s.excuseLoss(m.VM)
		}
	}
	return func() error {
		select {
		case <-stop.Reached():
			for _, m := range s.moves() {
				s.excuseLoss(m.VM)
			}
		default:
		}
		end(stop)
		return tap.Close() // ends every connection that came through it
	}
}

// excuse allows for a VM without locks what nobody can prevent. One whose disk
// is locked never runs twice.
func (s *scene) excuse(vm, why string) {
	if !s.locked(vm) && s.excused[vm] != killed {
		s.excused[vm] = why
	}
}

// locked says whether QEMU locks a VM's disk against a second copy on another
// host: a file's image it does, a network's (NBD) not.
func (s *scene) locked(vm string) bool {
	g, err := s.d.Lab.Guest(vm)
	s.must(err)
	return g.Disk != nil && g.Disk.Shared
}

// excuseLoss allows for a lost message: a reply to Finish that is lost leaves a
// VM without locks running twice, unless it arrives paused.
func (s *scene) excuseLoss(vm string) {
	if !s.careful {
		s.excuse(vm, "a message of its migration was lost")
	}
}

// moveByHand has a person migrate a VM past evenkeel.
func moveByHand(s *scene, _ string) func() error {
	vm, source, target, ok := s.pick()
	if !ok {
		return nil
	}
	h, err := s.d.Lab.Host(target)
	s.must(err)
	s.excuse(vm, "it was migrated by hand")
	// Patient: libvirtd goes on with the migration of a virsh that was killed.
	ctx, cancel := context.WithTimeout(s.ctx, 4*time.Minute)
	done := make(chan error, 1)
	go func() {
		_, err := s.d.Lab.Exec(ctx, source, "virsh", "migrate", "--live", "--p2p", vm, "qemu+tcp://"+h.Address+"/system", "tcp://"+h.Address)
		done <- err
	}()
	return func() error {
		defer cancel()
		s.t.Logf("  virsh migrate %s %s -> %s: %s", vm, source, target, cmp.Or(word(<-done), "done"))
		return nil
	}
}

// pick draws a VM that runs on one host, and a host for it.
func (s *scene) pick() (vm, source, target string, ok bool) {
	guests := s.d.Lab.Guests()
	vm = guests[s.rng.IntN(len(guests))].Name
	at, draw := s.d.Lab.GuestHosts(vm), s.rng.IntN(1<<20)
	if len(at) != 1 {
		return vm, "", "", false
	}
	others := slices.DeleteFunc(s.hypervisors(), func(h string) bool { return h == at[0] })
	return vm, at[0], others[draw%len(others)], true
}

// order has an operator move a VM. A refusal is an answer like another.
func (s *scene) order() {
	vm, source, target, ok := s.pick()
	if !ok {
		return
	}
	_, err := s.evenkeel("migrate", vm, target, "--yes", "--no-wait", "--reason", s.t.Name())
	s.t.Logf("  migrate %s %s -> %s: %s", vm, source, target, cmp.Or(word(err), "taken"))
}

// event is a moment of a round.
type event struct {
	at   time.Duration // since its begin
	what string
	do   func() error
}

// draw draws one to three faults, each with its host, its moment and its
// length, so that they may overlap. Two of three befall an end of a move that
// is under way.
func (s *scene) draw() (events []event) {
	taken, ends := map[string]bool{}, s.ends()
	for range 1 + s.rng.IntN(3) {
		f := faults[s.rng.IntN(len(faults))]
		hosts := s.hypervisors()
		if f.member {
			hosts = append(hosts, "witness")
		}
		host := hosts[s.rng.IntN(len(hosts))]
		if len(ends) > 0 && s.rng.IntN(3) > 0 {
			host = ends[s.rng.IntN(len(ends))]
		}
		at := 500*time.Millisecond + time.Duration(s.rng.IntN(5000))*time.Millisecond
		length := 200*time.Millisecond + time.Duration(s.rng.IntN(10000))*time.Millisecond
		if taken[f.part+host] {
			continue
		}
		taken[f.part+host] = true
		heal := func() error { return nil }
		events = append(events, event{at, fmt.Sprintf("%s on %s for %v", f.name, host, length), func() error {
			s.struck[f.name]++
			if h := f.strike(s, host); h != nil {
				heal = h
			}
			return nil
		}}, event{at + length, "", func() error { return heal() }})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return events
}

// ends are the hosts of the moves that are under way.
func (s *scene) ends() (hosts []string) {
	for _, m := range s.moves() {
		if m.State.Live() {
			hosts = append(hosts, m.Source, m.Target)
		}
	}
	return hosts
}

// play lets the events happen.
func (s *scene) play(events []event) {
	begin := time.Now()
	for _, e := range events {
		if d := e.at - time.Since(begin); d > 0 {
			time.Sleep(d)
		}
		if e.what != "" {
			s.t.Logf("%4.1f s %s", time.Since(begin).Seconds(), e.what)
		}
		if err := e.do(); err != nil {
			s.t.Error(err)
		}
	}
}
