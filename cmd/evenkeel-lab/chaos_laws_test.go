package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// calm waits until the fleet is well again: every host heard, no move live, no
// VM shown as anything but running. A person helps where only a person can.
func (s *scene) calm() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 4*time.Minute)
	defer cancel()
	s.must(drill.Until(ctx, "the fleet to be calm", func() (bool, error) {
		time.Sleep(500 * time.Millisecond)
		s.help()
		status, err := s.d.Status(ctx)
		if err != nil || status.Leader == nil {
			return false, errors.Join(err, errors.New("no leader"))
		}
		hosts, err := s.d.Hosts(ctx)
		if err != nil {
			return false, err
		}
		for _, h := range hosts {
			if !h.Fresh {
				return false, fmt.Errorf("%s is %s: %s", h.Name, h.State, h.Message)
			}
		}
		if moves := s.moves(); !settled(moves) {
			return false, errors.New(words(moves))
		}
		vms, err := s.d.VMs(ctx)
		if err != nil {
			return false, err
		}
		for _, vm := range vms {
			if vm.State != api.VMRunning {
				return false, fmt.Errorf("%s on %s is %s: %s", vm.Name, vm.Host, vm.State, vm.Message)
			}
		}
		return len(vms) == len(s.d.Lab.Guests()), fmt.Errorf("%d VMs", len(vms))
	}))
}

// help does what an operator does who is told of a VM in a state that evenkeel
// must not end by itself.
func (s *scene) help() {
	for _, m := range s.moves() {
		if m.State != cluster.MoveUnknown {
			continue
		}
		since, known := s.heard[m.ID]
		if !known {
			s.heard[m.ID] = time.Now()
			continue
		}
		if time.Since(since) < 25*time.Second {
			continue // the evidence may still come
		}
		s.heard[m.ID] = time.Now()
		s.decide(m)
	}
	for vm, why := range s.excused {
		if s.migrating(vm) {
			continue
		}
		at := s.truth(vm)
		switch {
		case len(at) == 0 && why == killed:
			s.rebirth(vm, killed)
		case len(at) == 2 && at[0].state == "running" && at[1].state == "running":
			s.doubled[vm] = true
			s.hands[why]++
			s.destroy(at[1].host, vm)
		}
	}
}

// rebirth starts a VM again that a fault has ended, or whose disk it has spoilt.
func (s *scene) rebirth(vm, why string) {
	g, err := s.d.Lab.Guest(vm)
	s.must(err)
	s.hands[why]++
	s.reborn[vm] = true
	s.must(s.d.Lab.StopGuest(s.ctx, vm)) // forget the dead one
	s.must(s.d.Lab.StartGuest(s.ctx, g.Guest))
	s.must(s.d.Lab.WaitBooted(s.ctx, vm))
}

func (s *scene) migrating(vm string) bool {
	return slices.ContainsFunc(s.moves(), func(m api.Move) bool { return m.VM == vm && m.State.Live() })
}

// decide ends an unknown outcome by what both hosts show.
func (s *scene) decide(m api.Move) {
	at := s.truth(m.VM)
	running := slices.DeleteFunc(slices.Clone(at), func(h sight) bool { return h.state != "running" })
	switch {
	case len(running) == 2:
		if s.excused[m.VM] == "" {
			s.t.Errorf("%s runs twice, and its disk is locked or nothing explains it: %v; %s", m.VM, at, words([]api.Move{m}))
		}
		s.doubled[m.VM] = true
		s.excused[m.VM] = "running twice: " + cmp.Or(s.excused[m.VM], "unexplained")
		s.hands[s.excused[m.VM]]++
		s.unknown["one copy destroyed"]++
		s.destroy(m.Target, m.VM)
	case len(running) == 0 && len(at) == 2 && at[0].state == "paused" && at[1].state == "paused":
		// Neither has run since the switch-over, and the target's is complete.
		s.hands["paused at both ends"]++
		s.unknown["the arrived copy resumed"]++
		s.destroy(m.Source, m.VM)
		_, err := s.d.Lab.Exec(s.ctx, m.Target, "virsh", "resume", m.VM)
		s.t.Logf("  virsh resume %s on %s: %s", m.VM, m.Target, cmp.Or(word(err), "done"))
	case len(running) == 1 && len(at) == 2:
		s.hands["a copy left behind"]++
		s.unknown["the copy left behind destroyed"]++
		for _, h := range at {
			if h.host != running[0].host {
				s.destroy(h.host, m.VM)
			}
		}
	case len(running) == 1:
		_, err := s.evenkeel("migrations", "resolve", m.ID, "--running-on", running[0].host, "--yes", "--reason", "I have looked")
		s.t.Logf("  resolve %s: %s", m.ID, cmp.Or(word(err), "taken"))
		s.unknown["a person's word"]++
	case len(at) == 0:
		if s.excused[m.VM] != killed {
			s.t.Errorf("%s runs nowhere, and nothing explains it: %s", m.VM, words([]api.Move{m}))
		}
		_, err := s.evenkeel("migrations", "resolve", m.ID, "--running-on", "none", "--yes", "--reason", "it was killed")
		s.t.Logf("  resolve %s: %s", m.ID, cmp.Or(word(err), "taken"))
		s.unknown["a person's word"]++
	}
}

