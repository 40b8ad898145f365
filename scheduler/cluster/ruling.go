package cluster

import (
	"fmt"
	"slices"
	"time"
)

// Ruling holds moves against the rules that say where VMs may be. Planner and
// [State.Apply] share it. What is on its way counts where it goes; if nobody
// knows where it ended, on both ends. A nil Ruling has nothing against
// anything. It is not for concurrent use.
type Ruling struct {
	rules   []Rule
	book    *Rulebook
	covers  map[string][]int  // VM → places of the rules that are for it
	members [][]member        // by place: the VMs that the rule is for
	sizes   []int             // by place: how many those are
	at      map[string]string // VM → where it is or goes
	hosts   map[string]Member
	zone    map[string]string // host → what fails with it
	zones   int
	drained map[string]bool
	busy    map[string]string // VM → id of its live move
	ended   map[string]Time   // VM → when its last move ended, within groupPause
	now     Time
	here    standing // what Bent was asked of last, and what it found there
	there   standing
}

// member is a VM of a rule, where it is.
type member struct{ vm, name, host, zone string }

// groupPause is how long after a move of one VM of an anti-affinity group the
// next one may be moved by evenkeel itself: if moving does harm, it does so to
// one of those that stand in for each other.
const groupPause = 10 * time.Minute

// Ruling is that of all VMs, nil if no rule says where one may be.
func (s State) Ruling() *Ruling { return s.ruling(func(r Rule) bool { return true }) }

// RulingOf is that of the rules that are for one VM.
func (s State) RulingOf(vm, name string) *Ruling {
	if len(s.Metas) > 0 {
		return s.Ruling() // whose rules of metadata count depends on rules that are for others
	}
	return s.ruling(func(r Rule) bool { return r.Covers(vm, name) })
}

func (s State) ruling(wanted func(Rule) bool) *Ruling {
	r := &Ruling{covers: map[string][]int{}, at: map[string]string{}, hosts: map[string]Member{}, zone: map[string]string{}, drained: map[string]bool{}, busy: map[string]string{}, ended: map[string]Time{}, now: s.Now}
	for _, rule := range s.AllRules() {
		if rule.Kind != RuleDemand && rule.Kind != RuleClass && wanted(rule) {
			r.rules = append(r.rules, rule)
		}
	}
	if len(r.rules) == 0 {
		return nil
	}
	r.book = rulebook(r.rules)
	r.members, r.sizes = make([][]member, len(r.rules)), make([]int, len(r.rules))
	zones := map[string]bool{}
	for id := range s.hosts.all() {
		m, _ := s.members.get(id)
		r.hosts[id], r.zone[id] = m, zoneOf(id, m)
		zones[r.zone[id]] = true
	}
	r.zones = len(zones)
	for _, c := range s.Cordons {
		r.drained[c.Host] = c.Drain
	}
	r.moves(s)
	for id, h := range s.hosts.all() {
		for _, vm := range h.Inventory.VMs {
			if live, ok := s.LiveMove(vm.UUID); !vm.Incoming && (!ok || live.Target != id) {
				r.place(vm, id, live, ok)
			}
		}
	}
	return r
}

// moves recalls what is moved, and what was a moment ago.
func (r *Ruling) moves(s State) {
	for m := range s.Live() {
		r.busy[m.VM] = m.ID
	}
	for _, m := range s.moves.backward() {
		if m.State == MoveDone && r.now.Sub(m.EndedAt) < groupPause {
			r.ended[m.VM] = max(r.ended[m.VM], m.EndedAt)
		}
		if r.now.Sub(m.OrderedAt) > groupPause+7*24*time.Hour {
			break // no move takes longer, see checkOrder
		}
	}
}

// place notes a VM under the rules that are for it, where it is or goes.
func (r *Ruling) place(vm VM, host string, live Move, moving bool) {
	r.at[vm.UUID] = host
	if moving && live.State != MoveUnknown {
		r.at[vm.UUID] = live.Target
	}
	for _, i := range r.book.covering(vm.UUID, vm.Name) {
		if !slices.Contains(r.covers[vm.UUID], i) { // else a second host reports it
			r.sizes[i]++
		}
		r.covers[vm.UUID] = append(r.covers[vm.UUID], i)
		if !moving || live.State == MoveUnknown {
			r.members[i] = append(r.members[i], member{vm.UUID, vm.Name, host, r.Zone(host)})
		}
		if moving {
			r.members[i] = append(r.members[i], member{vm.UUID, vm.Name, live.Target, r.Zone(live.Target)})
		}
	}
}

