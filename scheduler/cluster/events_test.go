package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// quiet are the commands that make no events of their own, each with why.
var quiet = map[string]string{
	"advance":       "progress is in `migrations`",
	"reserve":       "the claim, or the order's end, tells it",
	"deliver":       "it would make itself its own cause",
	"foresee-quiet": "the hours themselves were told",
}

// Each kind of command is told somewhere in the stories, or is quiet on
// purpose; each kind of event is told in the stories, or by a test here.
func TestEveryCommandIsToldOrQuiet(t *testing.T) {
	told := map[string]bool{
		"announce": true, "snapshots": true, "decide": true, "veto": true, "claim": true, "release": true, "start": true, "end-job": true,
		"testify": true, "expire": true, "cancel": true, "resolve": true, "verify": true, "set-mode": true, "pause": true, "resume": true,
		"freeze": true, "set-settings": true, "raise-level": true, "add-token": true, "use-token": true, "remove-member": true,
		"take-lock": true, "give-lock": true, "set-cordon": true, "lift-cordon": true, "revoke-certificate": true, "set-vm-rule": true, "set-rules": true, "set-quiet": true, "describe": true,
	}
	for kind := range bodies {
		if laterBodies != nil && !told[kind] && quiet[kind] == "" {
			continue // of the version that is only built to upgrade to
		}
		if told[kind] == (quiet[kind] != "") {
			t.Errorf("command %s: let Events tell of it, or say here why not", kind)
		}
	}
}

func TestEventKindsAreClosed(t *testing.T) {
	seen := map[EventKind]bool{}
	for _, m := range EventKinds {
		if seen[m.Kind] || !m.Severity.Valid() || m.Means == "" {
			t.Errorf("%s: twice, or severity %q, or means %q", m.Kind, m.Severity, m.Means)
		}
		seen[m.Kind] = true
	}
	for state, kind := range ends {
		if !kind.Valid() || stateWords[state] == "" {
			t.Errorf("state %s is told as %q, %q", state, kind, stateWords[state])
		}
	}
	for _, s := range []MoveState{MoveClaimed, MoveRunning, MoveUnknown, MoveDone, MoveVetoed, MoveExpired, MoveCancelled, MoveReleased, MoveFailed, MoveAborted} {
		if ends[s] == "" {
			t.Errorf("no event for a move that is %s", s)
		}
	}
}

// picture is what somebody knows who has heard nothing but events.
type picture struct {
	members map[string]bool
	fresh   map[string]bool
	moves   map[string]EventKind
	doubles map[string]bool
	paused  bool
	frozen  bool
	term    uint64
}

func newPicture() *picture {
	return &picture{members: map[string]bool{}, fresh: map[string]bool{}, moves: map[string]EventKind{}, doubles: map[string]bool{}}
}

func (e Event) subject(kind SubjectKind) string {
	for _, s := range e.Subjects {
		if s.Kind == kind {
			return s.ID
		}
	}
	return ""
}

func (p *picture) hear(e Event) {
	member := e.subject(SubjectMember)
	p.term = e.Term
	switch e.Kind {
	case EventMemberJoined:
		p.members[member] = true
	case EventMemberRemoved:
		delete(p.members, member)
		delete(p.fresh, member)
	case EventMemberRestarted, EventHostSilent:
		p.fresh[member] = false
	case EventHostHeard:
		p.fresh[member] = true
	case EventPaused:
		p.paused = true
	case EventPauseEnded:
		p.paused = false
	case EventFreezeSet:
		p.frozen = true
	case EventFreezeLifted:
		p.frozen = false
	case EventVMDuplicated:
		p.doubles[e.subject(SubjectVM)] = true
	case EventVMUnique:
		p.doubles[e.subject(SubjectVM)] = false
	}
	if move := e.subject(SubjectMove); move != "" && e.Kind != EventMoveAbortAsked && e.Kind != EventMoveVerified {
		p.moves[move] = e.Kind
	}
}

