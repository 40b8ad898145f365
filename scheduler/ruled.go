package scheduler

import (
	"slices"
	"strconv"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/search"
)

// ruled are the rules about where VMs may be in the words of search: the VMs of
// a rule are a group of items. Those that may not move are items without size that
// stay: their weight is in their bin's base.
//
// What a rule has against a move is the same here as in cluster.Ruling, told in
// sums, for the search weighs millions of moves. Two things it does not know. Who
// belongs together with others and is on a host that is drained stays: its drain
// moves it. And of the hosts that have no bin only the one that has most of such a
// group counts.
type ruled struct {
	w     *whole
	p     *search.Problem
	bins  map[string]int // by host
	item  map[seat]int32
	must  grouped // what no move may break
	bent  grouped // what costs
	stays []bool  // of each item
	away  int     // the bin of all hosts that have none, -1 until it is needed
}

type seat struct{ vm, host string }

// grouped are groups of items by kind of rule.
type grouped struct {
	apart, together, spread [][]int32
	share                   []int32 // of spread
}

// pinned is a pin, for each bin whether it lets its VMs be there.
type pinned []bool

// bentRule is what a rule that is broken costs for each VM, in the unit of the
// table of costs: five points of worst contention, as in the objective.
const bentRule = 5 * 240 * 100

// rule makes the fleet's rules those of a problem.
func (w *whole) rule(p *search.Problem) {
	groups := w.f.rules.Groups()
	if len(groups) == 0 {
		return
	}
	r := &ruled{w: w, p: p, bins: map[string]int{}, item: map[seat]int32{}, stays: make([]bool, len(w.items)), away: -1}
	for b, h := range w.hosts {
		r.bins[h.id] = b
	}
	for i, it := range w.items {
		r.item[seat{it.vm.uuid, w.hosts[it.host].id}] = int32(i)
	}
	w.pins, w.leans = make([][]pinned, len(w.items)), make([][]pinned, len(w.items))
	for _, g := range groups {
		r.group(g)
	}
	r.finish()
}

// group takes a rule as one that must hold, and as one that costs if it may be
// bent. One that is broken already costs, too: to mend it gains as much.
func (r *ruled) group(g cluster.Group) {
	must, bent := !g.Rule.Should, g.Rule.Should || g.Broken > 0
	if g.Rule.Kind == cluster.RulePin {
		r.pin(g, must, bent)
		return
	}
	items := r.members(g)
	if must {
		r.must.add(g, items)
	}
	if bent {
		r.bent.add(g, items)
	}
}

func (l *grouped) add(g cluster.Group, items []int32) {
	switch g.Rule.Kind {
	case cluster.RuleAntiAffinity:
		l.apart = append(l.apart, items)
	case cluster.RuleAffinity:
		l.together = append(l.together, items)
	case cluster.RuleSpread:
		l.spread, l.share = append(l.spread, items), append(l.share, int32(g.Share))
	}
}

func (r *ruled) pin(g cluster.Group, must, bent bool) {
	pin := make(pinned, len(r.w.hosts))
	for b, h := range r.w.hosts {
		pin[b] = g.Rule.Allows(h.member)
	}
	for _, s := range g.Seats {
		i, known := r.item[seat{s.VM, s.Host}]
		moves := known && int(i) < r.p.Items
		if moves && must {
			r.w.pins[i] = append(r.w.pins[i], pin)
		}
		if moves && bent {
			r.w.leans[i] = append(r.w.leans[i], pin)
		}
	}
}

// members are the items of a rule.
func (r *ruled) members(g cluster.Group) []int32 {
	var items []int32
	away := map[string]int{} // by host that has no bin
	for _, s := range g.Seats {
		i, known := r.item[seat{s.VM, s.Host}]
		b, has := r.binOf(s.Host, g.Rule.Kind)
		switch {
		case s.Drained && g.Rule.Kind == cluster.RuleAffinity:
			if known {
				r.stays[i] = true
			}
		case known:
			items = append(items, i)
		case has:
			items = append(items, r.staying(seat{s.VM, s.Host}, b))
		default:
			away[s.Host]++
		}
	}
	if g.Rule.Kind == cluster.RuleAffinity {
		items = r.others(items, away)
	}
	slices.Sort(items)
	return slices.Compact(items)
}

