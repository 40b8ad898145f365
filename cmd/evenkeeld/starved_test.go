package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const (
	firstVoter  = "a0000000-0000-4000-8000-000000000001"
	secondVoter = "a0000000-0000-4000-8000-000000000002"
	witVoter    = "a0000000-0000-4000-8000-000000000003"
)

// pretender is a replica that leads until it is told to hand over.
type pretender struct {
	leads  bool
	takes  func(member string) error // what a candidate says
	asked  []string
	when   []time.Time
	state  cluster.State
	voters []consensus.Voter
}

func (p *pretender) Leading() (uint64, bool) { return 1, p.leads }
func (p *pretender) Health() consensus.Health {
	return consensus.Health{Voters: p.voters}
}
func (p *pretender) State() (cluster.State, uint64) { return p.state, p.state.Index }
func (p *pretender) TransferTo(_ context.Context, member string) error {
	p.asked, p.when = append(p.asked, member), append(p.when, time.Now())
	return p.takes(member)
}

func newPretender(t *testing.T) *pretender {
	t.Helper()
	p := &pretender{leads: true, takes: func(string) error { return nil }, state: cluster.New("c0000000-0000-4000-8000-000000000000")}
	for i, id := range []string{firstVoter, secondVoter, witVoter} {
		m := cluster.Member{ID: id, Name: id[len(id)-1:], Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: 4000, Memory: cluster.GiB}
		kind := cluster.KindAgent
		if id == witVoter {
			m.Role, m.CPUs, m.Memory, kind = cluster.RoleWitness, 0, 0, cluster.KindWitness
		}
		var err error
		p.state, err = p.state.Apply(cluster.Meta{Index: uint64(i + 1), Term: 1}, cluster.Command{
			Level: 1, ID: id, Actor: cluster.Actor{Kind: kind, ID: id}, At: cluster.Time(i + 1), Body: cluster.Announce{Cluster: p.state.Cluster, Member: m},
		})
		if err != nil {
			t.Fatal(err)
		}
		p.voters = append(p.voters, consensus.Voter{Member: id, Address: "10.0.0.1:7471"})
	}
	return p
}

// starve runs a watch in virtual time; waits says how long two threads of the
// daemon waited in each second, until it has no more to say.
func starve(t *testing.T, p *pretender, waits func(second int) (each time.Duration, ok bool)) string {
	t.Helper()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		second, sums := 0, map[int]uint64{10: 1e12, 11: 5e11} // what was waited before counts for nothing
		newStarved(p, firstVoter, func() (map[int]uint64, error) {
			second++
			each, ok := waits(second)
			if !ok {
				stop()
			}
			out := map[int]uint64{}
			for tid := range sums {
				sums[tid] += uint64(each)
				out[tid] = sums[tid]
			}
			return out, nil
		}, slog.New(slog.NewTextHandler(&log, nil))).run(ctx)
	})
	return log.String()
}

// during has each thread wait so much of each second, from one second to
// another, and not at all before and after, for so many seconds in all.
func during(from, to, all int, each time.Duration) func(int) (time.Duration, bool) {
	return func(second int) (time.Duration, bool) {
		if second < from || second >= to {
			return 0, second < all
		}
		return each, second < all
	}
}

// A leader whose two threads wait 110 ms a second each hands over to the
// witness, within seconds and once.
func TestStarvedLeaderHandsOver(t *testing.T) {
	p := newPretender(t)
	p.takes = func(string) error { p.leads = false; return nil }
	log := starve(t, p, during(10, 40, 60, 110*time.Millisecond))
	if !slices.Equal(p.asked, []string{witVoter}) {
		t.Errorf("asked %v", p.asked)
	}
	if !strings.Contains(log, "220 ms a second") || !strings.Contains(log, witVoter) {
		t.Errorf("it says %s", log)
	}
}

// Less than 200 ms a second in all, a burst of three seconds, or starving while
// another one leads: nothing is handed over.
func TestStarvedLeaderIsPatient(t *testing.T) {
	for name, c := range map[string]struct {
		leads bool
		waits func(int) (time.Duration, bool)
	}{
		"below":   {true, during(2, 100, 120, 95*time.Millisecond)},
		"a burst": {true, during(10, 13, 60, 160*time.Millisecond)},
		"follows": {false, during(2, 100, 120, time.Second)},
	} {
		p := newPretender(t)
		p.leads = c.leads
		if log := starve(t, p, c.waits); len(p.asked) != 0 || log != "" {
			t.Errorf("%s: asked %v, said %s", name, p.asked, log)
		}
	}
}

// Whom it asks when one does not want, and that it does not ask for ever: each
// attempt is at least twice as long after the one before, up to a quarter of an
// hour; after half an hour of calm it begins anew.
func TestStarvedLeaderRests(t *testing.T) {
	p := newPretender(t)
	p.takes = func(string) error { return errors.New("its log is behind") }
	const hour = 3600
	log := starve(t, p, func(second int) (time.Duration, bool) {
		if second > hour && second < 2*hour {
			return 0, true
		}
		return 300 * time.Millisecond, second < 2*hour+90
	})
	if len(p.asked) < 4 || p.asked[0] != witVoter || p.asked[1] != secondVoter || slices.Contains(p.asked, firstVoter) {
		t.Fatalf("asked %v", p.asked)
	}
	if !strings.Contains(log, "its log is behind") {
		t.Errorf("it says %s", log)
	}
	var waits []time.Duration
	for i := 2; i < len(p.when); i += 2 {
		waits = append(waits, p.when[i].Sub(p.when[i-2]).Round(time.Second))
	}
	want := []time.Duration{1, 2, 4, 8, 16, 16}
	for i := range want {
		want[i] *= time.Minute
	}
	if len(waits) < 8 || !slices.Equal(waits[:6], want) {
		t.Fatalf("waited %v between attempts, want %v at first", waits, want)
	}
	if last := waits[len(waits)-1]; last != time.Minute {
		t.Errorf("after an hour of calm it waited %v between two attempts, want a minute", last)
	}
}

// Where the kernel does not say, it looks once.
func TestStarvedWithoutSchedstat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		newStarved(newPretender(t), firstVoter, func() (map[int]uint64, error) {
			looks++
			return nil, os.ErrNotExist
		}, slog.New(slog.DiscardHandler)).run(t.Context())
		if looks != 1 {
			t.Errorf("%d looks", looks)
		}
	})
}

// The threads that are found are this process's own.
func TestOwnWaits(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	waits, err := ownWaits(procfs.Host())()
	if err != nil {
		t.Fatal(err)
	}
	if _, here := waits[unix.Gettid()]; !here || len(waits) < 2 {
		t.Errorf("this thread is %d, threads found: %v", unix.Gettid(), waits)
	}
}
