package cluster

import "testing"

// Only a move that made things worse is taken back, only as it was, and only by
// the policy's word; the State asks that of each order anew.
func TestUndoOrders(t *testing.T) {
	begin := func(verdict Verdict, code Code, auto bool) *world {
		w := newWorld(t)
		set := w.s.Settings
		set.AutoUndo = auto
		w.must(byOperator, SetSettings{Settings: set})
		id := w.done()
		w.must(byLeader, Verify{Move: id, Verdict: verdict, Code: code, Text: "measured"})
		return w
	}
	order := func(w *world, target string) Decide {
		inv := homes(hv1)
		h, _ := w.s.hosts.get(hv2)
		h.Inventory.VMs = inv.VMs[:1] // vmA, which has come
		w.s.hosts = w.s.hosts.set(hv2, h)
		o := w.orderOf(vmA, hv2, target, TriggerAuto)
		o.Code = CodeUndo
		return w.decide(o)
	}
	w := begin(VerdictWorse, "", true)
	w.must(byLeader, order(w, hv1))
	for name, c := range map[string]struct {
		verdict Verdict
		code    Code
		auto    bool
		target  string
		want    Code
	}{
		"it helped":                 {VerdictBetter, "", true, hv1, CodeStalePlan},
		"others had a part in it":   {VerdictWorse, CodeDisturbed, true, hv1, CodeStalePlan},
		"to a third host":           {VerdictWorse, "", true, hv3, CodeStalePlan},
		"without the policy's word": {VerdictWorse, "", false, hv1, CodeUndo},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(c.verdict, c.code, c.auto)
			w.t = t
			w.refuses(c.want, byLeader, order(w, c.target))
		})
	}
}
