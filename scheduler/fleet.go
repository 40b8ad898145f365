package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// fleet is the State as the planner looks at it: hosts with their VMs, and
// what the plan's own steps have changed so far.
type fleet struct {
	state    cluster.State // its Now is the plan's
	set      cluster.Settings
	policy   string
	asked    bool                    // an operator asks for the moves, see filters
	advise   bool                    // see Input
	hosts    []*host                 // sorted by id
	inFlight int                     // live moves, this plan's steps among them
	planned  int                     // steps of this plan
	weighed  int                     // candidates
	stopped  map[string]cluster.Move // by VM: its last move, if it ended otherwise than done
	moved    map[string]int          // by VM: its moves that ended done within a day
	movedAt  map[string]cluster.Time // by VM: when the last of those ended
	rates    rates
	lessons  lessons
	left     map[departure]bool      // moves that ended done within a day
	tails    tails                   // see tailsKnown
	worse    map[string]cluster.Move // by VM: its last move, if it made things worse within a day
	worseTo  map[string]cluster.Move // the same by target
	fitting  fits
	trials   map[cluster.Path]cluster.Trial // nil: see trialsKnown
	canary   bool                           // this plan has a step that is made alone
	borne    map[string]cluster.Disruption  // by VM
	seed     uint64
	pairs    map[*host]*host // who meets whom, nil until lots are drawn; see partner
	failover reserve
	rules    *cluster.Ruling
	book     *cluster.Rulebook
}

// departure is a VM and a host that it left.
type departure struct{ vm, host string }

// host is a hypervisor.
type host struct {
	id, name string
	member   cluster.Member
	state    cluster.Host
	load     cluster.Load
	unknown  *cluster.Refusal // why nothing may be concluded about it, nil if it is known
	pain     cluster.Ratio    // as measured
	vms      []*vm            // with figures, incoming ones of live moves included; see arrange
	dark     []cluster.VM     // VMs without figures: unknown, not idle
	rooms    []cluster.Room   // where its libvirt makes images
	offer    *cluster.Offer   // nil: it has not said what it offers
	inFlight int
	memory   cluster.Charge // VMs, live moves, this plan's steps
	gate     *fit           // nil: not asked yet, see fleet.gate

	cpus      float64 // capacity
	immovable float64 // CPUs used by what no move can shift
	work      float64 // CPUs demanded by VMs and what is immovable
	shared    float64 // CPUs that are shared
	sharers   []*vm   // who shares them: the VMs, and the host itself like a VM of as many vCPUs as CPUs
	vcpus     int     // of the VMs
	shares    float64 // of all sharers' threads
	latency   bool    // one of the VMs is of class latency
	now       outlook

	ring *ring // see past
}

// vm is a VM with figures, as it weighs on one host.
type vm struct {
	uuid, name string
	facts      cluster.VM
	vcpus      int
	demand     float64 // CPUs, of the vCPUs
	others     float64 // CPUs, of its other threads
	perVCPU    float64 // demand per vCPU, at most ceiling
	shares     float64 // CPU shares of each vCPU, 1 are the usual ones
	reach      float64 // what each vCPU can get at most of the CPUs that it is tied to; see tie
	ceiling    float64 // what its quota leaves each vCPU, 1 without one
	measured   cluster.Ratio
	arriving   bool     // weighs on this host, but is not on it yet
	home       *host    // that reports it
	then       *minutes // nil: not looked up yet, see past
	charge     cluster.Charge

	copies []cluster.DiskCopy // that would be copied along, by the policy
	weight classWeight        // of its class

	need *cluster.Need  // nil: its host has not said it
	from *cluster.Offer // of its host; nil: it has not said it

	pileUp float64 // how far demand rises when it is not met: 0 not at all, 1 to all of a CPU

	// What measuring says beyond the model, see calibrate.
	trust, extra float64
}

// work is all the CPU that a VM asks of its host.
func (v *vm) work() float64 { return v.demand + v.others }

// maxBookError is how far a host's measured waits may be off the kernel's own
// sums before nothing is concluded from them.
//
// The audit compares at moments at which the two must be equal, so any error is
// one; a hundredth is where it could change a decision.
const maxBookError = cluster.Ratio(10_000) // 1 %

func newFleet(in Input) *fleet { return fleetOf(in, false) }

// newAskedFleet is the fleet for moves that an operator asks for: what could
// not be measured does not keep a VM from them, and is taken to be as bad as
// it can be.
func newAskedFleet(in Input) *fleet { return fleetOf(in, true) }

func fleetOf(in Input, asked bool) *fleet {
	f := &fleet{state: in.State, set: in.State.Settings, policy: in.Policy, seed: in.Seed, asked: asked, advise: in.Advise}
	if !in.Now.IsZero() {
		f.state.Now = max(f.state.Now, cluster.TimeOf(in.Now))
	}
	if f.policy == "" {
		f.policy = f.set.Policy
	}
	f.borne = f.state.Disruptions()
	f.rules, f.book = f.state.Ruling(), f.state.Rulebook()
	f.recall()
	for id, h := range in.State.Hosts() {
		f.hosts = append(f.hosts, f.newHost(id, h))
	}
	f.describe()
	for _, h := range f.hosts {
		h.arrange()
		h.calibrate()
	}
	f.chargeLive()
	return f
}

