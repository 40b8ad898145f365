package api_test

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// Two hosts of two CPUs with three VMs each that never sleep: what the leader
// decides about that is a warning in `evenkeel status` and an event that calls
// somebody, with how many CPUs are missing.
func TestFault35StatusNamesTheShortage(t *testing.T) {
	h := newHappening()
	f := apitest.New(nil, true)
	f.Beats(30, hungry(1), hungry(4))
	h.state = f.State
	d, orders := rebalancer.Evaluate(f.State, apitest.HV2, f.State.Now)
	if len(orders) != 0 || d.Code != cluster.CodeCapacityShort {
		t.Fatalf("%d orders, %s: %s", len(orders), d.Code, d.Text)
	}
	h.doAs(cluster.Actor{Kind: cluster.KindAgent, ID: apitest.HV2}, cluster.Decide{Decision: d})
	c, _ := h.serve(t, &buffer{})
	s := must(c.Status(t.Context()))(t)
	const short = "6.2 CPUs are asked for, 2 known hosts have 4.0: about 2.2 too few"
	found := 0
	for _, w := range s.Warnings {
		if strings.HasPrefix(w.Text, "CPUs are short, and no move would help: hv") && strings.HasSuffix(w.Text, short) {
			found++
		}
	}
	if found != 1 {
		t.Errorf("warnings %+v, want one of %q", s.Warnings, short)
	}
	e := must(c.Events(t.Context(), api.EventsRequest{Last: 10, Severity: cluster.SeverityWarning}))(t)
	if len(e.Items) != 1 || e.Items[0].Kind != cluster.EventDecisionMade || !strings.HasSuffix(e.Items[0].Text, short) {
		t.Errorf("events %+v", e.Items)
	}
}

// hungry are three VMs that share two CPUs, of which the host itself takes a
// twentieth.
func hungry(from int) (out []apitest.Guest) {
	vms := []string{"aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd", "eeeeeeee", "ffffffff"}
	for _, id := range vms[from-1 : from+2] {
		out = append(out, apitest.Guest{
			UUID: id + "-0000-4000-8000-000000000000", Name: id, Run: 633, Wait: 367, Steal: 367_000, Contention: 367_000,
		})
	}
	return out
}