// Zone is what fails with a host; a host of no zone is one of its own.
func (r *Ruling) Zone(host string) string {
	if z, ok := r.zone[host]; ok {
		return z
	}
	return host
}

func zoneOf(host string, m Member) string {
	if m.Zone != "" {
		return "zone " + m.Zone
	}
	return host
}

// Stays says why a rule keeps a VM where it is, or nil. What a person asked for
// need not wait until a group has settled.
func (r *Ruling) Stays(vm string, asked bool) *Refusal {
	if r == nil {
		return nil
	}
	for _, i := range r.covers[vm] {
		rule := r.rules[i]
		switch rule.Kind {
		case RuleIgnore:
			return rule.refuses(CodeRuleIgnore, ": it is not to be moved%s", because(rule.Text))
		case RuleAntiAffinity:
			if why := r.others(i, vm, asked); why != "" {
				return rule.refuses(CodeRuleAntiAffinity, " (%s)", why)
			}
		}
	}
	return nil
}

// others says what was just done to another VM of a group.
func (r *Ruling) others(i int, vm string, asked bool) string {
	for _, m := range r.members[i] {
		if m.vm == vm {
			continue
		}
		if id, busy := r.busy[m.vm]; busy {
			return fmt.Sprintf("%s is moved by %s; one at a time", clipName(m.name), id)
		}
		if at, ok := r.ended[m.vm]; ok && !asked {
			return fmt.Sprintf("%s moved %v ago; one in %v", clipName(m.name), r.now.Sub(at).Round(time.Second), groupPause)
		}
	}
	return ""
}

// Forbids says why a rule keeps a VM from going to a host, or nil. A move may
// leave broken what is broken, and mend it; it may not break more.
func (r *Ruling) Forbids(vm, target string) *Refusal {
	if r == nil {
		return nil
	}
	if r.there.vm == vm && r.there.host == target && r.there.broken == 0 {
		return nil
	}
	for _, i := range r.covers[vm] {
		if r.rules[i].Should {
			continue
		}
		if r.breaks(i, vm, target) && !r.asBefore(i, vm, target) {
			return r.against(i, vm, target)
		}
	}
	return nil
}

// asBefore says that a rule which is broken already is broken no more by a
// move: a VM that is apart from its group is as apart elsewhere, and a zone that
// has too many has as many. A pin or a neighbour that must not be is never
// given up for another one.
func (r *Ruling) asBefore(i int, vm, target string) bool {
	source := r.at[vm]
	switch r.rules[i].Kind {
	case RuleAffinity:
		return !r.drained[source] && r.breaks(i, vm, source)
	case RuleSpread:
		return r.Zone(source) == r.Zone(target)
	}
	return false
}

// Bent is by how many rules more than now a move would bend or break, less those
// that it would mend.
func (r *Ruling) Bent(vm, source, target string) int {
	if r == nil {
		return 0
	}
	if r.here.vm != vm || r.here.host != source { // a VM is held against one target after the other
		r.here = standing{vm, source, r.wrongs(vm, source)}
	}
	r.there = standing{vm, target, r.wrongs(vm, target)}
	return r.there.broken - r.here.broken
}

// standing is how many rules are broken by a VM on a host.
type standing struct {
	vm, host string
	broken   int
}

func (r *Ruling) wrongs(vm, host string) (n int) {
	for _, i := range r.covers[vm] {
		if r.breaks(i, vm, host) {
			n++
		}
	}
	return n
}

// breaks says whether a rule has anything against a VM being on a host. A plan
// asks that of each VM and host, and wants to be told in words of few.
func (r *Ruling) breaks(i int, vm, host string) bool {
	switch r.rules[i].Kind {
	case RuleAntiAffinity:
		return slices.ContainsFunc(r.members[i], func(m member) bool { return m.host == host && m.vm != vm })
	case RuleSpread:
		there, share := r.crowd(i, vm, host)
		return there > share
	}
	return r.against(i, vm, host) != nil
}

