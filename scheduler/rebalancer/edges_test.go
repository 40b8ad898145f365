package rebalancer_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

func (f *fleet) count(kind string) int {
	n := 0
	for _, p := range f.proposals {
		if p == kind {
			n++
		}
	}
	return n
}

// untilOrdered plays until there is an order to obey.
func (f *fleet) untilOrdered(r *rebalancer.Rebalancer) cluster.Move {
	f.t.Helper()
	for range 60 {
		for m := range f.s.Live() {
			if m.State == cluster.MoveOrdered {
				return m
			}
		}
		f.play(r, time.Second, nil)
	}
	f.t.Fatalf("nothing was ordered within a minute: %+v", f.decisions()[0])
	return cluster.Move{}
}

func (f *fleet) is(id string, state cluster.MoveState) cluster.Move {
	f.t.Helper()
	m, ok := f.s.Move(id)
	if !ok || m.State != state {
		f.t.Fatalf("%s is %q, want %s", id, m.State, state)
	}
	return m
}

func (f *fleet) claim(m cluster.Move) {
	f.t.Helper()
	f.must(agentOf(m.Target), cluster.Reserve{Move: m.ID})
	f.must(agentOf(m.Source), cluster.Claim{Move: m.ID, Incarnation: 1})
}

// An order says what it was decided on and how long it stands.
func TestOrder(t *testing.T) {
	story(t, "in auto", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.untilOrdered(r)
		set := f.s.Settings
		if m.Source != hvA || m.Target != hvB || m.Trigger != cluster.TriggerAuto || m.Term != 1 || m.DecidedOn != m.Index-1 {
			t.Errorf("the order is %+v", m.Order)
		}
		if got := m.Deadline.Sub(m.OrderedAt); got != set.ClaimWithin || m.StartWindow != set.StartWindow || m.Budget != set.MoveBudget {
			t.Errorf("claimable for %v, start window %v, budget %v", got, m.StartWindow, m.Budget)
		}
		if m.Predicted.VMContentionBefore != cluster.Percent(75) || m.Predicted.VMContentionAfter >= cluster.Percent(75) {
			t.Errorf("predicted %+v", m.Predicted)
		}
		d, _ := f.s.Decision(m.Decision)
		if d.Result != cluster.ResultMoved || d.Code != "" || len(d.Moves) != 1 || d.Moves[0] != m.ID || len(d.Proposed) != 1 || d.Text != m.Reason || d.Index != m.DecidedOn {
			t.Errorf("the decision is %+v", d)
		}
		f.play(r, 20*time.Second, nil)
		if n := len(f.moves()); n != 1 {
			t.Errorf("%d orders while the first waits for its claim", n)
		}
	})
}

// Deadlines are counted from the State's time where the leader's clock is
// behind it, as after a leader whose clock was ahead.
func TestSlowClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, cluster.ModeAuto)
		r := rebalancer.New(rebalancer.Config{
			Replica: f, Self: agentOf(hvA), Now: func() time.Time { return time.Now().Add(-time.Hour) }, Logger: slog.New(slog.DiscardHandler),
		})
		m := f.untilOrdered(r)
		if got := m.Deadline.Sub(m.OrderedAt); got != f.s.Settings.ClaimWithin {
			t.Errorf("claimable for %v", got)
		}
	})
}

// What is said every second is committed once a minute, with its count; what
// is new is committed at once.
func TestNonDecisionsFold(t *testing.T) {
	story(t, "quiet fleet", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.vms[hvA] = []int{1}
		f.play(r, 301*time.Second, nil)
		d := f.decisions()[0]
		if len(f.decisions()) != 1 || d.Result != cluster.ResultNothing || d.Code != cluster.CodeBelowThreshold {
			t.Fatalf("%d decisions, %+v", len(f.decisions()), d)
		}
		// Committed in the 1st second and each 60th after it: 1, 61, ..., 301.
		if n := f.count("decide"); n != 6 || d.Repeated != 300 || d.LastAt != f.s.Now {
			t.Errorf("committed %d times, repeated %d times, last at %v", n, d.Repeated, d.LastAt.Std())
		}
		f.vms[hvA] = []int{1, 2}
		f.play(r, time.Second, nil)
		if d := f.decisions()[0]; len(f.decisions()) != 2 || d.Code != cluster.CodeNotSustained || d.Repeated != 0 {
			t.Errorf("a change was not recorded at once: %+v", d)
		}
	})
}

