package sim_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/sim"
	"pgregory.net/rapid"
)

// TestScenarios plays each file of testdata/scenarios: prose and a scenario,
// then what comes of it.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		var s sim.Scenario
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			var err error
			switch d.Cmd {
			case "scenario":
				if s, err = sim.Parse("scenario", d.Input); err != nil {
					return err.Error()
				}
			case "run":
				var policy string
				d.MaybeScanArgs(t, "policy", &policy)
				var o sim.Outcome
				if o, err = sim.Run(s, policy); err == nil {
					err = o.Story(&b)
				}
			case "compare":
				var policies []string
				for _, a := range d.CmdArgs {
					policies = append(policies, a.Key)
				}
				var all []sim.Outcome
				if all, err = sim.Compare(s, policies...); err == nil {
					err = sim.Table(&b, all)
				}
			default:
				d.Fatalf(t, "no such directive: %s", d.Cmd)
			}
			if err != nil {
				t.Fatal(err)
			}
			return b.String()
		})
	})
}

// drawScenario draws a fleet whose VMs do the same all the time.
func drawScenario(t *rapid.T) sim.Scenario {
	set := cluster.DefaultSettings()
	set.Profile, set.WarmUp, set.Cooldown, set.PerHour, set.PerDay = cluster.ProfileFast, 0, 3*time.Minute, 1000, 1000
	set.PerCluster = rapid.IntRange(1, 3).Draw(t, "per cluster")
	s := sim.Scenario{Name: "drawn", For: 15 * time.Minute, Seed: rapid.Uint64().Draw(t, "seed"), Settings: set}
	for i := range rapid.IntRange(2, 4).Draw(t, "hosts") {
		s.Hosts = append(s.Hosts, sim.Host{
			Name: fmt.Sprintf("hv%d", i), CPUs: cluster.MilliCPU(1000 * rapid.IntRange(1, 4).Draw(t, "cpus")),
			Memory: 64 * cluster.GiB, Link: cluster.BytesPerSecond(500 * cluster.MiB),
		})
	}
	for i := range rapid.IntRange(1, 10).Draw(t, "vms") {
		v := sim.VM{Name: fmt.Sprintf("vm%d", i), On: s.Hosts[rapid.IntRange(0, len(s.Hosts)-1).Draw(t, "on")/2].Name, VCPUs: rapid.IntRange(1, 2).Draw(t, "vcpus")}
		v.Memory = cluster.Bytes(rapid.IntRange(128, 1024).Draw(t, "mem")) * cluster.MiB
		if rapid.IntRange(1, 4).Draw(t, "has shares") == 4 {
			v.Shares = cluster.Shares(rapid.SampledFrom([]int{25, 200, 400}).Draw(t, "shares"))
		}
		v.CPU = cluster.MilliCPU(rapid.IntRange(0, 1000*v.VCPUs).Draw(t, "cpu"))
		s.VMs = append(s.VMs, v)
	}
	return s
}

// A fleet whose load stays the same settles: no placement comes back that was
// left, nothing moves in the end, and nobody suffers more than the worst did
// before. The baselines promise no such thing.
func TestLawSteadyLoadSettles(t *testing.T) {
	drawn := rapid.Custom(drawScenario)
	for seed := range 40 {
		s := drawn.Example(seed)
		o, err := sim.Run(s, "demand")
		if err != nil {
			t.Fatalf("example %d: %v", seed, err)
		}
		if m := restless(s, o); m != nil {
			t.Errorf("example %d: late, not done or back where it was: %+v\nof %+v", seed, *m, o.Moves)
		}
		if o.WorstLast > o.WorstFirst+cluster.Percent(1) {
			t.Errorf("example %d: worst steal %v -> %v by %+v", seed, o.WorstFirst, o.WorstLast, o.Moves)
		}
	}
}

func TestLawSameSeedSameRun(t *testing.T) {
	drawn := rapid.Custom(drawScenario)
	for _, policy := range []string{"demand", "half-difference", "off"} {
		for seed := range 5 {
			s := drawn.Example(100 + seed)
			a, err := sim.Run(s, policy)
			if err != nil {
				t.Fatalf("%s, example %d: %v", policy, seed, err)
			}
			if b, _ := sim.Run(s, policy); !reflect.DeepEqual(a, b) {
				t.Errorf("%s, example %d: two runs differ:\n%+v\n%+v", policy, seed, a, b)
			}
		}
	}
}

// restless finds a move that should not have been.
func restless(s sim.Scenario, o sim.Outcome) *sim.Move {
	on, seen := map[string]string{}, map[string]bool{}
	for _, v := range s.VMs {
		on[v.Name] = v.On
	}
	seen[fmt.Sprint(on)] = true
	for i, m := range o.Moves {
		on[m.VM] = m.Target
		if now := fmt.Sprint(on); m.At > s.For-3*time.Minute || m.State != cluster.MoveDone || seen[now] {
			return &o.Moves[i]
		}
		seen[fmt.Sprint(on)] = true
	}
	return nil
}

func FuzzParse(f *testing.F) {
	f.Add("host \x10")
	f.Add("for 1m\nseed 2\nset profile=fast enter=12.5%\nhost hv1 cpus=2 mem=1GiB link=1GiB/s\nvm web1 on=hv1 cpu=0.5 burst=2s\nat 1s vm web1 cpu=1\nat 2s silent hv1 for=1s")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := sim.Parse("fuzz", text)
		if err != nil || len(s.Hosts)+len(s.VMs) > 20 {
			return
		}
		s.For = min(s.For, 2*time.Second)
		s.Events = nil // they may lie beyond the end now
		if _, err := sim.Run(s, ""); err != nil {
			t.Fatalf("it was parsed, but cannot be played: %v\n%s", err, text)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	var text strings.Builder
	text.WriteString("for 1m\nset profile=fast warm_up=0s per_hour=100\n")
	for i := range 20 {
		fmt.Fprintf(&text, "host hv%d cpus=8\n", i)
		for j := range 20 {
			fmt.Fprintf(&text, "vm vm%d-%d on=hv%d cpu=%g burst=3s\n", i, j, i, float64((i*7+j*3)%10)/10)
		}
	}
	s, err := sim.Parse("bench", text.String())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := sim.Run(s, ""); err != nil {
			b.Fatal(err)
		}
	}
}
