package whatif_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/sim"
	"github.com/evenkeel/evenkeel/scheduler/whatif"
)

// record plays a scenario and keeps what a member's journal would.
func record(t *testing.T, text string) (sim.Scenario, []sim.Applied, sim.Outcome) {
	t.Helper()
	s, err := sim.Parse("scenario", text)
	if err != nil {
		t.Fatal(err)
	}
	var past []sim.Applied
	o, err := sim.Record(s, "", func(a sim.Applied) { past = append(past, a) })
	if err != nil {
		t.Fatal(err)
	}
	return s, past, o
}

// replay plays a record: from its beginning, with gaps where entries are cut.
func replay(cfg whatif.Config, past []sim.Applied) (whatif.Report, error) {
	run, err := whatif.New(cfg)
	if err != nil {
		return whatif.Report{}, err
	}
	last := uint64(0)
	for i, a := range past {
		if i == 0 || a.Before.Index != last {
			if err := run.Begin(a.Before); err != nil {
				return whatif.Report{}, err
			}
		}
		e := whatif.Entry{Meta: a.Meta, Before: a.Before.Index, Refused: a.Refused, Command: a.Command}
		if err := run.Entry(e); err != nil {
			return whatif.Report{}, err
		}
		last = a.Meta.Index
	}
	return run.Report(), nil
}

// set makes a Lane's Change of words as in a scenario's set.
func set(words ...string) func(cluster.Settings) (cluster.Settings, error) {
	return func(s cluster.Settings) (cluster.Settings, error) {
		for _, w := range words {
			key, value, _ := strings.Cut(w, "=")
			var d time.Duration
			var n int64
			var err error
			switch key {
			case "policy":
				s.Policy = value
			case "profile":
				s.Profile = cluster.Profile(value)
			case "enter", "exit":
				if n, err = percent(value); key == "enter" {
					s.Enter = cluster.Percent(n)
				} else {
					s.Exit = cluster.Percent(n)
				}
			case "cooldown":
				d, err = time.ParseDuration(value)
				s.Cooldown = d
			default:
				err = errors.New("unknown setting " + key)
			}
			if err != nil {
				return s, err
			}
		}
		return s, nil
	}
}

func percent(text string) (n int64, err error) {
	_, err = fmt.Sscanf(text, "%d%%", &n)
	return n, err
}

// TestStories plays each file of testdata/stories: a scenario that is
// recorded, and what would have come of it under other settings. `truth` plays
// the scenario itself under those settings: what the estimate is held against.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		var s sim.Scenario
		var past []sim.Applied
		var start cluster.Time
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			var words []string
			lane := whatif.Lane{Name: "what-if"}
			for _, a := range d.CmdArgs {
				if a.Key == "mode" {
					lane.Mode = cluster.Mode(a.Vals[0])
					continue
				}
				words = append(words, a.Key+"="+a.Vals[0])
			}
			lane.Change = set(words...)
			switch d.Cmd {
			case "record":
				var o sim.Outcome
				s, past, o = record(t, d.Input)
				start = past[0].Command.At
				if err := o.Story(&b); err != nil {
					t.Fatal(err)
				}
			case "what-if":
				report, err := replay(whatif.Config{Lanes: []whatif.Lane{{Name: "then"}, lane}}, past)
				if err != nil {
					return err.Error() + "\n"
				}
				tell(&b, start, report)
			case "truth":
				changed, err := lane.Change(s.Settings)
				if err != nil {
					t.Fatal(err)
				}
				other := s
				other.Settings = changed
				o, err := sim.Run(other, "")
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "steal %.0f s per vCPU and hour\n", o.StealPerHour.Seconds())
				if err := o.Story(&b); err != nil {
					t.Fatal(err)
				}
			default:
				d.Fatalf(t, "no such directive: %s", d.Cmd)
			}
			return b.String()
		})
	})
}

