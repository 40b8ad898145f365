package cluster

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestDeltasRebuildTheWhole lets a Publisher speak over a line that loses
// snapshots and answers: whatever it sends is taken or refused as a stale
// base, what the State then has is what the Publisher rounded, no figure is
// further off than two steps of its scale or the slack, and after a lost one
// the next is whole.
func TestDeltasRebuildTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, f := fleetOf(nopTB{}, 1, 5, 0)
		h := f.hosts[0]
		f.apply(byLeader, f.entry(f.hosts))
		committed, known := h.seq, h.seq
		for range rapid.IntRange(1, 30).Draw(t, "beats") {
			f.now = f.now.Add(time.Second)
			h.details = rapid.IntRange(0, 3).Draw(t, "details") == 0
			raw, sent := f.raw(h, known)
			if known != h.seq-1 && sent.Base != 0 {
				t.Fatalf("snapshot %d amends %d, which is not known to be committed", sent.Sequence, sent.Base)
			}
			if known == h.seq-1 && sent.Base == 0 {
				t.Fatalf("snapshot %d is whole, for no reason", sent.Sequence)
			}
			if rapid.IntRange(0, 9).Draw(t, "lost") > 0 {
				f.apply(byLeader, Snapshots{[]Snapshot{sent}})
				committed = h.seq
				f.compare(t, h, raw)
			}
			if rapid.IntRange(0, 4).Draw(t, "heard") > 0 {
				known = committed
			}
		}
	})
}

// nopTB is for what cannot fail unless the code is broken: it panics.
type nopTB struct{ testing.TB }

func (nopTB) Fatal(args ...any)            { panic(args) }
func (nopTB) Fatalf(s string, args ...any) { panic(append([]any{s}, args...)) }
func (nopTB) Helper()                      {}

// raw is the next snapshot as measured and as sent.
func (f *fleet) raw(h *fleetHost, known uint64) (raw, sent Snapshot) {
	raw = f.measure(h)
	return raw, h.pub.Next(raw, known)
}

func (f *fleet) compare(t *rapid.T, h *fleetHost, raw Snapshot) {
	host, _ := f.s.Host(h.id)
	last, _ := host.Last()
	if diff := cmp.Diff(h.pub.sent.Load, last.Load); diff != "" {
		t.Fatalf("the State has other figures than the host sent: %s", diff)
	}
	if raw.Details != nil {
		if diff := cmp.Diff(h.pub.details.VMs, host.Details.VMs); diff != "" || host.Details.Base != 0 {
			t.Fatalf("the State has other details than the host sent: %s", diff)
		}
	}
	for i, v := range last.Load.VMs {
		want, got := raw.Load.VMs[i].figures(), v.figures()
		for j := range got {
			unit := vmScales[j].values[1]
			if diff := abs(got[j] - want[j]); diff > slacks[j] && diff > unit && diff*100 > want[j]*8 {
				t.Fatalf("slot %d: figure %d is %d, the State has %d", v.Slot, j, want[j], got[j])
			}
		}
		if v.Contention > v.Steal || v.ContentionMax > v.StealMax || v.Run > v.Demand {
			t.Fatalf("rounding broke the order of figures: %+v", v)
		}
	}
}

// A delta is taken only on the newest committed snapshot of this start and of
// the same VMs, details only on the newest details.
func TestStaleBases(t *testing.T) {
	for name, spoil := range map[string]func(w *world, s *Snapshot){
		"an older base":            func(_ *world, s *Snapshot) { s.Base = 1 },
		"a base that never was":    func(_ *world, s *Snapshot) { s.Sequence, s.Base = 9, 8 },
		"another set of VMs":       func(_ *world, s *Snapshot) { s.Inventory = &Inventory{Revision: 2}; s.Load.Inventory = 2 },
		"details of an older base": func(_ *world, s *Snapshot) { s.Details = detailsOf(); s.Details.Base = 1 },
		"details of other VMs": func(_ *world, s *Snapshot) {
			s.Details = detailsOf()
			s.Details.Base, s.Details.Inventory = 2, 7
		},
		"another start": func(w *world, s *Snapshot) {
			m := testHost(hv1)
			m.Incarnation = 2
			w.must(byHost(hv1), Announce{testCluster, m})
			s.Incarnation = 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			whole := w.snapshot(hv1)
			whole.Load.VMs, whole.Details = []VMLoad{{Slot: 49, Run: 5, Demand: 5}}, detailsOf(fullDetail())
			w.must(byLeader, Snapshots{[]Snapshot{whole}})
			s := w.snapshot(hv1)
			s.Inventory, s.Base = nil, 2
			good := s
			spoil(w, &s)
			w.must(byLeader, Snapshots{[]Snapshot{s}})
			h, _ := w.s.Host(hv1)
			if h.Refused == nil || h.Refused.Code != CodeStaleBase || w.s.Rejected != 1 {
				t.Fatalf("%d refused, %v; want %s", w.s.Rejected, h.Refused, CodeStaleBase)
			}
			if name == "another start" {
				return
			}
			w.must(byLeader, Snapshots{[]Snapshot{good}})
			h, _ = w.s.Host(hv1)
			last, _ := h.Last()
			if v, ok := last.Load.VM(49); w.s.Rejected != 1 || !ok || v.Run != 5 || h.DetailsSeq != 2 {
				t.Errorf("%d refused, slot 49 is %+v, details of %d", w.s.Rejected, v, h.DetailsSeq)
			}
		})
	}
}