// differs says where the picture and the State contradict each other.
func (p *picture) differs(s State) error {
	for id, m := range s.Members() {
		if !p.members[id] {
			return fmt.Errorf("nobody said that %s joined", m.Name)
		}
		h, ok := s.Host(id)
		if ok && h.Fresh(s.Now) != p.fresh[id] {
			return fmt.Errorf("%s is fresh: %v, by its events %v", m.Name, h.Fresh(s.Now), p.fresh[id])
		}
	}
	if _, _, moves, _ := s.Size(); len(p.members) != s.members.len() || len(p.moves) != moves {
		return fmt.Errorf("%d members and %d moves by events, %d and %d in the State", len(p.members), len(p.moves), s.members.len(), moves)
	}
	for _, m := range s.Moves() {
		want := ends[m.State]
		if m.State == MoveOrdered {
			want = EventMoveOrdered
		}
		if p.moves[m.ID] != want {
			return fmt.Errorf("%s is %s, its last event is %s", m.ID, m.State, p.moves[m.ID])
		}
	}
	for vm := range s.Places() {
		if s.duplicated(vm) != p.doubles[vm] {
			return fmt.Errorf("VM %s is duplicated: %v, by its events %v", vm, s.duplicated(vm), p.doubles[vm])
		}
	}
	for vm, twice := range p.doubles {
		if _, ok := s.Place(vm); !ok && twice {
			return fmt.Errorf("VM %s is gone, by its events it is duplicated", vm)
		}
	}
	if paused, frozen := s.Paused.Until > s.Now, s.Frozen.holds(s.Now); paused != p.paused || frozen != p.frozen {
		return fmt.Errorf("paused %v, frozen %v; by events %v and %v", paused, frozen, p.paused, p.frozen)
	}
	return nil
}

// extra are entries that the histories of the other laws have not.
func (h *history) extra() {
	host := rapid.SampledFrom([]string{hv1, hv2, hv3}).Draw(h.t, "extra host")
	switch rapid.IntRange(0, 6).Draw(h.t, "extra") {
	case 0:
		m := testHost(host)
		old, _ := h.s.Member(host)
		m.Incarnation = old.Incarnation + 1
		h.apply(byHost(host), Announce{testCluster, m})
	case 1:
		h.apply(byLeader, Freeze{"silence", h.now.Add(time.Duration(rapid.IntRange(1, 9).Draw(h.t, "freeze")) * time.Second)})
	case 2:
		h.now = h.now.Add(time.Duration(rapid.IntRange(3, 40).Draw(h.t, "silence")) * time.Second)
	case 3:
		h.apply(byOperator, RemoveMember{Member: host, Force: rapid.IntRange(0, 3).Draw(h.t, "force") == 0})
	case 4:
		h.apply(byOperator, Freeze{Cause: "for good"})
	case 5:
		h.apply(byOperator, Pause{Until: h.now.Add(20 * time.Second), Text: "line\nbreak\x00"})
	case 6: // an entry that comes twice
		h.now = h.now.Add(time.Second)
		h.meta.Index++
		h.bytes, h.metas = append(h.bytes, h.bytes[len(h.bytes)-1]), append(h.metas, h.meta)
		c, _ := DecodeCommand(h.bytes[len(h.bytes)-1])
		h.s, _ = h.s.Apply(h.meta, c)
	}
}

// TestEventLaws plays random histories. Their events are bounded and named by
// their entry; told again by another replica, which restored a snapshot
// half-way, they have the same bytes; and whoever heard nothing but them knows
// of members, silences, moves, duplicates, pauses and freezes what the State says.
func TestEventLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(5, 60).Draw(t, "commands") {
			if rapid.IntRange(0, 3).Draw(t, "extra") == 0 {
				h.extra()
				continue
			}
			h.step()
		}
		p := newPicture()
		first := h.retell(t, -1, p)
		second := h.retell(t, rapid.IntRange(0, len(h.bytes)-1).Draw(t, "restored at"), newPicture())
		if !slices.Equal(first, second) {
			t.Fatalf("two replicas tell differently:\n%s\n%s", first, second)
		}
	})
}

