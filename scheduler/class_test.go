package scheduler_test

import (
	"reflect"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

func (f *fleet) class(class cluster.Class, vms ...string) {
	f.t.Helper()
	f.must(operator, cluster.SetRules{Set: []cluster.RuleChange{{RuleSpec: cluster.RuleSpec{Name: "class-" + string(class), Kind: cluster.RuleClass, VMs: vms, Class: class}}}})
}

// Who is called normal is planned for as if nobody had said so.
func TestLawNormalIsTheDefault(t *testing.T) {
	forAllFleets(t, []string{"demand"}, func(t *rapid.T, s spec, f *fleet) {
		before := f.plan()
		f.class(cluster.ClassNormal, "*")
		after := f.plan()
		if after.Index = before.Index; !reflect.DeepEqual(before, after) {
			t.Fatalf("without a rule, and all normal:\n%+v\n%+v", before, after)
		}
	})
}

// What is batch work is never worth a move: if all VMs are, nothing is planned,
// and however much batch work waits, it keeps no other VM from its target.
func TestLawBatchIsNoReason(t *testing.T) {
	forAllFleets(t, []string{"demand"}, func(t *rapid.T, s spec, f *fleet) {
		f.class(cluster.ClassBatch, "*")
		f.wait(f.every)
		if r := f.plan(); len(r.Moves) > 0 {
			t.Fatalf("of batch work alone %s moves: %s", r.Moves[0].VMName, r.Moves[0].Reason)
		}
	})
}

// No move is made by which a latency VM of an end would come to count more than
// what counted most before, told by another reckoning than the planner's.
func TestLawLatencyCountsTwice(t *testing.T) {
	forAllFleets(t, []string{"demand"}, func(t *rapid.T, s spec, f *fleet) {
		if len(s.vms) == 0 {
			return
		}
		twice := rapid.SampledFrom(s.vms).Draw(t, "of class latency").name
		f.class(cluster.ClassLatency, twice)
		counts := func(hosts ...*host) (worst float64) {
			for _, h := range hosts {
				share(h.cpus, h.overhead, h.vms)
				for _, v := range h.vms {
					waits := (v.demand - v.run).CPUs() / float64(v.VCPUs)
					if v.Name == twice {
						waits *= 2
					}
					worst = max(worst, waits)
				}
			}
			return worst
		}
		for i, m := range f.plan().Moves {
			from, v := f.find(m.VMName)
			to := f.host(f.nameOf(m.Target))
			before := counts(from, to)
			f.shift(v, from, to)
			if after := counts(from, to); after >= before+2*rounding {
				t.Fatalf("step %d, %s to %s: counts %.3f -> %.3f", i, v.Name, to.name, before, after)
			}
		}
	})
}