// against says what a rule has against a VM being on a host, given where the
// others are, or nil.
func (r *Ruling) against(i int, vm, host string) *Refusal {
	rule := r.rules[i]
	switch rule.Kind {
	case RulePin:
		if !rule.Allows(r.hosts[host]) {
			return rule.refuses(CodeRulePin, " (%s is not among its hosts)", clipName(r.hosts[host].Name))
		}
	case RuleAntiAffinity:
		for _, m := range r.members[i] {
			if m.vm != vm && m.host == host {
				return rule.refuses(CodeRuleAntiAffinity, " (%s is there)", clipName(m.name))
			}
		}
	case RuleAffinity:
		return r.apart(i, vm, host)
	case RuleSpread:
		return r.crowded(i, vm, host)
	}
	return nil
}

// apart refuses a host that has fewer of a group than another one. Who is on a
// host that is drained counts nowhere: they must leave one after the other, and
// the first one says where to.
func (r *Ruling) apart(i int, vm, host string) *Refusal {
	count, example := map[string]int{}, map[string]string{}
	most := 0
	for _, m := range r.members[i] {
		if m.vm == vm || r.drained[m.host] && m.host != host {
			continue
		}
		count[m.host]++
		most = max(most, count[m.host])
		if name, ok := example[m.host]; !ok || m.name < name {
			example[m.host] = m.name
		}
	}
	if count[host] == most {
		return nil
	}
	where := ""
	for h, n := range count {
		if n == most && (where == "" || h < where) {
			where = h
		}
	}
	return r.rules[i].refuses(CodeRuleAffinity, " (%s is on %s)", clipName(example[where]), clipName(r.hosts[where].Name))
}

// crowded refuses a zone that would have more than its even share.
func (r *Ruling) crowded(i int, vm, host string) *Refusal {
	there, share := r.crowd(i, vm, host)
	if there <= share {
		return nil
	}
	zone, example := r.Zone(host), ""
	for _, m := range r.members[i] {
		if m.vm != vm && m.zone == zone && (example == "" || m.name < example) {
			example = m.name
		}
	}
	return r.rules[i].refuses(CodeRuleSpread, " (%s is there: %d of %d in one of %d zones, its share is %d)", clipName(example), there, r.sizes[i], r.zones, share)
}

// crowd is how many VMs of a rule a host's zone would have with one of them
// there, and how many a zone may have.
func (r *Ruling) crowd(i int, vm, host string) (there, share int) {
	zone := r.Zone(host)
	there = 1
	for j := range r.members[i] {
		if m := &r.members[i][j]; m.zone == zone && m.vm != vm {
			there++
		}
	}
	return there, r.share(i)
}

// Go takes a move as done.
func (r *Ruling) Go(vm, target string) {
	if r == nil {
		return
	}
	for _, i := range r.covers[vm] {
		r.members[i] = slices.Clone(r.members[i])
		for j := range r.members[i] {
			if m := &r.members[i][j]; m.vm == vm {
				m.host, m.zone = target, r.Zone(target)
			}
		}
	}
	r.at[vm], r.busy[vm] = target, "this plan"
	r.here, r.there = standing{}, standing{}
}

// Violation is a VM that is where a rule does not want it.
type Violation struct {
	VM, Name, Host string
	Text           string
}

// Violations are those of a rule now, in the order of the hosts.
func (r *Ruling) Violations(id string) (out []Violation) {
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.rules, func(x Rule) bool { return x.ID == id })
	if i < 0 {
		return nil
	}
	for _, m := range r.members[i] {
		if why := r.against(i, m.vm, m.host); why != nil {
			out = append(out, Violation{m.vm, m.name, m.host, why.Text})
		}
	}
	return out
}

// RuleMembers counts the VMs that a rule is for, and no other one in its place.
func (s State) RuleMembers(r Rule) int {
	if r.FromMetadata() {
		return s.metaMembers(r)
	}
	n := 0
	for _, h := range s.hosts.all() {
		for _, vm := range h.Inventory.VMs {
			if !vm.Incoming && r.Covers(vm.UUID, vm.Name) {
				n++
			}
		}
	}
	return n
}

// Unmet says why a rule cannot be met by the hosts there are, "" if it can as
// far as it alone goes.
func (s State) Unmet(r Rule) string {
	hosts, allowed := 0, 0
	for id := range s.hosts.all() {
		m, _ := s.members.get(id)
		hosts++
		if r.Kind == RulePin && r.Allows(m) {
			allowed++
		}
	}
	n := s.RuleMembers(r)
	switch {
	case r.Kind == RulePin && allowed == 0:
		return "no hypervisor is among its hosts"
	case r.Kind == RuleAntiAffinity && n > hosts:
		return fmt.Sprintf("%d VMs cannot be kept apart on %d hypervisors", n, hosts)
	}
	return ""
}
