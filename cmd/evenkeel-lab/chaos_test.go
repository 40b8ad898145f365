package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

var (
	chaosRounds = flag.Int("rounds", 5, "rounds of TestChaos")
	chaosSeed   = flag.Uint64("seed", 1, "seed of TestChaos: the same one draws the same faults, as long as the fleet does the same")
)

// chaosPolicy makes a fleet that moves VMs as often as it can, slowly enough to
// be hurt, and that forgives. It keeps the limits of moves in flight, for they
// are laws that the rounds judge.
var chaosPolicy = map[string]string{
	"profile": "fast", "settle": "5s", "warm_up": "2s", "cooldown": "1s", "per_hour": "10000", "per_day": "10000",
	"vm_moves_per_day": "0", "vm_downtime_per_day": "0s", "allow_unlocked": "true", "bandwidth": "16MiB", "move_budget": "30s",
	"evidence_within": "15s", "freeze_after": "1000", "per_host": "2", "per_cluster": "3",
}

// The limits of chaosPolicy.
const chaosPerHost, chaosPerCluster = 2, 3

// arrivals are what the policy says of VMs without locks, by turns.
var arrivals = []map[string]string{
	{"arrive_paused": "true", "allow_unlocked": "false"},
	{"arrive_paused": "false", "allow_unlocked": "true"},
}

// chaos is a fleet that is hurt at random, round after round, while it
// balances.
type chaos struct {
	d       *drill.Drill
	struck  map[string]int            // faults by kind
	ended   map[cluster.MoveState]int // moves by how they ended
	unknown map[string]int            // unknown outcomes, by what ended them
	hands   map[string]int            // VMs that a person had to help, by why
}

// TestChaos draws faults of all kinds and strikes them while VMs move, by
// evenkeel's own decision and by order. After each round it looks at the fleet
// from the outside: each VM runs exactly once, was never started anew, and lost
// no heartbeat, unless a fault explains it that nobody can prevent; the disks of
// those that have one hold one unbroken chain of writes, unless they have no lock
// and such a fault let them run twice; what State says is what
// the hypervisors say; no limit of moves in flight was broken.
func TestChaos(t *testing.T) {
	guest := func(name, on, load string, disk *lab.Disk) lab.Guest {
		return lab.Guest{Name: name, On: on, VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB), Load: load, Disk: disk}
	}
	// One disk has a lock that both hosts respect, the other has none.
	locked := &lab.Disk{Size: lab.Bytes(32 << 20), Shared: true, Load: "chain:4096x1@1s"}
	unlocked := &lab.Disk{Size: lab.Bytes(32 << 20), Served: true, Load: "chain:4096x1@1s"}
	hypervisor := func(name string) lab.Hypervisor {
		return lab.Hypervisor{Name: name, Memory: lab.Bytes(4 * cluster.GiB)}
	}
	c := &chaos{
		d: fleet(t, lab.Scenario{
			Description: "three hypervisors, five guests in changing need",
			Hypervisors: []lab.Hypervisor{hypervisor("hv1"), hypervisor("hv2"), hypervisor("hv3")}, Witness: true,
			Mode: "auto", Policy: chaosPolicy,
			Guests: []lab.Guest{
				guest("web", "hv1", "cpu:90@25s,cpu:5@25s", locked), guest("db", "hv1", "cpu:5@20s,cpu:90@20s", unlocked),
				guest("mail", "hv2", "cpu:30", nil), guest("batch", "hv3", "cpu:10", nil), guest("idle", "hv3", "cpu:2", nil),
			},
		}),
		struck: map[string]int{}, ended: map[cluster.MoveState]int{}, unknown: map[string]int{}, hands: map[string]int{},
	}
	begin, done := time.Now(), 0
	defer func() {
		t.Logf("%d rounds with seed %d in %v\n  faults: %s\n  moves: %s\n  unknown outcomes, ended by: %s\n  VMs that a person had to help: %s",
			done, *chaosSeed, time.Since(begin).Round(time.Second), counted(c.struck), counted(c.ended), counted(c.unknown), counted(c.hands))
	}()
	for n := range *chaosRounds {
		if !t.Run(fmt.Sprintf("%03d", n+1), func(t *testing.T) { c.round(t, n) }) {
			return // the next round would begin from a place that nobody knows
		}
		done++
	}
}

