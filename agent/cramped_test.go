package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// inUse has the source tell how much memory its VM has in use.
func (st *stage) inUse(resident, swapped cluster.Bytes) {
	st.t.Helper()
	st.seq[hvA]++
	snap := cluster.Snapshot{Host: hvA, Incarnation: 1, Sequence: st.seq[hvA], Load: loadOf(hvA, cluster.Percent(75))}
	snap.Details = &cluster.Details{Window: 10 * time.Second, Vitals: 15 * time.Second, Inventory: 1, VMs: []cluster.Detail{
		{Slot: 0, Memory: &cluster.Memory{Resident: resident, Swapped: swapped}},
	}}
	st.must(cluster.Command{Level: 1, Body: cluster.Snapshots{Batch: []cluster.Snapshot{snap}}})
	if h, _ := st.state().Host(hvA); h.Details == nil {
		st.t.Fatal("the State did not take the details")
	}
}

// A target takes no VM whose memory in use is more than its kernel would give
// away, however much room the VMs' maxima leave.
func TestMemoryInUseMustBeFree(t *testing.T) {
	for name, c := range map[string]struct {
		resident, swapped cluster.Bytes
		pages             bool
		ratio             cluster.Ratio
		free              cluster.Bytes
		fails             error
		code              cluster.Code
	}{
		"just enough":              {resident: 700 * cluster.MiB, free: 956 * cluster.MiB},
		"too little":               {resident: 700 * cluster.MiB, free: 956*cluster.MiB - 1, code: cluster.CodeNoHeadroom},
		"what is swapped out, too": {resident: 300 * cluster.MiB, swapped: 401 * cluster.MiB, free: 956 * cluster.MiB, code: cluster.CodeNoHeadroom},
		"huge pages are set aside": {resident: 700 * cluster.MiB, pages: true},
		"nobody has told":          {free: cluster.MiB},
		"nobody has told, but memory is promised twice": {free: cluster.MiB, ratio: 2 * cluster.Whole, code: cluster.CodeNoHeadroom},
		"the kernel does not say":                       {resident: 700 * cluster.MiB, fails: errors.New("no meminfo"), code: cluster.CodeNotChecked},
	} {
		story(t, name, func(t *testing.T, st *stage) {
			a, b := likeHosts()
			if c.pages {
				a.need.Pages = []cluster.Pages{{KiB: 2048, Count: 512}}
				b.offer.Pages = a.need.Pages
				a.offer.Pages = a.need.Pages
			}
			st.describe(a, b)
			set := st.state().Settings
			set.MemoryRatio = c.ratio
			st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}, Body: cluster.SetSettings{Settings: set}})
			if c.resident != 0 {
				st.inUse(c.resident, c.swapped)
			}
			st.available = func() (cluster.Bytes, error) { return c.free, c.fails }
			st.start(hvA, nil)
			st.start(hvB, nil)
			st.order()
			m := st.play(20 * time.Second)
			if c.code == "" {
				expect(t, m, cluster.MoveDone, "")
				return
			}
			expect(t, m, cluster.MoveVetoed, c.code)
			if !strings.Contains(m.Why, "free at the target") {
				t.Errorf("it says %q", m.Why)
			}
		})
	}
}
