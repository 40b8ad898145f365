package cluster

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestApplyLaws plays random histories and asks after each command: the State
// before is what it was, a VM has at most one live move, limits in flight
// hold, encoding loses nothing. At the end the history, decoded from its
// bytes, replays to the same bytes.
func TestApplyLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(10, 50).Draw(t, "commands") {
			h.step()
		}
		h.replay()
	})
}

type history struct {
	t     *rapid.T
	s     State
	meta  Meta
	now   Time
	seq   map[string]uint64
	bytes [][]byte
	metas []Meta
}

func newHistory(t *rapid.T) *history {
	h := &history{t: t, s: New(testCluster), meta: Meta{Term: 1}, now: epoch, seq: map[string]uint64{}}
	set := DefaultSettings()
	set.WarmUp, set.PerHost, set.PerCluster, set.Cooldown, set.PerHour, set.PerDay = 0, 2, 2, time.Second, 50, 50
	h.apply(byOperator, SetSettings{Settings: set})
	h.apply(byOperator, SetMode{Mode: ModeAuto})
	for _, id := range []string{hv1, hv2, hv3} {
		h.apply(byHost(id), Announce{testCluster, testHost(id)})
	}
	h.apply(byLeader, Snapshots{[]Snapshot{h.snapshot(hv1, []string{vmA, vmB}), h.snapshot(hv2, nil), h.snapshot(hv3, nil)}})
	return h
}

func (h *history) snapshot(host string, vms []string) Snapshot {
	h.seq[host]++
	snap := Snapshot{Host: host, Incarnation: 1, Sequence: h.seq[host], Inventory: &Inventory{Revision: h.seq[host]}, Load: testLoad(h.now)}
	snap.Load.Inventory = h.seq[host]
	for _, vm := range vms {
		snap.Inventory.VMs = append(snap.Inventory.VMs, testVM(vm))
	}
	return snap
}

// reported draws the VMs that a host reports: most often the true ones.
func (h *history) reported(host string) []string {
	var out []string
	for _, vm := range []string{vmA, vmB} {
		p, _ := h.s.Place(vm)
		if has(p.Hosts, host) != (rapid.IntRange(0, 99).Draw(h.t, "lie") == 99) {
			out = append(out, vm)
		}
	}
	return out
}

func (h *history) step() {
	if rapid.IntRange(0, 29).Draw(h.t, "new term") == 29 {
		h.meta.Term++
	}
	h.now = h.now.Add(time.Duration(rapid.Int64Range(0, int64(4*time.Second)).Draw(h.t, "pass")))
	hosts := []string{hv1, hv2, hv3}
	if live := h.s.live.len(); live > 0 && rapid.Bool().Draw(h.t, "go on") {
		h.goOn(rapid.IntRange(0, live-1).Draw(h.t, "which"))
		return
	}
	actor := rapid.SampledFrom([]Actor{byHost(hv1), byHost(hv2), byHost(hv3), byOperator, byLeader}).Draw(h.t, "actor")
	host := rapid.SampledFrom(hosts).Draw(h.t, "host")
	move := rapid.SampledFrom(h.moveIDs()).Draw(h.t, "move")
	if m, ok := h.s.Move(move); ok && rapid.IntRange(0, 3).Draw(h.t, "right actor") > 0 {
		actor = rapid.SampledFrom([]Actor{byHost(m.Source), byHost(m.Target)}).Draw(h.t, "end")
	}
	evidence := rapid.SampledFrom([]Evidence{runs, gone, paused}).Draw(h.t, "evidence")
	switch rapid.IntRange(0, 17).Draw(h.t, "command") {
	case 0, 1:
		h.apply(byLeader, Snapshots{[]Snapshot{h.snapshot(hv1, h.reported(hv1)), h.snapshot(hv2, h.reported(hv2)), h.snapshot(hv3, h.reported(hv3))}})
	case 2, 3, 4:
		h.order(host)
	case 5, 6:
		h.apply(actor, Reserve{move})
	case 7, 8:
		h.apply(actor, Claim{move, 1})
	case 9:
		h.apply(actor, Start{Move: move})
	case 10:
		h.apply(actor, EndJob{Move: move, Evidence: evidence, Aborted: rapid.Bool().Draw(h.t, "aborted")})
	case 11, 12:
		h.apply(actor, Testify{Move: move, Evidence: evidence})
	case 13:
		h.apply(byLeader, Expire{move})
	case 14:
		h.apply(byOperator, rapid.SampledFrom([]Body{Resume{}, SetMode{Mode: ModeAuto}, Pause{Until: h.now.Add(time.Second)}, SetMode{Mode: ModeRecommend}}).Draw(h.t, "policy"))
	case 15:
		h.apply(byOperator, rapid.SampledFrom([]Body{Cancel{move, ""}, Resolve{move, host, ""}, Resume{}}).Draw(h.t, "remedy"))
	case 16:
		h.apply(byLeader, Verify{Move: move, Verdict: VerdictSame})
	case 17:
		h.apply(actor, rapid.SampledFrom([]Body{Veto{move, CodeRelieved, ""}, Release{move, "", ""}, Advance{Move: move}}).Draw(h.t, "word"))
	}
}