// A pause holds orders back and says so; the next term's leader warms up anew.
func TestHeldBack(t *testing.T) {
	story(t, "paused", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.must(operator, cluster.Pause{Until: f.s.Now.Add(time.Minute)})
		f.play(r, 59*time.Second, nil)
		if d := f.decisions()[0]; len(f.moves()) != 0 || d.Result != cluster.ResultRecommended || d.Code != cluster.CodePaused || len(d.Proposed) == 0 {
			t.Fatalf("%d moves, %+v", len(f.moves()), d)
		}
		f.play(r, 2*time.Second, nil)
		f.untilOrdered(r)
	})
	story(t, "paused again after an order", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.must(operator, cluster.Pause{Until: f.s.Now.Add(20 * time.Second)})
		f.play(r, 10*time.Second, nil)
		f.must(operator, cluster.Resume{})
		m := f.untilOrdered(r)
		f.must(operator, cluster.Pause{Until: f.s.Now.Add(time.Minute)})
		f.must(operator, cluster.Cancel{Move: m.ID})
		f.play(r, time.Second, nil)
		// The same words as before the order, and yet no repetition.
		if d := f.decisions()[0]; d.Code != cluster.CodePaused || d.Repeated != 0 || d.At != f.s.Now {
			t.Errorf("%+v", d)
		}
	})
	story(t, "two young leaders", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.untilOrdered(r)
		f.must(operator, cluster.Cancel{Move: m.ID})
		f.term = 2
		f.play(r, 5*time.Second, nil)
		if d := f.decisions()[0]; len(f.moves()) != 1 || d.Result != cluster.ResultRecommended || d.Code != cluster.CodeWarmUp || d.Term != 2 {
			t.Fatalf("%d moves while the second leader warms up, %+v", len(f.moves()), d)
		}
		f.play(r, time.Second, nil)
		if next := f.untilOrdered(r); next.Term != 2 || next.OrderedAt.Sub(f.s.TermSince) < 5*time.Second {
			t.Errorf("ordered in term %d after %v", next.Term, next.OrderedAt.Sub(f.s.TermSince))
		}
	})
}

// The world may change between the look and the commit: then the State
// refuses, and its refusal is the decision.
func TestStateRefuses(t *testing.T) {
	story(t, "mode changed", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.before = func(_ context.Context, c cluster.Command) error {
			if d, ok := c.Body.(cluster.Decide); ok && len(d.Orders) > 0 {
				f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
			}
			return nil
		}
		for range 20 {
			if f.play(r, time.Second, nil); f.s.Mode == cluster.ModeRecommend {
				break
			}
		}
		if d := f.decisions()[0]; len(f.moves()) != 0 || d.Result != cluster.ResultNothing || d.Code != cluster.CodeModeRecommend || len(d.Moves) != 0 {
			t.Errorf("%d moves, %+v", len(f.moves()), d)
		}
	})
	story(t, "decision's id taken by an operator's", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.before = func(_ context.Context, c cluster.Command) error {
			f.before = nil
			f.must(operator, cluster.Decide{Decision: cluster.Decision{ID: f.s.NextDecisionID(), Trigger: cluster.TriggerOperator, Result: cluster.ResultNothing, Code: cluster.CodePaused}})
			return nil
		}
		f.play(r, 2*time.Second, nil)
		if d := f.decisions()[0]; len(f.decisions()) != 2 || d.Leader != hvA || f.count("decide") != 2 {
			t.Errorf("%d decisions, %+v", len(f.decisions()), d)
		}
	})
}

// Without a quorum nothing is taken for committed, and the loop goes on. A
// proposal that gets no answer is given up.
func TestProposalsFail(t *testing.T) {
	lost := errors.New("leadership lost")
	for name, fail := range map[string]func(context.Context) error{
		"at once": func(context.Context) error { return lost },
		"late":    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		story(t, name, cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
			asked := 0
			f.before = func(ctx context.Context, _ cluster.Command) error {
				if asked++; asked > 3 {
					return nil
				}
				if len(f.decisions()) > 0 {
					t.Error("something was committed")
				}
				return fail(ctx)
			}
			f.untilOrdered(r)
			if asked < 4 || len(f.moves()) != 1 {
				t.Errorf("%d proposals, %d moves", asked, len(f.moves()))
			}
		})
	}
}

