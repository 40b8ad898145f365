package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/wiretap"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// ordeal is a migration that something befalls: a fleet of hv1, hv2 and a
// witness, guests on hv1, and a tap at each libvirtd's socket.
type ordeal struct {
	t   *testing.T
	ctx context.Context
	d   *drill.Drill
	tap map[string]*wiretap.Tap
	vm  string // the VM that is moved
	// spent says that no other fault can begin from what this one leaves.
	spent bool

	than  uint64 // index of the newest move before this fault's
	from  time.Time
	pulse *drill.Pulse
}

// long says whether the slow cases are asked for.
func long() bool { return os.Getenv("EVENKEEL_LONG") != "" }

// kept is the fleet that the faults share, for to build one takes longer than
// most of them. A test that fails ends it, and so does every test that builds
// a fleet of its own.
var kept struct {
	d    *drill.Drill
	base string
}

// endFleet ends the shared fleet.
func endFleet() {
	if kept.d == nil {
		return
	}
	err := kept.d.Lab.Down(context.Background())
	if err = errors.Join(err, os.RemoveAll(kept.base)); err != nil {
		panic(fmt.Sprintf("a lab is left over: %v", err))
	}
	kept.d = nil
}

// defaults are the fleet's settings before each fault: bandwidth leaves a
// migration a few seconds in which to be hurt.
var defaults = map[string]string{
	"settle": "5s", "warm_up": "2s", "cooldown": "1s", "allow_unlocked": "true", "arrive_paused": "false", "bandwidth": "16MiB", "move_budget": "10m",
	"evidence_within": "15s", "freeze_after": "1000", "claim_within": "40s", "start_window": "40s",
}

// onFleet brings the shared fleet to its starting place: a quiet guest vm1 on
// hv1, nothing in flight, nothing that moves by itself.
func onFleet(t *testing.T, policy map[string]string) *ordeal {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	o := &ordeal{t: t, ctx: ctx, vm: "vm1", tap: map[string]*wiretap.Tap{}}
	if kept.d == nil {
		base, err := os.MkdirTemp("", "evenkeel-faults-")
		o.must(err)
		kept.base = base
		kept.d = &drill.Drill{Lab: raise(t, lab.Scenario{
			Description: "a guest on hv1, none on hv2; slow migrations, to be hurt",
			Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 4)}},
			Witness:     true, Mode: "off", Policy: defaults,
			Guests: []lab.Guest{{Name: "vm1", On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 << 20), Load: "cpu:10"}},
		}, base), Mute: map[string]bool{}}
	}
	o.d = kept.d
	t.Cleanup(func() {
		o.untap()
		if t.Failed() {
			for _, h := range o.d.Lab.Hosts() {
				logTail(t, o.d.Lab, h.Name)
			}
		}
		if t.Failed() || o.spent {
			endFleet()
		}
	})
	o.must(o.d.Lab.WaitBooted(ctx, "vm1"))
	o.home(policy)
	return o
}

// home brings the VM back to hv1 with nothing in flight and the settings as
// asked for, puts taps at both libvirtds, and begins to listen to its heart.
func (o *ordeal) home(policy map[string]string) {
	o.t.Helper()
	o.untap()
	settings := maps.Clone(defaults)
	maps.Copy(settings, policy)
	o.must(o.d.Set(o.ctx, settings))
	if at := o.d.Lab.GuestHosts(o.vm); slices.Equal(at, []string{"hv2"}) {
		o.back()
	}
	o.ready("hv2")
	for _, host := range []string{"hv1", "hv2"} {
		o.interpose(host)
	}
	o.than = o.newest().Index
	o.from, o.pulse = time.Now(), o.d.Listen()
}

// back moves the VM to hv1. A host whose daemon came up a moment ago may veto a
// move, for it has measured nothing yet: then it is ordered again.
func (o *ordeal) back() {
	o.t.Helper()
	ctx, cancel := context.WithTimeoutCause(o.ctx, 90*time.Second, errors.New("not within 90 s"))
	defer cancel()
	o.must(drill.Until(ctx, o.vm+" to be back on hv1", func() (bool, error) {
		_, err := o.evenkeel("migrate", o.vm, "hv1", "--yes")
		return slices.Equal(o.d.Lab.GuestHosts(o.vm), []string{"hv1"}), err
	}))
}

// guest adds a guest on hv1 for this fault alone, and makes it the VM that is
// moved. Its disk may be nil.
func (o *ordeal) guest(name, load string, disk *lab.Disk) {
	o.t.Helper()
	o.must(o.pulse.Stop())
	o.must(o.d.Lab.StartGuest(o.ctx, lab.Guest{Name: name, On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 << 20), Load: load, Disk: disk}))
	o.t.Cleanup(func() {
		if err := o.d.Lab.StopGuest(context.Background(), name); err != nil {
			o.t.Error(err)
		}
	})
	o.must(o.d.Lab.WaitBooted(o.ctx, name))
	o.vm = name
	o.ready("hv2")
	o.from, o.pulse = time.Now(), o.d.Listen()
}

