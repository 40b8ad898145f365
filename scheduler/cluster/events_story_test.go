package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestEventStories tells what becomes of sequences of commands in the words
// that operators and receivers of webhooks read. Rewrite with -rewrite, then
// read the diff.
func TestEventStories(t *testing.T) {
	datadriven.Walk(t, "testdata/events", func(t *testing.T, path string) {
		s := &story{w: newWorld(t)}
		s.now = s.w.s.Now
		datadriven.RunTest(t, path, s.tell)
	})
}

// story is a world whose time passes only with its entries, as it does for a
// replica.
type story struct {
	w   *world
	now Time
	out strings.Builder
}

// tell carries out a block's lines, each an entry or a wait, and prints the
// events of each.
func (s *story) tell(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	if d.Cmd != "log" {
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	for _, line := range strings.Split(d.Input, "\n") {
		words := strings.Fields(line)
		if words[0] == "wait" {
			wait, err := time.ParseDuration(words[1])
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			s.now = s.now.Add(wait)
			continue
		}
		if words[0] == "term" {
			s.w.term++
			continue
		}
		by, body := s.command(words)
		if body == nil {
			d.Fatalf(t, "what is %q?", line)
		}
		s.apply(by, body)
	}
	return s.out.String()
}

func (s *story) apply(by Actor, body Body) {
	w := s.w
	w.index++
	c := Command{Level: 1, ID: fmt.Sprintf("c%d", w.index), Actor: by, At: s.now, Body: body}
	next, err := w.s.Apply(Meta{Index: w.index, Term: w.term}, c)
	if err != nil {
		fmt.Fprintf(&s.out, "refused: %v\n", err)
	}
	for _, e := range Events(w.s, next, c) {
		who := ""
		if e.By.ID != "" {
			who = " by " + e.By.Name
		}
		var about []string
		for _, a := range e.Subjects {
			about = append(about, strings.TrimSuffix(fmt.Sprintf("%s=%s/%s", a.Kind, strings.TrimLeft(a.ID[:min(8, len(a.ID))], "0"), a.Name), "/"))
		}
		fmt.Fprintf(&s.out, "%s %s %s%s: %s (%s)\n", e.Key(), e.Severity, e.Kind, who, e.Text, strings.Join(about, " "))
	}
	w.s = next
}

var storyHosts = map[string]string{"hv1": hv1, "hv2": hv2, "hv3": hv3, "hv9": newcomer}

// command reads a line.
func (s *story) command(words []string) (Actor, Body) {
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	text := func(i int) string { return strings.Join(words[min(i, len(words)):], " ") }
	if by, body := s.moveCommand(word(0), word(1), words); body != nil {
		return by, body
	}
	host := storyHosts[word(1)]
	switch word(0) {
	case "beat":
		return byLeader, s.beat(words[1:])
	case "mode":
		m := SetMode{Mode: Mode(word(1))}
		if len(words) > 2 {
			m.Scope = &Scope{VMs: words[2:]}
		}
		return byOperator, m
	case "pause":
		d, _ := time.ParseDuration(word(1))
		return byOperator, Pause{Until: s.now.Add(d), Text: text(2)}
	case "pause-host":
		d, _ := time.ParseDuration(word(2))
		return byOperator, Pause{Until: s.now.Add(d), Text: text(3), Host: host}
	case "pause-vm":
		d, _ := time.ParseDuration(word(2))
		return byOperator, Pause{Until: s.now.Add(d), Text: text(3), VM: map[string]string{"a": vmA, "b": vmB}[word(1)]}
	case "resume":
		return byOperator, Resume{Host: host}
	case "rule":
		r := RuleSpec{Name: word(1), Kind: RuleKind(word(2)), VMs: []string{word(3)}, Text: text(4)}
		return byOperator, SetRules{Set: []RuleChange{{RuleSpec: r}}}
	case "unrule":
		return byOperator, SetRules{Remove: []string{word(1)}, Text: text(2)}
	case "freeze":
		f := Freeze{Cause: text(2)}
		if d, _ := time.ParseDuration(word(1)); d > 0 {
			f.Until = s.now.Add(d)
		}
		return byLeader, f
	case "policy":
		set := s.w.s.Settings
		set.PerHour, set.Cooldown, set.Profile = 9, 45*time.Minute, ProfileFast
		return byOperator, SetSettings{Settings: set}
	case "level":
		return byOperator, RaiseLevel{2}
	case "lock":
		return byOperator, TakeLock{ID: "l-" + word(1), Holder: word(1), Until: s.now.Add(time.Minute), Text: text(2)}
	case "cordon", "drain":
		return byOperator, SetCordon{Host: host, Drain: word(0) == "drain", Text: text(2)}
	case "quiet":
		return byOperator, SetQuiet{Windows: slices.DeleteFunc(strings.Split(text(1), "; "), func(w string) bool { return w == "" })}
	case "vm-rule":
		n, _ := strconv.Atoi(word(3))
		return byOperator, SetVMRule{VM: map[string]string{"a": vmA, "b": vmB}[word(1)], Mode: Mode(word(2)), MovesPerDay: n, Text: text(4)}
	case "revoke":
		return byOperator, RevokeCertificate{newcomer, word(1), s.now.Add(time.Hour), text(2)}
	case "uncordon":
		return byOperator, LiftCordon{Host: host}
	case "unlock":
		return byOperator, GiveLock{ID: "l-" + word(1)}
	case "token":
		k := testToken(1, word(1))
		k.Expires = s.now.Add(time.Hour)
		return byOperator, AddToken{Token: k, Text: text(2)}
	case "use-token":
		return byLeader, UseToken{testToken(1, "").ID, newcomer}
	case "announce":
		m := testHost(host)
		m.Name, m.Version, m.Level = word(1), word(2), 2
		m.Incarnation = uint64(len(word(3))) + 1 // a stroke for each restart
		return byHost(host), Announce{testCluster, m}
	case "remove":
		return byOperator, RemoveMember{Member: host, Force: true, Text: text(2)}
	case "nothing":
		return byLeader, Decide{Decision: Decision{ID: s.w.s.NextDecisionID(), Result: ResultNothing, Code: Code(word(1)), Text: text(2)}}
	case "delivered":
		return byLeader, Deliver{[]Delivery{{word(1), s.w.index, 0}}}
	}
	return Actor{}, nil
}

// moveCommand reads a line about the newest move.
func (s *story) moveCommand(verb, arg string, words []string) (Actor, Body) {
	id := moveID(s.w.s.LastMove)
	switch verb {
	case "order":
		o := s.w.orderOf(map[string]string{"a": vmA, "b": vmB}[arg], storyHosts[words[2]], storyHosts[words[3]], TriggerOperator)
		o.ID, o.Deadline, o.Reason = s.w.s.NextMoveID(0), s.now.Add(30*time.Second), strings.Join(words[4:], " ")
		o.DecidedOn, o.Term = s.w.index, s.w.term
		return byLeader, Decide{Decision{ID: s.w.s.NextDecisionID(), Result: ResultMoved, Text: "db waits"}, []Order{o}}
	case "reserve":
		return byHost(storyHosts[arg]), Reserve{id}
	case "veto":
		return byHost(storyHosts[arg]), Veto{id, CodeTargetBusy, "it suffers itself"}
	case "claim":
		return byHost(storyHosts[arg]), Claim{id, 1}
	case "release":
		return byHost(storyHosts[arg]), Release{id, "the start window is over", ""}
	case "start":
		return byHost(storyHosts[arg]), Start{Move: id}
	case "end":
		return byHost(storyHosts[arg]), EndJob{Move: id, Evidence: storyEvidence(words[2]), Aborted: len(words) > 3}
	case "testify":
		return byHost(storyHosts[arg]), Testify{Move: id, Evidence: storyEvidence(words[2]), Downtime: 41 * time.Millisecond}
	case "cancel":
		return byOperator, Cancel{id, strings.Join(words[1:], " ")}
	case "expire":
		return byLeader, Expire{id}
	case "resolve":
		return byOperator, Resolve{id, storyHosts[arg], "seen on its console"}
	case "verify":
		return byLeader, Verify{Move: id, Verdict: Verdict(arg), Measured: &Effect{VMContentionBefore: 500_000, VMContentionAfter: 12_000}}
	}
	return Actor{}, nil
}

func storyEvidence(word string) Evidence {
	return map[string]Evidence{"runs": runs, "gone": gone, "paused": paused}[word]
}

// beat makes snapshots: hv1, hv2+a (reports VM a), hv1-a (does not), hv1~
// (measures without eBPF), hv1! (suffers).
func (s *story) beat(hosts []string) Snapshots {
	var out Snapshots
	for _, h := range hosts {
		id := storyHosts[h[:3]]
		snap := s.w.snapshot(id)
		snap.Load.TakenAt = s.now
		for _, mark := range strings.Split(h[3:], ",") {
			s.mark(&snap, mark)
		}
		out.Batch = append(out.Batch, snap)
	}
	return out
}

func (s *story) mark(snap *Snapshot, mark string) {
	inv := &Inventory{Revision: snap.Inventory.Revision, VMs: snap.Inventory.VMs}
	switch mark {
	case "+a":
		inv.VMs = append([]VM{}, testVM(vmA))
	case "-a":
		inv.VMs = inv.VMs[1:]
	case "~":
		snap.Load.Source = SourceSchedstat
	case "!":
		snap.Load.VMs = []VMLoad{{Slot: testVM(vmB).Slot, Run: 500, Wait: 500, Demand: 1000, Steal: 500_000, StealMax: 500_000, Contention: 500_000, ContentionMax: 500_000}}
		snap.Load.Contention, snap.Load.ContentionMax = 300_000, 500_000
		snap.Load.Steal, snap.Load.StealMax = 300_000, 500_000
	}
	if mark == "+a" || mark == "-a" {
		inv.Revision = 1 + snap.Sequence
		snap.Load.Inventory = inv.Revision
	}
	snap.Inventory = inv
}