func counted[K cmp.Ordered](counts map[K]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%v %d", k, counts[k]))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// scene is one round.
type scene struct {
	*chaos
	t    *testing.T
	ctx  context.Context
	rng  *rand.Rand
	from time.Time
	than uint64 // index of the newest move before it
	// careful says that VMs without locks arrive paused, so that they must not
	// run twice either.
	careful bool
	pulse   *drill.Pulse
	// excused are guests to which something was done that no mover can prevent,
	// and what.
	excused map[string]string
	doubled map[string]bool      // guests that ran twice for a while
	reborn  map[string]bool      // guests that a fault has ended and a person has started again
	written map[string]uint64    // records of a guest's chain at the round's begin
	heard   map[string]time.Time // unknown moves, since when
}

func (c *chaos) round(t *testing.T, n int) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	s := &scene{
		chaos: c, t: t, ctx: ctx, rng: rand.New(rand.NewPCG(*chaosSeed, uint64(n))),
		excused: map[string]string{}, doubled: map[string]bool{}, reborn: map[string]bool{}, written: map[string]uint64{}, heard: map[string]time.Time{},
	}
	defer s.onFailure()
	s.must(c.d.Set(ctx, arrivals[n%len(arrivals)]))
	s.careful = n%len(arrivals) == 0
	s.begin()
	s.order()
	s.order()
	s.play(s.draw())
	s.calm()
	s.judge()
	if err := s.pulse.Stop(); err != nil && len(s.excused) == 0 {
		t.Error(err)
	}
	for _, m := range s.moves() {
		c.ended[m.State]++
	}
	t.Logf("%v; moves:%s", time.Since(s.from).Round(100*time.Millisecond), cmp.Or(words(s.moves()), " none"))
}

// onFailure shows what the daemons have to say.
func (s *scene) onFailure() {
	if !s.t.Failed() {
		return
	}
	s.t.Logf("moves:%s\nexcused: %v", words(s.moves()), s.excused)
	for _, g := range s.d.Lab.Guests() {
		s.t.Logf("%s: %v", g.Name, s.truth(g.Name))
		qemuLogs(s.t, s.d, g.Name)
	}
	for _, h := range s.d.Lab.Hosts() {
		logTail(s.t, s.d.Lab, h.Name)
	}
}

// qemuLogs shows what the QEMUs of a VM have to say.
func qemuLogs(t *testing.T, d *drill.Drill, guest string) {
	for _, h := range d.Lab.Hosts() {
		if h.Role != lab.RoleHypervisor {
			continue
		}
		out, err := d.Lab.Exec(context.Background(), h.Name, "tail", "-n", "12", "/var/log/libvirt/qemu/"+guest+".log")
		if err == nil {
			t.Logf("QEMU of %s on %s:\n%s", guest, h.Name, out)
		}
	}
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// begin lifts what the round before has left: cordons of hosts that emptied
// themselves under foreign hands, and the freeze that a second balancer causes.
func (s *scene) begin() {
	hosts, err := s.d.Hosts(s.ctx)
	s.must(err)
	for _, h := range hosts {
		if h.Cordon != nil {
			_, err := s.evenkeel("uncordon", h.Name)
			s.must(err)
		}
	}
	s.must(s.d.Mode(s.ctx, cluster.ModeAuto))
	moves, err := s.d.Moves(s.ctx)
	s.must(err)
	if len(moves) > 0 {
		s.than = moves[0].Index
	}
	s.from, s.pulse = time.Now(), s.d.Listen()
	s.alive()
	for _, g := range s.d.Lab.Guests() {
		if g.Disk != nil {
			last, err := s.d.Lab.DiskChain(g.Name)
			s.must(err)
			s.written[g.Name] = last.N
		}
	}
}

// evenkeel asks a daemon that answers, as an operator would.
func (s *scene) evenkeel(args ...string) (out string, err error) {
	err = errors.New("no daemon runs")
	for _, h := range s.d.Lab.Hosts() {
		if _, gone := s.d.Lab.AgentPID(h.Name); gone != nil || s.d.Mute[h.Name] {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
		out, err = s.d.Lab.Exec(ctx, h.Name, append([]string{"evenkeel"}, args...)...)
		if cancel(); err == nil {
			return out, nil
		}
	}
	return out, err
}

// moves are this round's, newest first.
func (s *scene) moves() []api.Move {
	moves, err := s.d.Moves(s.ctx)
	if err != nil {
		s.t.Log(err)
	}
	return newer(moves, s.than)
}

// alive waits until every guest's heart has beaten twice from now on.
func (s *scene) alive() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 40*time.Second)
	defer cancel()
	now, pulse := time.Now(), s.d.Listen()
	for _, g := range s.d.Lab.Guests() {
		s.must(drill.Until(ctx, g.Name+"'s heart to beat", func() (bool, error) { return pulse.Since(g.Name, now).Beats >= 2, nil }))
	}
	s.must(pulse.Stop())
}

// sight is a VM as a host's libvirt and kernel have it.
type sight struct {
	host, state string // libvirt's word; "" if it does not know the VM
	process     bool
}

// truth is what the hosts have of a VM.
func (s *scene) truth(guest string) (out []sight) {
	qemu := s.d.Lab.GuestHosts(guest)
	for _, h := range s.hypervisors() {
		at := sight{host: h, process: slices.Contains(qemu, h)}
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		if state, err := s.d.Lab.Exec(ctx, h, "virsh", "--quiet", "domstate", guest); err == nil {
			at.state = strings.TrimSpace(state)
		}
		if cancel(); at.process || at.state != "" {
			out = append(out, at)
		}
	}
	return out
}

func (s *scene) hypervisors() (out []string) {
	for _, h := range s.d.Lab.Hosts() {
		if h.Role == lab.RoleHypervisor {
			out = append(out, h.Name)
		}
	}
	return out
}
