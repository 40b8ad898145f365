package cluster

import "testing"

func TestLimit(t *testing.T) {
	const gbit = BytesPerSecond(125_000_000)
	for name, c := range map[string]struct {
		policy, source, target BytesPerSecond
		want                   Limit
	}{
		"nothing is known":         {0, 0, 0, Limit{}},
		"alike":                    {0, gbit, gbit, Limit{gbit / 2, LimitSource}},
		"the target is slower":     {0, 10 * gbit, gbit, Limit{gbit / 2, LimitTarget}},
		"the source is slower":     {0, gbit, 10 * gbit, Limit{gbit / 2, LimitSource}},
		"only the target is known": {0, 0, gbit, Limit{gbit / 2, LimitTarget}},
		"only the source is known": {0, gbit, 0, Limit{gbit / 2, LimitSource}},
		"the policy decides":       {2 * gbit, gbit, gbit, Limit{2 * gbit, LimitPolicy}},
		"slower than a MiB":        {0, 1000, 0, Limit{BytesPerSecond(MiB), LimitSource}},
	} {
		set := DefaultSettings()
		set.Bandwidth = c.policy
		if got := set.Limit(Member{MigrationLink: c.source}, Member{MigrationLink: c.target}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A start says what its migration may take, and the move shows it.
func TestStartTellsItsLimit(t *testing.T) {
	w := newWorld(t)
	id := w.claimed()
	for _, l := range []Limit{{-1, LimitPolicy}, {BytesPerSecond(MaxMemory) + 1, LimitPolicy}, {1 << 30, ""}, {0, LimitSource}, {1 << 30, "moon"}, {0, "moon"}} {
		w.refuses(CodeAbsurdFigure, byHost(hv1), Start{Move: id, Limit: l})
	}
	want := Limit{1 << 26, LimitTarget}
	w.must(byHost(hv1), Start{Move: id, Limit: want})
	if m, _ := w.s.Move(id); m.Limit != want {
		t.Errorf("the move's limit is %+v", m.Limit)
	}
}

func TestMemberLinkIsBounded(t *testing.T) {
	w := newWorld(t)
	for _, link := range []BytesPerSecond{-1, BytesPerSecond(MaxMemory) + 1} {
		m := testHost(hv1)
		m.Incarnation, m.MigrationLink = 2, link
		w.refuses(CodeAbsurdFigure, byHost(hv1), Announce{testCluster, m})
	}
}
