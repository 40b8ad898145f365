package cluster

import (
	"slices"
	"testing"
	"time"
)

// plugged has the hosts of a world describe themselves: their VMs are plugged
// into br0, vmB into br1 as well.
func plugged(w *world) {
	offer := &Offer{Bridges: []Bridge{{"br0", true, true}, {"br1", true, true}}, Guests: []Guests{{Arch: "x86_64", Virt: "kvm", Machines: []string{"q35"}}}}
	need := func(links ...Link) *Need { return &Need{Arch: "x86_64", Virt: "kvm", Machine: "q35", Links: links} }
	w.must(byHost(hv1), Describe{
		Incarnation: 1, Revision: 1, Offer: offer,
		Needs: []*Need{need(Link{"bridge", "br0"}), need(Link{"bridge", "br1"}, Link{"user", ""}, Link{"bridge", "br0"}, Link{"bridge", "br0"})},
		VMs:   []Needy{{vmA, 0}, {vmB, 1}},
	})
	w.must(byHost(hv2), Describe{Incarnation: 1, Revision: 1, Offer: offer})
	w.must(byHost(hv3), Describe{Incarnation: 1, Revision: 1, Offer: offer})
}

func inParallel(w *world, networks Networks) {
	set := w.s.Settings
	set.PerHost, set.PerCluster, set.Networks = 4, 4, networks
	w.must(byOperator, SetSettings{Settings: set})
}

func (w *world) verify(id string, v Verdict, measured bool) {
	w.t.Helper()
	body := Verify{Move: id, Verdict: v}
	if measured {
		body.Measured = &Effect{}
	}
	w.must(byLeader, body)
	if v == VerdictSuspect && measured {
		w.must(byOperator, Resume{})
	}
}

// The first move on a path flies alone, and whether its VM lives on decides
// about the next.
func TestCanary(t *testing.T) {
	order := func(w *world, vm, target string, by Trigger) Decide { return w.decide(w.orderOf(vm, hv1, target, by)) }
	for name, c := range map[string]struct {
		networks Networks
		before   func(w *world) // vmA moves to hv2
		code     Code           // of vmB's automatic move to hv2
		canary   bool           // if it is taken
	}{
		"nothing moved":               {before: func(*world) {}, canary: true},
		"one is in flight":            {before: func(w *world) { w.running() }, code: CodeCanary},
		"one is in flight elsewhere":  {before: func(w *world) { w.must(byLeader, order(w, vmA, hv3, TriggerOperator)) }, code: CodeCanary},
		"one is done, not verified":   {before: func(w *world) { w.done() }, code: CodeCanary},
		"it lives, br1 is untested":   {before: func(w *world) { w.verify(w.done(), VerdictWorse, true) }, canary: true},
		"it shows no sign of life":    {before: func(w *world) { w.verify(w.done(), VerdictSuspect, true) }, code: CodeCanary},
		"nothing could be measured":   {before: func(w *world) { w.verify(w.done(), VerdictSuspect, false) }, canary: true},
		"its outcome is unknown":      {before: func(w *world) { w.unknown() }, canary: true},
		"it will never be verified":   {before: func(w *world) { w.done(); w.wait(3 * time.Hour); w.beat() }, canary: true},
		"stated, one is in flight":    {networks: NetworksStated, before: func(w *world) { w.running() }},
		"stated, but no sign of life": {networks: NetworksStated, before: func(w *world) { w.verify(w.done(), VerdictSuspect, true) }, code: CodeCanary},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			plugged(w)
			inParallel(w, c.networks)
			c.before(w)
			before, _ := w.s.Move("m-1")
			if auto := order(w, vmB, hv2, TriggerAuto); c.code != "" {
				w.refuses(c.code, byLeader, auto)
			} else {
				w.must(byLeader, auto)
				m, _ := w.s.LiveMove(vmB)
				if m.Canary != c.canary || !slices.Equal(m.Networks, []string{"bridge br0", "bridge br1"}) {
					t.Errorf("canary %v over %q", m.Canary, m.Networks)
				}
				return
			}
			// A person's word is enough.
			w.must(byLeader, order(w, vmB, hv2, TriggerOperator))
			if before.ID != "" && !slices.Equal(before.Networks, []string{"bridge br0"}) {
				t.Errorf("m-1 went over %q", before.Networks)
			}
		})
	}
}

// Whichever way a VM went, and whatever an older move has shown, the newest that
// says something counts.
func TestTrials(t *testing.T) {
	const br0 = "bridge br0"
	judged := func(v Verdict) Move { return Move{State: MoveDone, VerifiedAt: 1, Verdict: v, Measured: &Effect{}} }
	awaited := Move{State: MoveDone}
	for name, c := range map[string]struct {
		moves []Move // oldest first
		want  TrialResult
	}{
		"none":                     {nil, Untested},
		"failed":                   {[]Move{{State: MoveFailed}}, Untested},
		"tried":                    {[]Move{{State: MoveDone, Order: Order{Try: true}}}, Untested},
		"awaited":                  {[]Move{awaited}, Awaited},
		"proven, awaited":          {[]Move{judged(VerdictBetter), awaited}, Proven},
		"suspect, awaited":         {[]Move{judged(VerdictSuspect), awaited}, Awaited},
		"proven, suspect":          {[]Move{judged(VerdictSame), judged(VerdictSuspect)}, Suspected},
		"suspect, proven":          {[]Move{judged(VerdictSuspect), judged(VerdictWorse)}, Proven},
		"proven, suspect, awaited": {[]Move{judged(VerdictBetter), judged(VerdictSuspect), awaited}, Awaited},
	} {
		s := New(testCluster)
		for i, m := range c.moves {
			m.Seq, m.ID, m.Networks = uint64(i+1), moveID(uint64(i+1)), []string{br0}
			m.Source, m.Target = hv1, hv2
			if i%2 == 1 {
				m.Source, m.Target = hv2, hv1
			}
			s.store(m)
		}
		if got := s.Trials()[PathOf(hv1, hv2, br0)]; got.Result != c.want || got != s.Trials()[PathOf(hv2, hv1, br0)] {
			t.Errorf("%s: %+v, want %d", name, got, c.want)
		}
	}
}

// A VM with very many networks does not make moves of any size.
func TestNetworksOfNeed(t *testing.T) {
	n := &Need{}
	for i := range 3 * maxNetworks {
		n.Links = append(n.Links, Link{"network", string(rune('a'+i%26)) + moveID(uint64(i))}, Link{"vhostuser", "x"})
	}
	got := n.Networks()
	if len(got) != maxNetworks || !slices.IsSorted(got) || (*Need)(nil).Networks() != nil {
		t.Errorf("%d networks: %q", len(got), got)
	}
}