// retell applies the history from its bytes and gives the events' bytes. At the
// entry restored the State goes through a file.
func (h *history) retell(t *rapid.T, restored int, p *picture) (told []string) {
	s := New(testCluster)
	for i, data := range h.bytes {
		if i == restored {
			var err error
			if s, err = DecodeState(strings.NewReader(string(encoded(t, s)))); err != nil {
				t.Fatal(err)
			}
		}
		c, err := DecodeCommand(data)
		if err != nil {
			t.Fatal(err)
		}
		next, refusal := s.Apply(h.metas[i], c)
		list := Events(s, next, c)
		for n, e := range list {
			if err := lawful(e, h.metas[i], n); err != nil {
				t.Fatal(err)
			}
			if refusal != nil && e.By.ID != "" {
				t.Fatalf("a command that was refused is told: %+v", e)
			}
			p.hear(e)
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, string(line))
		}
		if restored < 0 {
			if err := p.differs(next); err != nil {
				t.Fatalf("after %s at %d: %v", c.Kind(), h.metas[i].Index, err)
			}
		}
		s = next
	}
	return told
}

func lawful(e Event, m Meta, n int) error {
	switch {
	case e.Index != m.Index || e.Number != n || e.Term != m.Term || n >= MaxEvents:
		return fmt.Errorf("event %d of entry %d: %+v", n, m.Index, e)
	case !e.Kind.Valid() || !e.Severity.Valid() || e.At == 0:
		return fmt.Errorf("kind, severity or time: %+v", e)
	case e.Text == "" || len(e.Text) > MaxEventText || !printable(e.Text):
		return fmt.Errorf("text of %d bytes: %q", len(e.Text), e.Text)
	}
	return nil
}

// A leader that was cut off finds a thousand hosts silent: most are counted only.
func TestEventsOfAnEntryAreBounded(t *testing.T) {
	s, _ := bigFleet(t, 1000, 1)
	c := Command{Level: 1, ID: "late", Actor: byOperator, At: s.Now.Add(time.Hour), Body: SetMode{Mode: ModeOff}}
	next, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, c)
	if err != nil {
		t.Fatal(err)
	}
	list := Events(s, next, c)
	if len(list) != MaxEvents || list[0].Kind != EventModeChanged {
		t.Fatalf("%d events, the first is %s; want %d, what the operator did first", len(list), list[0].Kind, MaxEvents)
	}
	last := list[MaxEvents-1]
	if last.Kind != EventFolded || last.Severity != SeverityWarning || !strings.HasPrefix(last.Text, "938 further events") {
		t.Errorf("the last one is %+v", last)
	}
}

func TestSentence(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a\nb\x00c\tü", "a b c ü"},
		{"bad \xff byte", "bad ? byte"},
		{strings.Repeat("ü", 300), strings.Repeat("ü", 254) + "…"},
	} {
		if got := sentence("%s", c.in); got != c.want || !utf8.ValidString(got) || len(got) > MaxEventText {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestSeverities(t *testing.T) {
	if !SeverityCritical.AtLeast(SeverityWarning) || SeverityInfo.AtLeast(SeverityWarning) || !SeverityInfo.AtLeast(SeverityInfo) || Severity("loud").Valid() {
		t.Error("severities are not ordered info, warning, critical")
	}
}

// The leader of a thousand hosts tells an entry's events where it applies it:
// this is what that adds to each beat.
func BenchmarkEvents(b *testing.B) {
	s, _ := bigFleet(b, 1000, 20)
	c := Command{Level: 1, Actor: byLeader, At: s.Now.Add(time.Second), Body: Snapshots{}}
	next, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, c)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if list := Events(s, next, c); len(list) != 0 {
			b.Fatalf("%d events", len(list))
		}
	}
}