// recall goes through the moves of the past.
func (f *fleet) recall() {
	f.stopped, f.moved, f.movedAt = map[string]cluster.Move{}, map[string]int{}, map[string]cluster.Time{}
	for _, m := range f.state.Foreigns {
		if f.state.Now.Sub(m.SeenAt) < 24*time.Hour {
			f.moved[m.VM]++
			f.movedAt[m.VM] = m.SeenAt
		}
	}
	f.left = map[departure]bool{}
	f.worse, f.worseTo, f.lessons = map[string]cluster.Move{}, map[string]cluster.Move{}, lessons{}
	later := map[string]bool{} // VMs with a later move, targets with one that was judged
	for _, m := range f.state.MovesBackward() {
		if m.Try {
			continue // it says nothing of what a migration would do
		}
		f.recallWorse(m, later)
		f.rates.learn(m, f.state.Now, f.set.MoveBudget)
		switch {
		case m.State == cluster.MoveDone && f.state.Now.Sub(m.EndedAt) < 24*time.Hour:
			f.lessons.learn(m)
			f.left[departure{m.VM, m.Source}] = true
			f.moved[m.VM]++
			f.movedAt[m.VM] = max(f.movedAt[m.VM], m.EndedAt)
		case m.State != cluster.MoveDone && !m.State.Live() && !later[m.VM]:
			f.stopped[m.VM] = m
		}
		// A move that was taken back is still the last that tells what comes of it.
		later[m.VM] = later[m.VM] || m.Code != cluster.CodeUndo
	}
}

// recallWorse notes a move that made things worse, unless a later one was
// judged otherwise. What other moves had a part in proves nothing.
func (f *fleet) recallWorse(m cluster.Move, later map[string]bool) {
	if m.State != cluster.MoveDone || m.VerifiedAt == 0 || f.state.Now.Sub(m.VerifiedAt) >= 24*time.Hour {
		return
	}
	worse := m.Verdict == cluster.VerdictWorse && m.WhyCode != cluster.CodeDisturbed
	if worse && !later[m.VM] {
		f.worse[m.VM] = m
	}
	if worse && !later[m.Target] {
		f.worseTo[m.Target] = m
	}
	later[m.Target] = true
}

func (f *fleet) newHost(id string, s cluster.Host) *host {
	m, _ := f.state.Member(id)
	h := &host{id: id, name: short(m.Name), member: m, state: s, memory: f.state.Charge(id)}
	beat, _ := s.Last()
	h.load = beat.Load
	h.pain = f.book.PainOf(s.Inventory, h.load)
	h.unknown = f.unknown(h)
	for _, facts := range s.Inventory.VMs {
		if facts.Incoming {
			continue // it lives elsewhere; its live move charges it
		}
		l, measured := h.load.VM(facts.Slot)
		switch {
		case measured && h.load.Inventory == s.Inventory.Revision && facts.VCPUs > 0:
			h.vms = append(h.vms, f.figures(h, facts, l))
		case f.asked && facts.VCPUs > 0:
			h.vms = append(h.vms, f.figures(h, facts, cluster.VMLoad{Demand: cluster.MilliCPU(1000 * facts.VCPUs)}))
		default:
			h.dark = append(h.dark, facts)
		}
	}
	for _, v := range h.vms {
		v.home, v.charge = h, f.state.ChargeOf(id, v.facts)
	}
	h.cpus, h.immovable = h.load.CPUs.CPUs(), h.load.Overhead.CPUs()
	if len(h.dark) > 0 {
		h.immovable = max(h.immovable, h.unattributed())
	}
	return h
}

// unattributed is the use of CPUs that no measured VM explains: while a VM is
// dark it is all that is known of it.
func (h *host) unattributed() float64 {
	use := h.load.Use
	for _, l := range h.load.VMs {
		use -= l.Run + l.Others
	}
	return use.CPUs()
}

func newVM(facts cluster.VM, l cluster.VMLoad) *vm {
	v := &vm{
		uuid: facts.UUID, name: short(facts.Name), facts: facts, vcpus: facts.VCPUs,
		others: l.Others.CPUs(), measured: l.Pain(), pileUp: 1, trust: 1, ceiling: 1, shares: 1, reach: 1, weight: weightOf(cluster.ClassNormal),
	}
	v.demand = min(l.Demand.CPUs(), float64(v.vcpus))
	v.perVCPU = v.demand / float64(v.vcpus)
	return v
}

// throttle bounds a VM by its own quota, 0 for none: it asks for no more, however
// much work piles up in it.
func (v *vm) throttle(quota cluster.MilliCPU) {
	if quota <= 0 {
		return
	}
	v.ceiling = min(quota.CPUs()/float64(v.vcpus), 1)
	v.demand = min(v.demand, quota.CPUs())
	v.perVCPU = v.demand / float64(v.vcpus)
}