// Run looks once a second from the first second on, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, cluster.ModeAuto)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second+time.Second/2)
		defer cancel()
		start := time.Now()
		f.leader().Run(ctx)
		if got := time.Since(start); got != 90*time.Second+time.Second/2 {
			t.Errorf("it ran for %v", got)
		}
		// No host has spoken: that is worth a record, and a minute later its count.
		d := f.decisions()[0]
		if n := f.count("decide"); n != 2 || d.Code != cluster.CodeStaleSnapshot || d.Repeated != 60 {
			t.Errorf("%d proposals, %+v", n, d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{t: t, s: cluster.New(clusterID), term: 1}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f.leader().Run(ctx)
		if len(f.proposals) != 0 {
			t.Errorf("a replica that has applied nothing proposed %v", f.proposals)
		}
	})
}

// Deadlines pass in every mode; a claim that was granted never does.
func TestExpiry(t *testing.T) {
	story(t, "switched off after the order", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.untilOrdered(r)
		f.must(operator, cluster.SetMode{Mode: cluster.ModeOff})
		f.play(r, 30*time.Second, nil)
		f.is(m.ID, cluster.MoveOrdered)
		f.play(r, time.Second, nil)
		f.is(m.ID, cluster.MoveExpired)
		if n := f.count("expire"); n != 1 {
			t.Errorf("expired %d times", n)
		}
	})
	story(t, "claimed", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.untilOrdered(r)
		f.claim(m)
		f.play(r, time.Hour, nil)
		f.is(m.ID, cluster.MoveClaimed)
		if n := f.count("expire"); n != 0 {
			t.Errorf("its expiry was asked for %d times", n)
		}
	})
	story(t, "no end reported", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.untilOrdered(r)
		f.claim(m)
		f.must(agentOf(hvA), cluster.Start{Move: m.ID})
		due := f.s.Settings.MoveBudget + 2*f.s.Settings.EvidenceWithin
		f.play(r, due, nil)
		f.is(m.ID, cluster.MoveRunning)
		f.play(r, time.Second, nil)
		f.is(m.ID, cluster.MoveUnknown)
		if n := f.count("expire"); n != 1 {
			t.Errorf("its expiry was asked for %d times", n)
		}
	})
}

// TestVerdicts measures after the settle time, 20 s, what was predicted before.
// The VM's steal was 75 % when its move was ordered.
func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		after   cluster.Ratio
		verdict cluster.Verdict
	}{
		"better":                  {cluster.Percent(50), cluster.VerdictBetter},
		"a point less":            {cluster.Percent(74), cluster.VerdictSame},
		"more than a point less":  {cluster.Percent(74) - 1, cluster.VerdictBetter},
		"a point more":            {cluster.Percent(76), cluster.VerdictSame},
		"more than a point worse": {cluster.Percent(76) + 1, cluster.VerdictWorse},
	} {
		story(t, name, cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
			m := f.untilOrdered(r)
			f.claim(m)
			f.must(agentOf(hvA), cluster.Start{Move: m.ID})
			f.play(r, 3*time.Second, nil)
			f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
			f.must(agentOf(hvA), cluster.EndJob{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceAbsent}})
			f.must(agentOf(hvB), cluster.Testify{
				Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}, Downtime: 40 * time.Millisecond, Bytes: cluster.GiB,
			})
			f.move(m)
			f.steal[hvB] = c.after
			f.play(r, 19*time.Second, nil)
			if m := f.is(m.ID, cluster.MoveDone); m.Measured != nil || m.Verdict != "" {
				t.Fatalf("verified before the settle time: %+v", m)
			}
			f.play(r, time.Second, nil)
			m = f.is(m.ID, cluster.MoveDone)
			if m.Verdict != c.verdict || m.Measured == nil || !strings.Contains(m.Why, "75.0 % before") {
				t.Fatalf("verdict %q, measured %+v, %s", m.Verdict, m.Measured, m.Why)
			}
			want := m.Predicted // what was before stays
			want.VMContentionAfter, want.TargetContentionAfter = c.after, c.after
			want.SourceContentionAfter = cluster.Whole - cluster.Whole/3 // three VMs are left
			want.VMRunAfter = 1000
			want.Duration, want.Downtime, want.Bytes = 3*time.Second, 40*time.Millisecond, cluster.GiB
			if *m.Measured != want {
				t.Errorf("measured %+v, want %+v", *m.Measured, want)
			}
			f.play(r, time.Minute, nil)
			if n := f.count("verify"); n != 1 {
				t.Errorf("verified %d times", n)
			}
		})
	}
}