func (o *ordeal) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// interpose puts a tap at a host's libvirtd.
func (o *ordeal) interpose(host string) {
	o.t.Helper()
	path, err := o.d.Lab.LibvirtSocket(host)
	o.must(err)
	tap, err := wiretap.Open(path)
	o.must(err)
	o.tap[host] = tap
}

// untap takes the taps away when the fleet's test ends.
func (o *ordeal) untap() {
	for host, tap := range o.tap {
		delete(o.tap, host)
		if err := tap.Close(); err != nil {
			o.t.Error(err)
		}
	}
}

// in is the ordeal within a test of its own.
func (o *ordeal) in(t *testing.T) *ordeal {
	within := *o
	within.t = t
	t.Cleanup(func() { o.from, o.pulse = within.from, within.pulse })
	return &within
}

// ready waits until vm1 could move to a host.
func (o *ordeal) ready(target string) {
	o.t.Helper()
	said := ""
	o.must(drill.Until(o.ctx, "vm1 to be able to move to "+target, func() (bool, error) {
		_, err := o.evenkeel("migrate", o.vm, target, "--dry-run")
		if answer := fmt.Sprint(err); err != nil && answer != said {
			said = answer
			o.t.Log("not yet: ", answer)
		}
		return err == nil, err
	}))
}

// evenkeel asks the witness's daemon, as an operator would.
func (o *ordeal) evenkeel(args ...string) (string, error) {
	return o.d.Lab.Exec(o.ctx, "witness", append([]string{"evenkeel"}, args...)...)
}

// transient are refusals of a fleet that has just changed its leader, or has a
// daemon that came up a moment ago.
var transient = []cluster.Code{cluster.CodeStaleTerm, cluster.CodeStalePlan, cluster.CodeStaleSnapshot, cluster.CodeNotReady, cluster.CodeNotChecked, cluster.CodePoorQuality}

// move orders the VM to hv2 and does not wait. An order that crosses a change
// of leader is refused, and given again.
func (o *ordeal) move() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, 20*time.Second)
	defer cancel()
	o.must(drill.Until(ctx, "the order to be taken", func() (bool, error) {
		_, err := o.evenkeel("migrate", o.vm, "hv2", "--yes", "--no-wait", "--reason", o.t.Name())
		if err != nil && !slices.ContainsFunc(transient, func(c cluster.Code) bool { return strings.Contains(err.Error(), string(c)) }) {
			o.t.Fatal(err)
		}
		return err == nil, err
	}))
}

// reached waits until a migration has come to a stop. A move that its source
// gave back, because libvirt was not to be had for a moment, is ordered again.
func (o *ordeal) reached(s *wiretap.Stop) {
	o.t.Helper()
	given := ""
	for until := time.Now().Add(90 * time.Second); time.Now().Before(until) && o.ctx.Err() == nil; {
		select {
		case <-s.Reached():
			return
		case <-time.After(500 * time.Millisecond):
		}
		if m := o.newest(); m.Index > o.than && m.ID != given && (m.State == cluster.MoveReleased || m.State == cluster.MoveVetoed) && slices.Contains(transient, m.WhyCode) {
			given = m.ID
			o.move()
		}
	}
	o.t.Fatalf("the migration has not come to %v within 90 s; moves: %s", s, words([]api.Move{o.newest()}))
}

// newest is the newest move, or none.
func (o *ordeal) newest() api.Move {
	moves, err := o.d.Moves(o.ctx)
	if err != nil || len(moves) == 0 {
		return api.Move{}
	}
	return moves[0]
}

// until waits for the newest move to be in one of the given states.
func (o *ordeal) until(within time.Duration, states ...cluster.MoveState) api.Move {
	o.t.Helper()
	return o.untilNewer(o.than, within, states...)
}