func tell(b *strings.Builder, start cluster.Time, r whatif.Report) {
	for _, c := range append([]whatif.Column{r.Record}, r.Lanes...) {
		fmt.Fprintf(b, "%-8s decisions %d moved %d recommended %d nothing; %d moves; steal %.0f s per VM-hour, %.0f %% of it modelled; %d overloads, %.0f s in all, %d answered after %v, at worst %v\n",
			c.Name, c.Moved, c.Recommended, c.Nothing, len(c.Moves), c.StealPerHour(), share(c), c.Overloads, c.Overloaded.Seconds(), c.Answered,
			c.DelayMedian.Round(100*time.Millisecond), c.DelayWorst.Round(100*time.Millisecond))
	}
	both, gone, more := whatif.Compare(r.Record, r.Lanes[len(r.Lanes)-1])
	for _, p := range both {
		fmt.Fprintf(b, "as well  %s %s->%s at %v, really at %v: %s\n", p.A.VMName, p.A.Source, p.A.Target, since(start, p.B), since(start, p.A), p.B.State)
	}
	for _, m := range gone {
		fmt.Fprintf(b, "not made %s %s->%s at %v\n", m.VMName, m.Source, m.Target, since(start, m))
	}
	for _, m := range more {
		fmt.Fprintf(b, "added    %s %s->%s at %v: %s\n", m.VMName, m.Source, m.Target, since(start, m), m.State)
	}
	fmt.Fprintf(b, "the model says %.0f s per VM-hour where %.0f were measured\n", r.Model.ModelledPerHour(), r.Model.MeasuredPerHour())
}

func share(c whatif.Column) float64 {
	if c.VMTime == 0 {
		return 0
	}
	return float64(c.Modelled) / float64(c.VMTime) * 100
}

func since(start cluster.Time, m whatif.Move) time.Duration {
	return m.At.Sub(start).Round(time.Second)
}

// crowd is a fleet that one host's four VMs starve in, and two more hosts.
const crowd = `
for 30m
set profile=fast warm_up=0s cooldown=5m
host hv1 cpus=2
host hv2 cpus=2
host hv3 cpus=2
vm db1 on=hv1 cpu=1
vm db2 on=hv1 cpu=1
vm batch on=hv1 cpu=1
vm web on=hv1 cpu=0.3
vm idle on=hv2 cpu=0.1
at 15m vm db2 cpu=0.2
at 20m vm idle cpu=1
`

// The same record and lanes give the same report.
func TestLawSameRecordSameReport(t *testing.T) {
	_, past, _ := record(t, crowd)
	cfg := whatif.Config{Lanes: []whatif.Lane{{Name: "then"}, {Name: "late", Change: set("enter=40%", "exit=30%")}}}
	a, err := replay(cfg, past)
	if err != nil {
		t.Fatal(err)
	}
	b, err := replay(cfg, past)
	if err != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("two runs differ (%v):\n%+v\n%+v", err, a, b)
	}
}

// With the settings of then the leader's code makes the moves that were made,
// at the same times, and no host's figures are modelled.
func TestLawSettingsOfThenGiveTheRecord(t *testing.T) {
	for _, profile := range []string{"fast", "steady"} {
		_, past, _ := record(t, strings.ReplaceAll(crowd, "profile=fast", "profile="+profile))
		r, err := replay(whatif.Config{Lanes: []whatif.Lane{{Name: "then"}}}, past)
		if err != nil {
			t.Fatal(err)
		}
		both, gone, more := whatif.Compare(r.Record, r.Lanes[0])
		if len(both) == 0 || len(gone)+len(more) > 0 {
			t.Errorf("%s: %d as then; not made %v, in addition %v", profile, len(both), gone, more)
		}
		for _, p := range both {
			if d := p.A.At.Sub(p.B.At).Abs(); d > 2*time.Second || p.A.State != p.B.State {
				t.Errorf("%s: %s really at %v, in the lane %v apart; %s and %s", profile, p.A.VMName, p.A.At, d, p.A.State, p.B.State)
			}
		}
		then, lane := r.Record.Figures, r.Lanes[0].Figures
		if lane.VMTime == 0 || lane.Modelled != 0 || lane.Steal != then.Steal || then.Overloads != lane.Overloads || then.Overloaded != lane.Overloaded {
			t.Errorf("%s: %+v\n%+v", profile, then, lane)
		}
	}
}