// What cannot be measured within twice the settle time and a minute is
// suspect, once.
func TestSuspect(t *testing.T) {
	for name, spoil := range map[string]func(*fleet){
		"target silent":    func(f *fleet) { f.silent[hvB] = true },
		"source silent":    func(f *fleet) { f.silent[hvA] = true },
		"VM not on target": func(f *fleet) { f.vms[hvB] = nil },
	} {
		story(t, name, cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
			m := f.untilOrdered(r)
			f.obedient()
			f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
			spoil(f)
			f.play(r, 100*time.Second, nil)
			if m := f.is(m.ID, cluster.MoveDone); m.Verdict != "" {
				t.Fatalf("%s already", m.Verdict)
			}
			f.play(r, 30*time.Second, nil)
			if m := f.is(m.ID, cluster.MoveDone); m.Verdict != cluster.VerdictSuspect || m.Measured != nil || f.count("verify") != 1 {
				t.Errorf("verdict %q, measured %+v, verified %d times", m.Verdict, m.Measured, f.count("verify"))
			}
		})
	}
}

// A window that began before the move ended measures the past: with a settle
// time shorter than the window, the window is waited for.
func TestWindowsLieBehindTheMove(t *testing.T) {
	story(t, "settle time of 5 s, window of 10 s", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		set := f.s.Settings
		set.Settle = 5 * time.Second
		f.must(operator, cluster.SetSettings{Settings: set})
		m := f.untilOrdered(r)
		f.obedient()
		f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
		f.play(r, 9*time.Second, nil)
		if m := f.is(m.ID, cluster.MoveDone); m.Verdict != "" {
			t.Fatalf("%s by a window that began before the end", m.Verdict)
		}
		f.play(r, time.Second, nil)
		if m := f.is(m.ID, cluster.MoveDone); m.Verdict != cluster.VerdictBetter {
			t.Errorf("verdict %q, %s", m.Verdict, m.Why)
		}
	})
	story(t, "nobody led for hours", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.untilOrdered(r)
		f.obedient()
		f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
		time.Sleep(2 * time.Hour)
		f.play(r, 5*time.Minute, nil)
		if m := f.is(m.ID, cluster.MoveDone); m.Verdict != "" || f.count("verify") != 0 {
			t.Errorf("%s by the figures of another time: %s", m.Verdict, m.Why)
		}
	})
}

// One good window is not enough if its host has fallen silent since.
func TestSilentHostsMeasureNothing(t *testing.T) {
	story(t, "target silent from the 12th second", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.untilOrdered(r)
		f.obedient()
		f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
		f.play(r, 11*time.Second, nil)
		f.silent[hvB] = true
		f.play(r, 30*time.Second, nil)
		if m := f.is(m.ID, cluster.MoveDone); m.Verdict != "" {
			t.Fatalf("%s, %s", m.Verdict, m.Why)
		}
		f.silent[hvB] = false
		f.play(r, time.Second, nil)
		if m := f.is(m.ID, cluster.MoveDone); m.Verdict != cluster.VerdictBetter {
			t.Errorf("verdict %q, %s", m.Verdict, m.Why)
		}
	})
}

// A later move that hangs does not keep an earlier one from being verified.
func TestVerifiesBehindALiveMove(t *testing.T) {
	story(t, "claimed for ever", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		first := f.untilOrdered(r)
		f.obedient()
		second := f.untilOrdered(r)
		f.claim(second)
		f.play(r, 30*time.Second, nil)
		f.is(second.ID, cluster.MoveClaimed)
		if m := f.is(first.ID, cluster.MoveDone); m.Verdict != cluster.VerdictBetter {
			t.Errorf("verdict %q while %s is claimed", m.Verdict, second.ID)
		}
	})
}

