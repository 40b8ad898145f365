package agent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestArrivesPaused moves a VM without disk locks under arrive_paused: it never
// runs on both hosts, whatever message is lost, and it is not left paused when
// it is proven that the source is without it.
func TestArrivesPaused(t *testing.T) {
	paused := func(st *stage) {
		set := cluster.DefaultSettings()
		set.ArrivePaused, set.WarmUp = true, 0
		st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}, Body: cluster.SetSettings{Settings: set}})
		st.world.byPerson = true // libvirt says so of an arrival that it leaves paused
	}
	story(t, "the source is without it: the target resumes it, once", func(t *testing.T, st *stage) {
		paused(st)
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(20 * time.Second)
		expect(t, m, cluster.MoveDone, "")
		if got := st.world.running(); len(got) != 1 || got[0] != hvB || st.world.resumed != 1 || !st.world.asked.ArrivePaused {
			t.Errorf("the VM runs on %v, was resumed %d times; %+v", got, st.world.resumed, st.world.asked)
		}
	})
	story(t, "the answer to Finish is lost: the copy at the target never runs", func(t *testing.T, st *stage) {
		paused(st)
		st.world.script = func(ctx context.Context, w *world) error {
			err := transfer(ctx, w)
			w.set(hvA, agent.RunStateRunning) // its libvirt resumes what it holds for failed
			return errors.Join(err, errors.New("connection reset by peer"))
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(2*time.Minute), cluster.MoveUnknown, "")
		if got := st.world.running(); len(got) != 1 || got[0] != hvA || st.world.resumed != 0 {
			t.Errorf("the VM runs on %v, was resumed %d times", got, st.world.resumed)
		}
		st.world.set(hvB, agent.RunStateAbsent) // a person ends the paused copy
		expect(t, st.play(time.Minute), cluster.MoveFailed, "")
	})
	story(t, "the source is silent: nobody resumes it until the source has spoken", func(t *testing.T, st *stage) {
		paused(st)
		st.world.script = func(ctx context.Context, w *world) error {
			st.stops[hvA]()
			return transfer(ctx, w)
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		if m := st.play(2 * time.Minute); m.State.Live() != true || st.world.resumed != 0 {
			t.Fatalf("%s, resumed %d times without the source's word", m.State, st.world.resumed)
		}
		st.start(hvA, nil)
		expect(t, st.play(time.Minute), cluster.MoveDone, "")
		if st.world.resumed != 1 {
			t.Errorf("resumed %d times", st.world.resumed)
		}
	})
	story(t, "the target comes back late: the source's word is asked for again", func(t *testing.T, st *stage) {
		paused(st)
		st.world.script = func(ctx context.Context, w *world) error {
			st.stops[hvB]()
			return transfer(ctx, w)
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		if m := st.play(5 * time.Minute); m.AtSource == nil || st.state().Now.Sub(m.AtSource.At) > 2*cluster.OrphanWord {
			t.Errorf("the source's word is %+v at %v", m.AtSource, st.state().Now)
		}
		st.start(hvB, nil)
		expect(t, st.play(time.Minute), cluster.MoveDone, "")
	})
}

// A VM whose disks are locked needs no such care, and is not held up.
func TestLockedArrivesRunning(t *testing.T) {
	for _, c := range []struct {
		lock cluster.DiskLock
		want bool
	}{{cluster.LockLockable, false}, {cluster.LockDiskless, true}, {cluster.LockNone, true}} {
		story(t, string(c.lock), func(t *testing.T, st *stage) {
			set := cluster.DefaultSettings()
			set.ArrivePaused, set.AllowUnlocked, set.WarmUp = true, true, 0
			st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}, Body: cluster.SetSettings{Settings: set}})
			inv := inventoryOf(hvA)
			inv.Revision, inv.VMs[0].Lock = 2, c.lock
			st.seq[hvA]++
			load := loadOf(hvA, cluster.Percent(75))
			load.Inventory = 2
			st.must(cluster.Command{Level: 1, Body: cluster.Snapshots{Batch: []cluster.Snapshot{{Host: hvA, Incarnation: 1, Sequence: st.seq[hvA], Load: load, Inventory: inv}}}})
			st.order()
			m, _ := st.state().LiveMove(vm1)
			if m.ArrivesPaused != c.want {
				t.Errorf("a VM whose lock is %v arrives paused: %v", c.lock, m.ArrivesPaused)
			}
		})
	}
}