// goOn takes a live move one step further on its way to done.
func (h *history) goOn(which int) {
	for m := range h.s.Live() {
		if which--; which >= 0 {
			continue
		}
		switch {
		case m.State == MoveOrdered && m.ReservedAt == 0:
			h.apply(byHost(m.Target), Reserve{m.ID})
		case m.State == MoveOrdered:
			h.apply(byHost(m.Source), Claim{m.ID, 1})
		case m.State == MoveClaimed:
			h.apply(byHost(m.Source), Start{Move: m.ID})
		case m.AtSource == nil:
			h.apply(byHost(m.Source), EndJob{Move: m.ID, Evidence: gone})
		default:
			h.apply(byHost(m.Target), Testify{Move: m.ID, Evidence: runs})
		}
		return
	}
}

func (h *history) moveIDs() []string {
	out := []string{"m-1"}
	for _, m := range h.s.MovesBackward() {
		if out = append(out, m.ID); len(out) == 4 {
			break
		}
	}
	return out
}

func (h *history) order(target string) {
	vm := rapid.SampledFrom([]string{vmA, vmB}).Draw(h.t, "vm")
	p, _ := h.s.Place(vm)
	source := hv1
	if len(p.Hosts) > 0 {
		source = p.Hosts[0]
	}
	o := Order{
		ID: h.s.NextMoveID(0), VM: vm, Source: source, Target: target, Trigger: rapid.SampledFrom([]Trigger{TriggerAuto, TriggerOperator}).Draw(h.t, "trigger"),
		Term: h.meta.Term, DecidedOn: h.meta.Index, Deadline: h.now.Add(10 * time.Second), StartWindow: time.Second, Budget: time.Second,
	}
	h.apply(byLeader, Decide{Decision{ID: h.s.NextDecisionID(), Result: ResultMoved}, []Order{o}})
}

func (h *history) apply(by Actor, body Body) {
	h.meta.Index++
	c := Command{1, fmt.Sprintf("c%d", h.meta.Index), by, h.now, body}
	data, err := EncodeCommand(c)
	if err != nil {
		h.t.Fatal(err)
	}
	h.bytes, h.metas = append(h.bytes, data), append(h.metas, h.meta)
	before := encoded(h.t, h.s)
	next, err := h.s.Apply(h.meta, c)
	if err != nil && RefusalOf(err) == nil {
		h.t.Fatalf("%s: %v is no refusal", c.Kind(), err)
	}
	if !bytes.Equal(before, encoded(h.t, h.s)) {
		h.t.Fatalf("%s changed the State before it", c.Kind())
	}
	h.s = next
	h.check(c.Kind())
}

// invariants says what is wrong with the moves and places of a State.
func invariants(s State) error {
	live := map[string]string{}
	for _, m := range s.Moves() {
		if !m.State.Live() {
			continue
		}
		if other, twice := live[m.VM]; twice {
			return fmt.Errorf("VM %s has two live moves, %s and %s", m.VM, other, m.ID)
		}
		live[m.VM] = m.ID
		if indexed, ok := s.LiveMove(m.VM); !ok || indexed.Seq != m.Seq {
			return fmt.Errorf("%s is %s, but the index of live moves says %q", m.ID, m.State, indexed.ID)
		}
		if _, ok := s.Place(m.VM); !ok {
			return fmt.Errorf("VM %s has a live move and no place", m.VM)
		}
	}
	if n := s.live.len(); n != len(live) {
		return fmt.Errorf("%d moves in flight, %d indexed", len(live), n)
	}
	for vm, p := range s.Places() {
		if len(p.Hosts) == 0 && live[vm] == "" {
			return fmt.Errorf("VM %s is nowhere, and kept", vm)
		}
	}
	return nil
}