// binOf is the bin of a host; for a spread one of its zone does as well.
func (r *ruled) binOf(id string, kind cluster.RuleKind) (int, bool) {
	b, ok := r.bins[id]
	if !ok && kind == cluster.RuleSpread {
		zone := r.w.f.rules.Zone(id)
		b = slices.IndexFunc(r.w.hosts, func(h *host) bool { return r.w.f.rules.Zone(h.id) == zone })
		ok = b >= 0
	}
	return b, ok
}

// staying is the item of a VM that may not move.
func (r *ruled) staying(s seat, bin int) int32 {
	i := int32(len(r.w.items))
	r.item[s] = i
	r.w.items = append(r.w.items, item{host: bin})
	r.stays = append(r.stays, true)
	return i
}

// others adds those of a group that are on hosts without a bin: the most that
// one of these has.
func (r *ruled) others(items []int32, away map[string]int) []int32 {
	most := 0
	for _, n := range away {
		most = max(most, n)
	}
	for k := range most {
		if r.away < 0 {
			r.away = len(r.w.hosts)
		}
		s := seat{vm: strconv.Itoa(k)} // of no host
		i, known := r.item[s]
		if !known {
			i = r.staying(s, r.away)
		}
		items = append(items, i)
	}
	return items
}

// finish puts the rules, the cost of broken ones, and the items that stay into
// the problem.
func (r *ruled) finish() {
	w, p := r.w, r.p
	if r.away >= 0 {
		w.hosts, w.open = append(w.hosts, &host{}), append(w.open, false)
		p.Bins++
		p.Base = append(p.Base, make([]int64, wholeDims)...)
		p.Capacity = append(p.Capacity, slices.Repeat([]int64{search.Unlimited}, wholeDims)...)
	}
	for _, it := range w.items[p.Items:] {
		p.Initial = append(p.Initial, int32(it.host))
	}
	p.Size = append(p.Size, make([]int64, (len(w.items)-p.Items)*wholeDims)...)
	p.Items = len(w.items)
	zone, own, ones := r.zones(), make([]int32, p.Bins), make([]int32, len(r.must.apart))
	for b := range own {
		own[b] = int32(b)
	}
	for g := range ones {
		ones[g] = 1
	}
	p.Rules = append(p.Rules,
		search.Only("stays", func(i int) bool { return !r.stays[i] }),
		search.Share("anti-affinity", r.must.apart, own, ones), search.Together("affinity", r.must.together), search.Share("spread", r.must.spread, zone, r.must.share))
	p.Terms = append(p.Terms,
		search.Broken("VMs beside others", bentRule, search.Apart("anti-affinity", r.bent.apart)),
		search.Broken("VMs apart from others", bentRule, search.Together("affinity", r.bent.together)),
		search.Broken("VMs beyond their zone's share", bentRule, search.Share("spread", r.bent.spread, zone, r.bent.share)),
		search.Moved("VMs off their pins, more than before", bentRule, w.strays))
}

// zones numbers those of the bins.
func (r *ruled) zones() []int32 {
	number, out := map[string]int32{}, make([]int32, len(r.w.hosts))
	for b, h := range r.w.hosts {
		zone := r.w.f.rules.Zone(h.id)
		if _, known := number[zone]; !known {
			number[zone] = int32(len(number))
		}
		out[b] = number[zone]
	}
	return out
}

// pinsAllow says whether all pins that must hold let an item into a bin.
func (w *whole) pinsAllow(item, bin int) bool {
	if w.pins == nil {
		return true
	}
	for _, pin := range w.pins[item] {
		if !pin[bin] {
			return false
		}
	}
	return true
}

// strays is how many pins a move breaks, less those that it mends.
func (w *whole) strays(item, from, to int) (n int64) {
	for _, pin := range w.leans[item] {
		if !pin[to] {
			n++
		}
		if !pin[from] {
			n--
		}
	}
	return n
}