// Many silent hosts mean that something is wrong with more than hosts.
func TestFault36Silence(t *testing.T) {
	for name, c := range map[string]struct {
		share   cluster.Ratio
		further []string
		silent  []string
		cause   string
	}{
		"one of three":                           {cluster.Percent(34), []string{hvC}, []string{hvC}, ""},
		"one of two: a host's failure":           {cluster.Percent(34), nil, []string{hvB}, ""},
		"two of three":                           {cluster.Percent(34), []string{hvC}, []string{hvB, hvC}, "2 of 3 hypervisors are silent"},
		"all":                                    {cluster.Percent(34), nil, []string{hvA, hvB}, "2 of 2 hypervisors are silent"},
		"half, where more than half would be":    {cluster.Percent(50), []string{hvC, hvD}, []string{hvC, hvD}, ""},
		"half, where that is more than the rule": {cluster.Percent(50) - 1, []string{hvC, hvD}, []string{hvC, hvD}, "2 of 4 hypervisors are silent"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, cluster.ModeRecommend, c.further...)
				set := f.s.Settings
				set.FreezeSilent = c.share
				f.must(operator, cluster.SetSettings{Settings: set})
				r := f.leader()
				f.play(r, 20*time.Second, nil)
				for _, h := range c.silent {
					f.silent[h] = true
				}
				f.play(r, 6*time.Second, nil) // three promises of two seconds
				if f.s.Frozen.Since != 0 {
					t.Fatalf("frozen before three promises were missed: %+v", f.s.Frozen)
				}
				f.play(r, 5*time.Minute, nil)
				if f.s.Frozen.Cause != c.cause || f.s.Mode != cluster.ModeRecommend {
					t.Fatalf("frozen %+v, mode %s", f.s.Frozen, f.s.Mode)
				}
				if n := f.count("freeze"); c.cause != "" && (f.s.Frozen.Until <= f.s.Now || n < 2 || n > 6) {
					t.Errorf("frozen %d times in 5 min, until %v", n, f.s.Frozen.Until.Std())
				}
			})
		})
	}
}

func TestFault36NoFreeze(t *testing.T) {
	play := func(name string, scene func(t *testing.T, f *fleet, r *rebalancer.Rebalancer)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, cluster.ModeRecommend, hvC)
				scene(t, f, f.leader())
			})
		})
	}
	play("a leader of 15 s has heard nobody yet", func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.beat()
		time.Sleep(time.Minute) // nobody leads
		f.silent[hvB], f.silent[hvC] = true, true
		f.term = 2
		f.play(r, 15*time.Second, nil)
		if f.s.Frozen.Since != 0 {
			t.Fatalf("frozen %+v", f.s.Frozen)
		}
		f.play(r, 2*time.Second, nil)
		if f.s.Frozen.Since == 0 {
			t.Error("two hosts are still silent, and nothing is frozen")
		}
	})
	play("a host that never spoke is new", func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.silent[hvB], f.silent[hvC] = true, true
		f.play(r, time.Minute, nil)
		if f.s.Frozen.Since != 0 {
			t.Errorf("frozen %+v", f.s.Frozen)
		}
	})
	play("an operator who resumes knows who is silent, until one more is", func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 20*time.Second, nil)
		f.silent[hvB], f.silent[hvC] = true, true
		f.play(r, 20*time.Second, nil)
		if f.s.Frozen.Since == 0 {
			t.Fatal("two hosts are silent, and nothing is frozen")
		}
		f.must(operator, cluster.Resume{})
		f.play(r, 5*time.Minute, nil)
		if f.s.Frozen.Since != 0 {
			t.Fatalf("frozen again for the same silence: %+v", f.s.Frozen)
		}
		f.silent[hvA] = true
		f.play(r, 10*time.Second, nil)
		if f.s.Frozen.Cause != "3 of 3 hypervisors are silent" {
			t.Errorf("frozen %+v", f.s.Frozen)
		}
	})
	play("a freeze without an end stays", func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.must(operator, cluster.Freeze{Cause: "storage is down"})
		f.play(r, 20*time.Second, nil)
		f.silent[hvB], f.silent[hvC] = true, true
		f.play(r, time.Minute, nil)
		if f.s.Frozen.Cause != "storage is down" || f.s.Frozen.Until != 0 || f.count("freeze") != 0 {
			t.Errorf("frozen %+v, asked for %d times", f.s.Frozen, f.count("freeze"))
		}
	})
}