// A record that cannot be what it says is refused.
func TestDamagedRecord(t *testing.T) {
	_, past, _ := record(t, crowd)
	cfg := whatif.Config{Lanes: []whatif.Lane{{Name: "then"}}}
	for name, c := range map[string]struct {
		spoil func([]sim.Applied)
		want  string
	}{
		"a refusal that was none": {func(p []sim.Applied) { p[40].Refused = true }, "it was refused then: true, now: false"},
		"an entry of the future":  {func(p []sim.Applied) { p[40].Command.Level = 99 }, "feature level"},
		"settings that contradict": {func(p []sim.Applied) {
			body := p[0].Command.Body.(cluster.SetSettings)
			p[40].Command.Body = body
		}, "then"},
	} {
		spoilt := append([]sim.Applied(nil), past...)
		c.spoil(spoilt)
		use := cfg
		if name == "settings that contradict" {
			use.Lanes = []whatif.Lane{{Name: "then", Change: set("enter=2%")}}
		}
		if _, err := replay(use, spoilt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	run, err := whatif.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Begin(past[10].Before); err != nil {
		t.Fatal(err)
	}
	e := whatif.Entry{Meta: past[12].Meta, Before: past[12].Before.Index, Command: past[12].Command}
	if err := run.Entry(e); err == nil || !strings.Contains(err.Error(), "follows on") {
		t.Errorf("an entry is missing: %v", err)
	}
}

// Over a gap every lane begins again from the record, and what was counted
// before stays counted.
func TestGap(t *testing.T) {
	_, past, _ := record(t, crowd)
	cut := append(append([]sim.Applied(nil), past[:len(past)/2]...), past[len(past)/2+200:]...)
	cfg := whatif.Config{Lanes: []whatif.Lane{{Name: "never", Change: set("policy=off")}}}
	whole, err := replay(cfg, past)
	if err != nil {
		t.Fatal(err)
	}
	torn, err := replay(cfg, cut)
	if err != nil {
		t.Fatal(err)
	}
	if torn.Entries >= whole.Entries || torn.Entries < whole.Entries-210 || torn.To != whole.To {
		t.Errorf("%d entries of %d", torn.Entries, whole.Entries)
	}
	if len(torn.Record.Moves) == 0 || len(torn.Lanes[0].Moves) != 0 {
		t.Errorf("moves: %v and %v", torn.Record.Moves, torn.Lanes[0].Moves)
	}
	// After the gap the lane is where the record is: less is modelled.
	if torn.Lanes[0].Modelled >= whole.Lanes[0].Modelled {
		t.Errorf("modelled %v, without the gap %v", torn.Lanes[0].Modelled, whole.Lanes[0].Modelled)
	}
}

// BenchmarkRun plays ten minutes of ten suffering hosts with 300 VMs, a beat a
// second each, in two lanes: one of
// them has other VMs than the record where that moved some.
func BenchmarkRun(b *testing.B) {
	var text strings.Builder
	text.WriteString("for 10m\nset profile=fast warm_up=0s per_hour=100 cooldown=1m\n")
	for i := range 10 {
		fmt.Fprintf(&text, "host hv%d cpus=13\n", i)
		for j := range 30 {
			fmt.Fprintf(&text, "vm vm%d-%d on=hv%d cpu=%g burst=3s\n", i, j, i, float64((i*7+j*3)%10)/9)
		}
	}
	s, err := sim.Parse("bench", text.String())
	if err != nil {
		b.Fatal(err)
	}
	var past []sim.Applied
	if _, err := sim.Record(s, "", func(a sim.Applied) { past = append(past, a) }); err != nil {
		b.Fatal(err)
	}
	cfg := whatif.Config{Lanes: []whatif.Lane{{Name: "then"}, {Name: "off", Mode: cluster.ModeOff}}}
	b.ResetTimer()
	for b.Loop() {
		if _, err := replay(cfg, past); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*s.For.Seconds()/b.Elapsed().Seconds(), "recorded-s/s")
	b.ReportMetric(float64(len(past)), "entries")
}
