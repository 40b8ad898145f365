package scheduler_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

// drawRules makes rules about the VMs of a generated fleet, often for a few of
// them that share a host already.
func drawRules(t *rapid.T, s spec, f *fleet) {
	for i := range rapid.IntRange(1, 4).Draw(t, "rules") {
		rule := cluster.RuleSpec{Name: fmt.Sprintf("rule%d", i), Kind: rapid.SampledFrom([]cluster.RuleKind{
			cluster.RuleAffinity, cluster.RuleAntiAffinity, cluster.RuleSpread, cluster.RulePin, cluster.RuleIgnore,
		}).Draw(t, "kind")}
		for range rapid.IntRange(1, 4).Draw(t, "of") {
			rule.VMs = append(rule.VMs, fmt.Sprintf("vm%d", rapid.IntRange(0, 12).Draw(t, "vm")))
		}
		if rule.Kind == cluster.RulePin {
			rule.Hosts = []string{rapid.SampledFrom([]string{"hv0", "hv1", "zone=z1"}).Draw(t, "to")}
		}
		rule.Should = rule.Kind != cluster.RuleIgnore && one(t, 4, "should")
		f.must(operator, cluster.SetRules{Set: []cluster.RuleChange{{RuleSpec: rule}}})
	}
}

// broken counts what is wrong with a rule in the made-up fleet: told by pairs
// and sums, which is not how the State reckons.
func (f *fleet) broken(r cluster.Rule) (n int) {
	zones, at := map[string]int{}, map[string]int{}
	all, most := 0, 0
	for _, h := range f.hosts {
		zones[h.zoneOrName()] += 0
		for _, v := range h.vms {
			if !slices.Contains(r.VMs, v.Name) {
				continue
			}
			all++
			at[h.name]++
			zones[h.zoneOrName()]++
			if r.Kind == cluster.RulePin && !slices.Contains(r.Hosts, h.name) && !slices.Contains(r.Hosts, "zone="+h.zone) {
				n++
			}
		}
		most = max(most, at[h.name])
	}
	switch r.Kind {
	case cluster.RuleAffinity:
		return all - most
	case cluster.RuleAntiAffinity:
		for _, k := range at {
			n += k * (k - 1) / 2
		}
	case cluster.RuleSpread:
		share := (all + len(zones) - 1) / len(zones)
		for _, k := range zones {
			n += max(k-share, 0)
		}
	}
	return n
}

func (h *host) zoneOrName() string {
	if h.zone != "" {
		return "zone " + h.zone
	}
	return h.name
}

// No step of a plan breaks a rule, or breaks one more than it is broken; what
// is ignored stays; of a group that is kept apart one moves in a plan.
func TestLawRulesHold(t *testing.T) {
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		f.zoned()
		drawRules(t, s, f)
		s.set.Chains = one(t, 2, "chains")
		f.must(operator, cluster.SetSettings{Settings: s.set})
		r := f.plan()
		f.checkOrders(f.inputNow(), r)
		moved := map[string]bool{}
		for i, m := range r.Moves {
			f.followRules(t, i, m)
			for _, rule := range f.state.Rules {
				covered := slices.Contains(rule.VMs, m.VMName)
				if rule.Kind == cluster.RuleAntiAffinity && covered && moved[rule.ID] {
					t.Fatalf("step %d moves a second VM of %s", i, rule.Name)
				}
				moved[rule.ID] = moved[rule.ID] || covered
			}
		}
	})
}

// A plan says which rule binds each refusal, and what its steps and the best that
// was refused were judged by: what Explain says of the same move.
func TestLawPlansSayWhatTheyWereJudgedBy(t *testing.T) {
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		f.zoned()
		drawRules(t, s, f)
		r := f.plan()
		for i, c := range r.Refused {
			rule, known := f.state.Rule(c.Rule)
			switch {
			case strings.HasPrefix(string(c.Code), "RULE_") != (known && strings.Contains(c.Text, rule.Name)):
				t.Fatalf("refused by rule %q: %s: %s", c.Rule, c.Code, c.Text)
			case i > 0 && c.Score != nil:
				t.Fatalf("the score of candidate %d is kept, too", i)
			case i == 0 && s.policy == "demand" && c.Predicted != (cluster.Effect{}) && c.Score == nil:
				t.Fatalf("the score of %+v is not told", c)
			}
		}
		if len(r.Moves) == 0 {
			return
		}
		m := r.Moves[0]
		if (m.Score != nil) != (s.policy == "demand") {
			t.Fatalf("policy %s: score %v", s.policy, m.Score)
		}
		for _, v := range scheduler.Explain(scheduler.Input{State: f.state, Now: f.state.Now.Std(), Seed: 1}, m.VM) {
			if v.Target == m.Target && v.Code == "" && !reflect.DeepEqual(v.Score, m.Score) {
				t.Fatalf("%s to %s is judged by %v, and by %v", m.VMName, m.Target, m.Score, v.Score)
			}
		}
	})
}

// BenchmarkRules plans for 1,000 hosts with 20,000 VMs of which one in ten
// hosts suffers: with no rules, with a hundred of ten patterns each, and with
// as many patterns as there may be.
func BenchmarkRules(b *testing.B) {
	for _, size := range []struct{ rules, patterns int }{{0, 0}, {100, 10}, {16, cluster.MaxPatterns}} {
		b.Run(fmt.Sprintf("%dx%d", size.rules, size.patterns), func(b *testing.B) {
			f := newFleet(b)
			for i := range 1000 {
				h := f.addHost(fmt.Sprintf("hv%d", i))
				h.cpus = 16_000
				f.announce(h)
				for j := range 20 {
					v := f.addVM(fmt.Sprintf("vm%d-%d", i, j), h.name)
					v.VCPUs, v.demand = 2, cluster.MilliCPU(300+(i*131+j*71)%500)
					if i%10 == 0 {
						v.demand = 2000
					}
				}
			}
			kinds := cluster.RuleKinds()[:4]
			for i := range size.rules {
				rule := cluster.RuleSpec{Name: fmt.Sprint("rule", i), Kind: kinds[i%4]}
				for j := range size.patterns {
					rule.VMs = append(rule.VMs, fmt.Sprintf("vm%d-%d*", 10*j, i%20))
				}
				if rule.Kind == cluster.RulePin {
					rule.Hosts = []string{"hv?", "hv??0"}
				}
				f.must(operator, cluster.SetRules{Set: []cluster.RuleChange{{RuleSpec: rule}}})
			}
			f.wait(f.every)
			for b.Loop() {
				scheduler.Plan(f.inputNow())
			}
		})
	}
}
