package worlds

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// laws are what must hold at every instant, over what the replicas applied and
// the leaders acknowledged. What concerns VMs is checked in truth.
type laws struct {
	f *fleet

	mu      sync.Mutex
	entries map[uint64]entry
	applies map[int]int    // replica → entries that it applied
	reigns  map[uint64]int // term → the replica that acknowledged in it
	newest  cluster.State
	begun   map[string]cluster.Time // VM → State's time at the end of its last move that was done
	claims  map[string]string       // move → the command to which its claim was granted
	acks    int
}

// entry is what stands at an index, and what it did.
type entry struct {
	term    uint64
	id      string
	kind    string
	what    string
	refused string // "" if it was taken
}

func newLaws(f *fleet) *laws {
	return &laws{f: f, entries: map[uint64]entry{}, applies: map[int]int{}, reigns: map[uint64]int{}, begun: map[string]cluster.Time{}, claims: map[string]string{}}
}

// applied: every replica applies the same entries, in their order, with the
// same results. The first replica's are held against the laws of the State.
func (l *laws) applied(replica int, a consensus.Applied) {
	e := entry{a.Meta.Term, a.Command.ID, a.Command.Kind(), string(a.Data), ""}
	if a.Refusal != nil {
		e.refused = a.Refusal.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := a.Meta.Index
	was, known := l.entries[i]
	if known && was != e {
		l.f.broken("replica %d applied at index %d\n%+v\nanother one\n%+v", replica, i, e, was)
	}
	l.entries[i] = e
	l.applies[replica]++
	if i <= l.newest.Index {
		return
	}
	before := l.newest
	l.newest = a.State
	if _, figures := a.Command.Body.(cluster.Snapshots); !figures {
		l.check(before, a)
	}
}

// check holds the step to a State against the laws.
func (l *laws) check(before cluster.State, a consensus.Applied) {
	l.f.count("entry " + a.Command.Kind())
	now, set := a.State, a.State.Settings
	if now.Now < before.Now {
		l.f.broken("the State's time went back from %v to %v", before.Now.Std(), now.Now.Std())
	}
	perHost, perVM, all := map[string]int{}, map[string]int{}, 0
	for _, m := range now.Moves() {
		if _, goesOn := edges[m.State]; !goesOn { // by our own table, not the State's
			continue
		}
		perHost[m.Source]++
		perHost[m.Target]++
		perVM[m.VM]++
		all++
	}
	for h, n := range perHost {
		if n > set.PerHost {
			l.f.broken("index %d: host %s has %d live moves", a.Meta.Index, h, n)
		}
	}
	for v, n := range perVM {
		if n > 1 {
			l.f.broken("index %d: VM %s has %d live moves", a.Meta.Index, v, n)
		}
	}
	if all > set.PerCluster {
		l.f.broken("index %d: %d live moves", a.Meta.Index, all)
	}
	if a.Refusal != nil {
		l.f.count("refused " + string(a.Refusal.Code))
		return
	}
	if c, ok := a.Command.Body.(cluster.Claim); ok {
		if to := l.claims[c.Move]; to != "" && to != a.Command.ID {
			l.f.broken("the claim of %s was granted to %s, and then to %s", c.Move, to, a.Command.ID)
		}
		l.claims[c.Move] = a.Command.ID
	}
	if d, ok := a.Command.Body.(cluster.Decide); ok {
		for _, o := range d.Orders {
			l.ordered(before, a, o)
		}
	}
	l.follow(before, now)
}

// ordered: holds, cooldowns and budgets stand, whoever leads.
func (l *laws) ordered(before cluster.State, a consensus.Applied, o cluster.Order) {
	now := a.State.Now
	l.f.count("order")
	l.f.trace("%s ordered in term %d: VM %s, %s to %s", o.ID, a.Meta.Term, o.VM[34:], o.Source[34:], o.Target[34:])
	if c, cordoned := before.Cordoned(o.Target); cordoned {
		l.f.broken("%s was ordered to a host that %s had cordoned", o.ID, c.By)
	}
	if o.Trigger != cluster.TriggerAuto {
		l.f.count("order for " + string(o.Code))
		return
	}
	if before.Mode != cluster.ModeAuto || before.Paused.Until > now {
		l.f.broken("%s was ordered in mode %s, paused until %v", o.ID, before.Mode, before.Paused.Until.Std())
	}
	if f := before.Frozen; f.Since != 0 && (f.Until == 0 || f.Until > now) {
		l.f.broken("%s was ordered while frozen: %s", o.ID, f.Cause)
	}
	if young := now.Sub(a.State.TermSince); young < a.State.Settings.WarmUp {
		l.f.broken("%s was ordered %v after the term began", o.ID, young)
	}
	if ended, ok := l.begun[o.VM]; ok && now.Sub(ended) < a.State.Settings.Cooldown {
		l.f.broken("%s was ordered %v after the VM moved, the cooldown is %v", o.ID, now.Sub(ended), a.State.Settings.Cooldown)
	}
	recent := 0
	for _, m := range a.State.Moves() {
		if m.Trigger == cluster.TriggerAuto && now.Sub(m.OrderedAt) < time.Hour && (m.ClaimedAt != 0 || m.State == cluster.MoveOrdered) {
			recent++
		}
	}
	if recent > a.State.Settings.PerHour {
		l.f.broken("%s is the %dth automatic move within an hour", o.ID, recent)
	}
}

// follow notes how moves went on, and that each went along the edges of its
// life.
func (l *laws) follow(before, now cluster.State) {
	for _, m := range now.Moves() {
		old, known := before.Move(m.ID)
		if known && old.State == m.State {
			continue
		}
		if known && !edges[old.State][m.State] {
			l.f.broken("%s went from %s to %s", m.ID, old.State, m.State)
		}
		l.f.trace("%s is %s: %s", m.ID, m.State, m.Why)
		l.f.count("move " + string(m.State))
		if m.State == cluster.MoveDone {
			l.begun[m.VM] = now.Now
		}
	}
}

// edges are the ways of a move's life.
var edges = map[cluster.MoveState]map[cluster.MoveState]bool{
	cluster.MoveOrdered: {cluster.MoveClaimed: true, cluster.MoveVetoed: true, cluster.MoveExpired: true, cluster.MoveCancelled: true},
	cluster.MoveClaimed: {cluster.MoveReleased: true, cluster.MoveRunning: true},
	cluster.MoveRunning: {cluster.MoveDone: true, cluster.MoveFailed: true, cluster.MoveAborted: true, cluster.MoveUnknown: true},
	cluster.MoveUnknown: {cluster.MoveDone: true, cluster.MoveFailed: true, cluster.MoveAborted: true},
}

// acknowledged: in a term only one member acknowledges, and what it
// acknowledged stands at that index.
func (l *laws) acknowledged(replica int, index uint64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks++
	e, ok := l.entries[index]
	if !ok || e.id != id {
		l.f.broken("replica %d acknowledged %s at index %d, where %q stands", replica, id, index, e.id)
		return
	}
	if was, led := l.reigns[e.term]; led && was != replica {
		l.f.broken("replicas %d and %d both acknowledged in term %d", was, replica, e.term)
	}
	l.reigns[e.term] = replica
}

// mayExecute: only a committed claim and start, and only by its source.
func (l *laws) mayExecute(order, vm, source, target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.newest.Move(order)
	switch {
	case !ok || m.VM != vm || m.Source != source || m.Target != target:
		l.f.broken("%s was executed for VM %s from %s to %s, it says VM %s from %s to %s", order, vm, source, target, m.VM, m.Source, m.Target)
	case m.StartedAt == 0 || !m.State.Live():
		l.f.broken("%s was executed, it is %s", order, m.State)
	}
}

func (l *laws) acknowledgements() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acks
}

// count is how many entries a replica has applied itself.
func (l *laws) count(replica int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applies[replica]
}

// said are the commands of moves that were taken, in their order.
func (l *laws) said() (out []cluster.Command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range slices.Sorted(maps.Keys(l.entries)) {
		e := l.entries[i]
		if !slices.Contains([]string{"reserve", "claim", "start", "advance", "end-job", "testify"}, e.kind) || e.refused != "" {
			continue
		}
		c, err := cluster.DecodeCommand([]byte(e.what))
		if err != nil {
			l.f.t.Error(err)
			continue
		}
		out = append(out, c)
	}
	return out
}