// atMost is all the CPU that a VM's vCPUs can ask for.
func (v *vm) atMost() cluster.MilliCPU {
	return cluster.MilliCPU(float64(v.ceiling*float64(v.vcpus)*1000) + 0.5)
}

// unknown says why nothing may be concluded about a host, or nil.
func (f *fleet) unknown(h *host) *cluster.Refusal {
	beat, heard := h.state.Last()
	switch {
	case !heard:
		return no(cluster.CodeStaleSnapshot, "%s has sent no load snapshot yet", h.name)
	case !h.state.Fresh(f.state.Now):
		return no(cluster.CodeStaleSnapshot, "newest snapshot of %s is %v old", h.name, age(f.state.Now, beat.At))
	case f.asked:
		return nil
	case h.load.Source == cluster.SourceNone:
		return no(cluster.CodePoorQuality, "%s cannot measure its VMs", h.name)
	case h.load.BookError > maxBookError:
		return no(cluster.CodePoorQuality, "the waits of %s are %v off the kernel's own sums", h.name, h.load.BookError)
	}
	return nil
}

// chargeLive adds the VMs of live moves to the hosts that they are on the way
// to: until the outcome is known a VM weighs on both ends.
func (f *fleet) chargeLive() {
	_, f.inFlight = f.state.InFlight("")
	for _, h := range f.hosts {
		h.inFlight, _ = f.state.InFlight(h.id)
	}
	for m := range f.state.Live() {
		source, target := f.host(m.Source), f.host(m.Target)
		if source == nil || target == nil || target.find(m.VM) != nil {
			continue
		}
		if v := source.find(m.VM); v != nil {
			target.vms = append(target.vms, v.arrivingCopy())
			target.arrange()
		}
	}
}

func (v *vm) arrivingCopy() *vm {
	c := *v
	c.arriving, c.trust, c.extra = true, 1, 0
	return &c
}

func (h *host) find(uuid string) *vm {
	if i := slices.IndexFunc(h.vms, func(v *vm) bool { return v.uuid == uuid }); i >= 0 {
		return h.vms[i]
	}
	return nil
}

func (f *fleet) host(id string) *host {
	i, ok := slices.BinarySearchFunc(f.hosts, id, func(h *host, id string) int { return cmp.Compare(h.id, id) })
	if !ok {
		return nil
	}
	return f.hosts[i]
}

// arrange sorts the VMs by demand for their shares, as processor sharing serves
// them, and sums up. Sums follow that order too, so names have no part in them.
func (h *host) arrange() {
	h.tie()
	slices.SortFunc(h.vms, byDemand)
	h.work, h.shared, h.vcpus, h.latency = h.immovable, h.cpus, 0, false
	for _, v := range h.vms {
		h.work += v.work()
		h.shared -= v.others
		h.vcpus += v.vcpus
		h.latency = h.latency || v.weight.class == cluster.ClassLatency
	}
	self := &vm{vcpus: max(int(h.cpus+0.5), 1), shares: 1, reach: 1}
	self.perVCPU = min(h.immovable/float64(self.vcpus), 1)
	h.sharers = append(slices.Clone(h.vms), self)
	slices.SortFunc(h.sharers, byDemand)
	h.shares = 0
	for _, v := range h.sharers {
		h.shares += v.allShares()
	}
	h.now = h.outlook(nil, nil, 0)
	if h.ring != nil {
		h.ring.worst = nil
	}
}

func byDemand(a, b *vm) int {
	return cmp.Or(cmp.Compare(a.calls(), b.calls()), cmp.Compare(a.perVCPU, b.perVCPU), cmp.Compare(a.vcpus, b.vcpus), cmp.Compare(a.others, b.others), cmp.Compare(a.uuid, b.uuid))
}

// commit changes the fleet as if the candidate were under way.
func (f *fleet) commit(c candidate) {
	f.canary = f.canary || f.tests(c)
	f.planned++
	f.inFlight++
	c.source.inFlight++
	c.target.inFlight++
	c.source.gate, c.target.gate = nil, nil
	c.target.memory = c.target.memory.Plus(c.vm.charge)
	c.target.vms = append(c.target.vms, c.vm.arrivingCopy())
	c.source.vms = slices.DeleteFunc(c.source.vms, func(v *vm) bool { return v == c.vm })
	c.source.arrange()
	c.target.arrange()
	f.spend(&c)
	f.rules.Go(c.vm.uuid, c.target.id)
}

// short bounds a name in a text: the State bounds texts, and names may be
// 256 bytes long.
func short(name string) string {
	const limit = 64
	if len(name) <= limit {
		return name
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "…"
}

func age(now, then cluster.Time) time.Duration { return now.Sub(then).Round(time.Second) }

func no(code cluster.Code, format string, args ...any) *cluster.Refusal {
	return &cluster.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}
