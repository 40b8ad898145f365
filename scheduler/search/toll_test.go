package search

import "testing"

// Who leaves home pays, in proportion to the room that stays taken; who comes back
// is paid as much; on the way between others nothing is due.
func TestTolls(t *testing.T) {
	p := grid(40, 4)
	m, err := compile(&p)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(m, Budget{Seed: 1, Horizon: 1 << 20}, 0)
	w.cooling.toll = 1e6
	sum := int64(0)
	for i := range m.Items {
		home := int(m.Initial[i])
		due := w.toll(i, (home+1)%4)
		j := i % 8
		other := w.toll(j, (int(m.Initial[j])+1)%4)
		if off := due*m.Size[2*j] - other*m.Size[2*i]; off > 16 || off < -16 {
			t.Errorf("item %d of size %d pays %d, item %d of size %d pays %d", i, m.Size[2*i], due, j, m.Size[2*j], other)
		}
		sum += due
		w.a.shift(i, (home+1)%4)
		if back, on := w.toll(i, home), w.toll(i, (home+2)%4); back != -due || on != 0 {
			t.Errorf("item %d paid %d, gets %d back, pays %d on its way", i, due, back, on)
		}
		w.a.shift(i, home)
	}
	if sum < 40e6-40 || sum > 40e6 {
		t.Errorf("40 items pay %d", sum)
	}
}

// Where leaving takes no room nothing is due, and the search is as it was.
func TestNoTolls(t *testing.T) {
	p := grid(40, 4)
	p.Dims[0].Transient = false
	m, err := compile(&p)
	if err != nil {
		t.Fatal(err)
	}
	if w := newWorker(m, Budget{Seed: 1, Horizon: 1 << 20}, 0); m.tolls != nil || w.ejections != ejections {
		t.Errorf("tolls %v, %d ejections", m.tolls, w.ejections)
	}
}

// The leading bins are the same whether they are found anew after each change or
// only where that may be needed.
func TestLeadingAfterChanges(t *testing.T) {
	var d dice
	for bins := range 7 {
		if bins == 0 {
			continue
		}
		lazy, eager := newLeading(bins), newLeading(bins)
		lazy.lead()
		eager.lead()
		for range 2000 {
			bin, value := d.below(bins), int64(d.below(5))
			lazy.set(bin, value)
			if lazy.stale {
				lazy.lead()
			}
			eager.value[bin] = value
			eager.lead()
			x, y := d.below(bins), d.below(bins)
			if lazy.most() != eager.most() || lazy.without(x, y) != eager.without(x, y) {
				t.Fatalf("%v: the most is %d, without %d and %d it is %d", lazy.value, lazy.most(), x, y, lazy.without(x, y))
			}
		}
	}
}