// Two deltas that together list too many VMs are refused.
func TestDeltasAreBounded(t *testing.T) {
	w := newWorld(t)
	whole, more := w.snapshot(hv1), w.snapshot(hv1)
	for slot := range uint32(MaxVMsPerHost) {
		whole.Load.VMs = append(whole.Load.VMs, VMLoad{Slot: slot})
	}
	more.Inventory, more.Base, more.Load.VMs = nil, whole.Sequence, []VMLoad{{Slot: MaxSlot - 1}}
	w.must(byLeader, Snapshots{[]Snapshot{whole, more}})
	if h, _ := w.s.Host(hv1); w.s.Rejected != 1 || h.Refused == nil || h.Refused.Code != CodeTooMany {
		t.Errorf("%d refused, %v", w.s.Rejected, h.Refused)
	}
}

// Unchanged figures are shared between beats.
func TestUnchangedBeatsShareMemory(t *testing.T) {
	w := newWorld(t)
	whole, same := w.snapshot(hv1), w.snapshot(hv1)
	whole.Load.VMs = []VMLoad{{Slot: 1, Run: 7, Demand: 7}}
	same.Inventory, same.Base = nil, whole.Sequence
	w.must(byLeader, Snapshots{[]Snapshot{whole, same}})
	h, _ := w.s.Host(hv1)
	if n := len(h.Beats); n < 2 || &h.Beats[n-1].Load.VMs[0] != &h.Beats[n-2].Load.VMs[0] {
		t.Error("the same figures are kept twice")
	}
	back, err := DecodeState(bytes.NewReader(encoded(t, w.s)))
	if err != nil {
		t.Fatal(err)
	}
	h, _ = back.Host(hv1)
	if n := len(h.Beats); n < 2 || &h.Beats[n-1].Load.VMs[0] != &h.Beats[n-2].Load.VMs[0] {
		t.Error("after reading the same figures are kept twice")
	}
}

// TestRestoredStateGoesOn: a State that was written down and read goes on as
// if it had not been, byte for byte, over minutes and changes of VMs.
func TestRestoredStateGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, f := fleetOf(nopTB{}, 2, 4, 1)
		for range rapid.IntRange(1, 40).Draw(t, "beats") {
			h := f.hosts[rapid.IntRange(0, 1).Draw(t, "host")]
			f.now = f.now.Add(time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(40*time.Second)).Draw(t, "pass")))
			h.details = rapid.Bool().Draw(t, "details")
			s := f.measure(h)
			s = h.pub.Next(s, h.seq-1)
			back, err := DecodeState(bytes.NewReader(encoded(nopTB{}, f.s)))
			if err != nil {
				t.Fatal(err)
			}
			c := Command{Level: 1, At: f.now, Body: Snapshots{[]Snapshot{s}}}
			back, err = back.Apply(Meta{Index: f.s.Index + 1, Term: 1}, c)
			if err != nil {
				t.Fatal(err)
			}
			f.apply(byLeader, c.Body)
			if !bytes.Equal(encoded(nopTB{}, back), encoded(nopTB{}, f.s)) {
				t.Fatal("a restored State goes another way")
			}
			for _, h := range []string{f.hosts[0].id, f.hosts[1].id} {
				a, _ := f.s.Host(h)
				b, _ := back.Host(h)
				if diff := cmp.Diff(a.Minutes(), b.Minutes()); diff != "" {
					t.Fatalf("a restored State has other minutes: %s", diff)
				}
			}
		}
	})
}