func (h *history) check(kind string) {
	if err := invariants(h.s); err != nil {
		h.t.Fatalf("after %s: %v", kind, err)
	}
	touched, n := map[string]int{}, 0
	for m := range h.s.Live() {
		if m.State != MoveUnknown {
			n++ // what waits for a person takes nobody's turn
		}
		if m.State != MoveUnknown || m.JobEndedAt == 0 {
			touched[m.Source]++
			touched[m.Target]++
		}
	}
	if n > h.s.Settings.PerCluster {
		h.t.Fatalf("after %s: %d moves in flight, at most %d may be", kind, n, h.s.Settings.PerCluster)
	}
	for host, n := range touched {
		if n > h.s.Settings.PerHost {
			h.t.Fatalf("after %s: %d moves touch %s, at most %d may", kind, n, host, h.s.Settings.PerHost)
		}
	}
	data := encoded(h.t, h.s)
	back, err := DecodeState(bytes.NewReader(data))
	if err != nil {
		h.t.Fatal(err)
	}
	if again := encoded(h.t, back); !bytes.Equal(data, again) {
		h.t.Fatalf("after %s: the State does not survive encoding:\n%s\n%s", kind, data, again)
	}
}

// replay applies the history anew from its bytes, once from the start and
// once from a State that was written down half-way.
func (h *history) replay() {
	s := New(testCluster)
	for i, data := range h.bytes {
		c, err := DecodeCommand(data)
		if err != nil {
			h.t.Fatal(err)
		}
		s, _ = s.Apply(h.metas[i], c)
		if i == len(h.bytes)/2 {
			if s, err = DecodeState(bytes.NewReader(encoded(h.t, s))); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	if !bytes.Equal(encoded(h.t, s), encoded(h.t, h.s)) {
		h.t.Fatal("the replayed history ends in another State")
	}
}

// FuzzApply applies whatever decodes, on a State with a move in each live
// state: it must not panic, change the State before it, break an invariant, or
// end in a State that cannot be written down and read again. The seeds are all
// commands from everybody who may have a say in the move, in each state.
func FuzzApply(f *testing.F) {
	for _, body := range samples() {
		for _, actor := range []Actor{byHost(hv1), byHost(hv2), byOperator} {
			data, err := EncodeCommand(Command{1, "id", actor, epoch, body})
			if err != nil {
				f.Fatal(err)
			}
			for state := range uint8(5) {
				f.Add(data, state)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint8) {
		c, err := DecodeCommand(data)
		if err != nil {
			return
		}
		w := newWorld(t)
		w.at([]MoveState{MoveOrdered, MoveClaimed, MoveRunning, MoveUnknown, MoveDone}[at%5])
		before := encoded(t, w.s)
		for term := w.term; term < w.term+2; term++ {
			w.index++
			next, err := w.s.Apply(Meta{Index: w.index, Term: term}, c)
			if err != nil && RefusalOf(err) == nil && next.Index != w.s.Index {
				t.Fatalf("%v is neither a refusal nor a stop", err)
			}
			if !bytes.Equal(before, encoded(t, w.s)) {
				t.Fatalf("%s changed the State before it", c.Kind())
			}
			if err := invariants(next); err != nil {
				t.Fatalf("after %s: %v", c.Kind(), err)
			}
			after := encoded(t, next)
			back, err := DecodeState(bytes.NewReader(after))
			if err != nil {
				t.Fatalf("%s leads to a State that cannot be read: %v", c.Kind(), err)
			}
			if !bytes.Equal(after, encoded(t, back)) {
				t.Fatalf("%s leads to a State that does not survive encoding", c.Kind())
			}
			next.ViewFor(hv1)
			w.s, before = next, after
		}
	})
}