func (s *scene) destroy(host, vm string) {
	_, err := s.d.Lab.Exec(s.ctx, host, "virsh", "destroy", vm)
	s.t.Logf("  virsh destroy %s on %s: %s", vm, host, cmp.Or(word(err), "done"))
}

// judge holds the fleet to the laws, from the outside.
func (s *scene) judge() {
	s.t.Helper()
	vms, err := s.d.VMs(s.ctx)
	s.must(err)
	for _, g := range s.d.Lab.Guests() {
		s.once(g.Name, vms)
	}
	s.alive()
	for _, g := range s.d.Lab.Guests() {
		if s.reborn[g.Name] {
			continue
		}
		r := s.pulse.Since(g.Name, s.from)
		if r.Boots != 1 || r.Missing > 0 || r.Disordered > 0 && s.excused[g.Name] == "" {
			s.t.Errorf("%s: %d boots, %d beats missing, %d out of order (excused: %q)", g.Name, r.Boots, r.Missing, r.Disordered, s.excused[g.Name])
		}
	}
	s.unbrokenChains()
	s.withinLimits()
	s.noPanic()
}

// unbrokenChains fails if a guest's disk shows that it ran twice or lost a
// write, or if the guest writes no more. A disk without a lock, to which two
// copies of its guest have written, is what a person restores.
func (s *scene) unbrokenChains() {
	for _, name := range slices.Sorted(maps.Keys(s.written)) {
		before := s.written[name]
		if s.doubled[name] && !s.locked(name) {
			s.rebirth(name, "two copies wrote to its disk")
			continue
		}
		last, err := s.d.Lab.DiskChain(name)
		if err != nil {
			s.t.Errorf("%s's disk: %v", name, err)
		} else if last.N <= before && !s.reborn[name] {
			s.t.Errorf("%s has written nothing to its disk since record %d", name, before)
		}
	}
}

// once fails unless a VM runs on one host, and State says the same.
func (s *scene) once(guest string, vms []api.VM) {
	s.t.Helper()
	at := s.truth(guest)
	if len(at) != 1 || at[0].state != "running" || !at[0].process {
		s.t.Errorf("%s: the hosts have %+v", guest, at)
		return
	}
	i := slices.IndexFunc(vms, func(v api.VM) bool { return v.Name == guest })
	if i < 0 || vms[i].Host != at[0].host {
		s.t.Errorf("%s runs on %s, and State has it as %+v", guest, at[0].host, vms[max(i, 0)])
	}
}

// withinLimits fails if more moves were in flight at once than the policy
// allows, or two of one VM.
func (s *scene) withinLimits() {
	moves := s.moves()
	for _, m := range moves {
		if m.StartedAt == (api.Time{}) {
			continue
		}
		var at []api.Move // in flight when it began, itself among them
		for _, o := range moves {
			if o.StartedAt != (api.Time{}) && !o.StartedAt.After(m.StartedAt.Time) && (o.EndedAt == (api.Time{}) || o.EndedAt.After(m.StartedAt.Time)) {
				at = append(at, o)
			}
		}
		perHost, perVM := map[string]int{}, map[string]int{}
		for _, o := range at {
			perHost[o.Source]++
			perHost[o.Target]++
			perVM[o.VM]++
		}
		if len(at) > chaosPerCluster || perHost[m.Source] > chaosPerHost || perHost[m.Target] > chaosPerHost || perVM[m.VM] > 1 {
			s.t.Errorf("too many moves in flight when %s began:%s", m.ID, words(at))
		}
	}
}

// noPanic fails if a daemon has panicked since the fleet was built.
func (s *scene) noPanic() {
	for _, h := range s.d.Lab.Hosts() {
		text, err := os.ReadFile(s.d.Lab.LogFile(h.Name, "evenkeeld"))
		if err != nil {
			s.t.Error(err)
		}
		for _, sign := range []string{"panic: ", "fatal error: "} {
			if i := bytes.Index(text, []byte(sign)); i >= 0 {
				s.t.Errorf("evenkeeld on %s: %.2000s", h.Name, text[i:])
			}
		}
	}
}