// untilNewer does that for a move that is newer than an index.
func (o *ordeal) untilNewer(than uint64, within time.Duration, states ...cluster.MoveState) api.Move {
	o.t.Helper()
	ctx, cancel := context.WithTimeoutCause(o.ctx, within, fmt.Errorf("not within %v", within))
	defer cancel()
	var m api.Move
	err := drill.Until(ctx, fmt.Sprintf("a move that is one of %v", states), func() (bool, error) {
		moves, err := o.d.Moves(ctx)
		if moves = newer(moves, than); err != nil || len(moves) == 0 {
			return false, errors.Join(err, errors.New("no move"))
		}
		m = moves[0]
		return slices.Contains(states, m.State), errors.New(words(moves[:1]))
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Logf("%s\n  report: %s\n  source: %+v\n  target: %+v", words([]api.Move{m}), m.Report, m.AtSource, m.AtTarget)
	return m
}

// copying waits until a migration has begun to copy memory.
func (o *ordeal) copying() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, 60*time.Second)
	defer cancel()
	given := ""
	o.must(drill.Until(ctx, "memory to be copied", func() (bool, error) {
		m := o.newest()
		// An end that has just started and has no figures yet gives a move back.
		if (m.State == cluster.MoveVetoed || m.State == cluster.MoveReleased) && m.ID != given && slices.Contains(transient, m.WhyCode) {
			given = m.ID
			o.move()
		}
		return m.State == cluster.MoveRunning && m.Progress.ProcessedBytes > 0, errors.New(words([]api.Move{m}))
	}))
}

// on fails unless vm1 has a QEMU on exactly these hosts, and runs there.
func (o *ordeal) on(hosts ...string) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, 20*time.Second)
	defer cancel()
	o.must(drill.Until(ctx, fmt.Sprintf("vm1 to run on %v", hosts), func() (bool, error) {
		at := map[string]string{}
		for _, h := range []string{"hv1", "hv2"} {
			if state, err := o.d.Lab.Exec(ctx, h, "virsh", "domstate", o.vm); err == nil {
				at[h] = strings.TrimSpace(state)
			}
		}
		ok := slices.Equal(o.d.Lab.GuestHosts(o.vm), hosts) && len(at) >= len(hosts)
		for _, h := range hosts {
			ok = ok && at[h] == "running"
		}
		return ok, fmt.Errorf("QEMU on %v, libvirt says %v", o.d.Lab.GuestHosts(o.vm), at)
	}))
}

// told waits for an event of a kind that says all of the given things.
func (o *ordeal) told(kind string, texts ...string) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, 30*time.Second)
	defer cancel()
	o.must(drill.Until(ctx, fmt.Sprintf("an event that says %q", texts), func() (bool, error) {
		events, err := o.evenkeel("events", "--kind", kind)
		for line := range strings.Lines(events) {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
				return true, nil
			}
		}
		return false, errors.Join(err, errors.New(events))
	}))
}

// oneBoot fails if a guest was restarted, or stands still. It allows for the
// beats that came twice while two copies ran.
func (o *ordeal) oneBoot() {
	o.t.Helper()
	o.alive()
	if err := o.pulse.Stop(); err != nil {
		o.t.Error(err)
	}
	for _, g := range o.d.Lab.Guests() {
		if r := o.pulse.Since(g.Name, o.from); r.Boots != 1 || r.Missing > 0 {
			o.t.Errorf("guest %s: %d boots, %d beats missing", g.Name, r.Boots, r.Missing)
		}
	}
}

// unbroken judges all heartbeats: one boot, none lost, none twice, no gap above
// the given one. It waits for one more beat first: a VM that stands still would
// pass otherwise.
func (o *ordeal) unbroken(gap time.Duration) {
	o.t.Helper()
	o.alive()
	if err := o.pulse.Stop(); err != nil {
		o.t.Error(err)
	}
	for _, g := range o.d.Lab.Guests() {
		r := o.pulse.Since(g.Name, o.from)
		o.t.Logf("%s: %d beats, longest gap %v", g.Name, r.Beats, max(r.LongestGap, r.ArrivalGap).Round(time.Millisecond))
		if err := r.Unbroken(gap); err != nil {
			o.t.Errorf("guest %s: %v", g.Name, err)
		}
	}
}

// alive waits until every guest's heart has beaten again.
func (o *ordeal) alive() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, 30*time.Second)
	defer cancel()
	now := time.Now()
	for _, g := range o.d.Lab.Guests() {
		o.must(drill.Until(ctx, g.Name+"'s heart to beat", func() (bool, error) { return o.pulse.Since(g.Name, now).Beats >= 2, nil }))
	}
}

// quarantined fails unless the operator is told: an event of the unknown
// outcome, the VM's state, and that no other move of it is accepted.
func (o *ordeal) quarantined() {
	o.t.Helper()
	o.told("move-unknown", o.newest().ID+": "+o.vm, "has an unknown outcome")
	if _, err := o.evenkeel("migrate", o.vm, "hv1", "--yes"); err == nil {
		o.t.Error("a quarantined VM may be moved")
	}
	vms, err := o.d.VMs(o.ctx)
	if err != nil || !slices.ContainsFunc(vms, func(v api.VM) bool { return v.Name == o.vm && v.State == api.VMQuarantined }) {
		o.t.Errorf("vm1 is not shown as quarantined: %+v, %v", vms, err)
	}
}
