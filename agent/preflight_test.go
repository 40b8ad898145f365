package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// survey is what a host reads of itself and its VM.
type survey struct {
	offer cluster.Offer
	need  cluster.Need
	busy  string
	takes *cluster.Hindrance
	reach error
	rooms []cluster.Room
	fails error // of every reading
	hangs bool
}

func (s *survey) wait(ctx context.Context) error {
	if s.hangs {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return s.fails
}

func (s *survey) Offer(ctx context.Context) (*cluster.Offer, error) {
	o := s.offer
	return &o, s.wait(ctx)
}

func (s *survey) Needs(ctx context.Context) (map[string]*cluster.Need, error) {
	n, err := s.Need(ctx, vm1)
	return map[string]*cluster.Need{vm1: n}, err
}

func (s *survey) Need(ctx context.Context, _ string) (*cluster.Need, error) {
	n := s.need
	return &n, s.wait(ctx)
}
func (s *survey) Rooms(context.Context) ([]cluster.Room, error) { return s.rooms, nil }
func (s *survey) Busy(context.Context, string) (string, error)  { return s.busy, nil }
func (s *survey) Takes(context.Context, *cluster.Need) (*cluster.Hindrance, error) {
	return s.takes, nil
}
func (s *survey) Starts(context.Context) ([]string, error) { return nil, nil }
func (s *survey) Reach(context.Context, string) error      { return s.reach }

// likeHosts are two hosts of one kind with a VM that could go either way.
func likeHosts() (a, b *survey) {
	offer := cluster.Offer{
		QEMU:    cluster.SoftwareVersion{7, 2, 22},
		Guests:  []cluster.Guests{{Arch: "x86_64", Virt: "kvm", Machines: []string{"q35"}}},
		Bridges: []cluster.Bridge{{Name: "br0", Up: true, Uplink: true}},
	}
	need := cluster.Need{Arch: "x86_64", Machine: "q35", Virt: "kvm", Links: []cluster.Link{{Kind: "bridge", Name: "br0"}}}
	return &survey{offer: offer, need: need}, &survey{offer: offer}
}

// describe has the State know both hosts as they are now.
func (st *stage) describe(a, b *survey) {
	st.t.Helper()
	for host, s := range map[string]*survey{hvA: a, hvB: b} {
		offer, need := s.offer, s.need
		body := cluster.Describe{Incarnation: 1, Revision: st.idx + 1, Offer: &offer, Rooms: s.rooms}
		if host == hvA {
			body.Needs, body.VMs = []*cluster.Need{&need}, []cluster.Needy{{VM: vm1}}
			if len(need.Copies) > 0 {
				body.Copied = []cluster.Copied{{VM: vm1, Disks: need.Copies}}
			}
		}
		st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindAgent, ID: host}, Body: body})
	}
	st.surveys = map[string]agent.Surveyor{hvA: a, hvB: b}
}

// What the State was told stands for a few minutes; what both ends see right
// before a migration decides.
func TestBothEndsLookAgain(t *testing.T) {
	manual := func(o *cluster.Order) { o.Trigger = cluster.TriggerOperator }
	automatic := func(*cluster.Order) {}
	lonely := []cluster.Bridge{{Name: "br0", Up: true}}
	for name, c := range map[string]struct {
		changed func(a, b *survey) // after the descriptions
		order   func(*cluster.Order)
		state   cluster.MoveState
		code    cluster.Code
		says    string
	}{
		"nothing changed": {order: automatic, state: cluster.MoveDone},
		"the target has lost the bridge": {
			func(_, b *survey) { b.offer.Bridges = nil }, automatic, cluster.MoveVetoed, cluster.CodeNoSuchNetwork, "br0",
		},
		"the target's hypervisor cannot give the CPU": {
			func(_, b *survey) {
				b.takes = &cluster.Hindrance{Code: cluster.CodeCPUIncompatible, Text: "cannot", Remedy: "restart it"}
			}, automatic, cluster.MoveVetoed, cluster.CodeCPUIncompatible, "restart it",
		},
		"the target cannot read itself": {
			func(_, b *survey) { b.fails = agent.ErrDisconnected }, automatic, cluster.MoveVetoed, cluster.CodeNotChecked, "libvirt",
		},
		"the target's libvirt hangs": {
			func(_, b *survey) { b.hangs = true }, automatic, cluster.MoveVetoed, cluster.CodeNotChecked, "deadline",
		},
		"a device was plugged in": {
			func(a, _ *survey) { a.need.Devices = []cluster.Device{{Kind: cluster.DeviceHost, Name: "USB"}} },
			automatic, cluster.MoveReleased, cluster.CodeHostdevAttached, "USB",
		},
		"the VM was plugged into another network": {
			func(a, _ *survey) { a.need.Links = []cluster.Link{{Kind: "bridge", Name: "br1"}} },
			automatic, cluster.MoveReleased, cluster.CodeNoSuchNetwork, "br1",
		},
		"the bridge at the source has lost its uplink": {
			func(a, _ *survey) { a.offer.Bridges = lonely }, automatic, cluster.MoveReleased, cluster.CodeNetworkHostLocal, "uplink",
		},
		"a backup runs": {
			func(a, _ *survey) { a.busy = "a block job on disk vda" }, automatic, cluster.MoveReleased, cluster.CodeJobActive, "vda",
		},
		"the target's libvirt is out of reach": {
			func(a, _ *survey) { a.reach = errors.New("connection refused") }, automatic, cluster.MoveReleased, cluster.CodePeerUnreachable, "connection refused",
		},
		"the source cannot read the VM": {
			func(a, _ *survey) { a.fails = agent.ErrDisconnected }, automatic, cluster.MoveReleased, cluster.CodeNotChecked, "libvirt",
		},
		"the target was upgraded: evenkeel by itself stays": {
			func(_, b *survey) { b.offer.QEMU[0] = 8 }, automatic, cluster.MoveVetoed, cluster.CodeOneWay, "8.2",
		},
		"the target was upgraded: a person may go": {
			func(_, b *survey) { b.offer.QEMU[0] = 8 }, manual, cluster.MoveDone, "", "",
		},
	} {
		story(t, name, func(t *testing.T, st *stage) {
			a, b := likeHosts()
			st.describe(a, b)
			if c.changed != nil {
				c.changed(a, b)
			}
			st.start(hvA, nil)
			st.start(hvB, nil)
			st.orderWith(c.order)
			m := st.play(25 * time.Second)
			expect(t, m, c.state, c.code)
			if !strings.Contains(m.Why, c.says) {
				t.Errorf("it says %q, not %q", m.Why, c.says)
			}
			if c.state != cluster.MoveDone && (st.world.called != 0 || len(st.world.running()) != 1 || st.world.running()[0] != hvA) {
				t.Errorf("libvirt was called %d times, the VM runs on %v", st.world.called, st.world.running())
			}
		})
	}
}

// What libvirt and QEMU alone know is asked before anything has begun, and the
// order is given back with their words.
func TestHypervisorIsAsked(t *testing.T) {
	blocked := fmt.Errorf("%w: libvirt error 55: State blocked by non-migratable device 'nvme'", agent.ErrBlocked)
	for name, c := range map[string]struct {
		lets    error
		happens func(*world)
		code    cluster.Code
		says    string
	}{
		"a device that only QEMU knows to stay": {blocked, nil, cluster.CodeHypervisorBlocked, "non-migratable device 'nvme'"},
		"a cache that libvirt fears for":        {fmt.Errorf("%w: libvirt error 81", agent.ErrUnsafe), nil, cluster.CodeUnsafeCache, "libvirt error 81"},
		"libvirt does not say":                  {agent.ErrDisconnected, nil, cluster.CodeNotChecked, "libvirt is not reachable"},
		"the VM was suspended meanwhile":        {blocked, func(w *world) { w.at[hvA] = agent.RunStatePaused }, cluster.CodeNotRunning, "does not run now"},
	} {
		story(t, name, func(t *testing.T, st *stage) {
			st.world.lets, st.world.atLets = c.lets, c.happens
			st.start(hvA, nil)
			st.start(hvB, nil)
			st.order()
			m := st.play(20 * time.Second)
			expect(t, m, cluster.MoveReleased, c.code)
			if !strings.Contains(m.Why, c.says) || st.world.called != 0 {
				t.Errorf("it says %q; libvirt was called %d times", m.Why, st.world.called)
			}
		})
	}
}

// A lock that only a lock manager has is worth nothing at a target of which nobody
// knows how it locks; one of QEMU's own is worth as much as ever.
func TestLockAtATargetThatSaysNothing(t *testing.T) {
	for by, want := range map[string]struct {
		state cluster.MoveState
		code  cluster.Code
	}{"": {cluster.MoveDone, ""}, "lockd": {cluster.MoveReleased, cluster.CodeNotChecked}} {
		story(t, "locked by "+by, func(t *testing.T, st *stage) {
			a, b := likeHosts()
			a.need.LockedBy = by
			st.surveys = map[string]agent.Surveyor{hvA: a, hvB: b} // the State was told of neither
			st.start(hvA, nil)
			st.start(hvB, nil)
			st.order()
			expect(t, st.play(20*time.Second), want.state, want.code)
		})
	}
}

// A try does all that a move takes and then gives the order back; the State
// lets nobody start it.
func TestATryMovesNothing(t *testing.T) {
	try := func(o *cluster.Order) { o.Try, o.Trigger = true, cluster.TriggerOperator }
	story(t, "all is well", func(t *testing.T, st *stage) {
		a, b := likeHosts()
		st.describe(a, b)
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.orderWith(try)
		m := st.play(20 * time.Second)
		expect(t, m, cluster.MoveReleased, cluster.CodeTried)
		if st.world.called != 0 || m.ReservedAt == 0 || m.ClaimedAt == 0 {
			t.Errorf("libvirt was called %d times; reserved %v, claimed %v", st.world.called, m.ReservedAt, m.ClaimedAt)
		}
	})
	story(t, "something stands against it", func(t *testing.T, st *stage) {
		a, b := likeHosts()
		st.describe(a, b)
		a.reach = errors.New("no route to host")
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.orderWith(try)
		expect(t, st.play(20*time.Second), cluster.MoveReleased, cluster.CodePeerUnreachable)
	})
	story(t, "an older source would start it", func(t *testing.T, st *stage) {
		st.orderWith(try)
		id := st.state().NextMoveID(-1)
		from := func(host string, body cluster.Body) error {
			return st.apply(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindAgent, ID: host}, Body: body})
		}
		if err := errors.Join(from(hvB, cluster.Reserve{Move: id}), from(hvA, cluster.Claim{Move: id, Incarnation: 1})); err != nil {
			t.Fatal(err)
		}
		if r := cluster.RefusalOf(from(hvA, cluster.Start{Move: id})); r == nil || r.Code != cluster.CodeTried {
			t.Errorf("the State lets a try start: %v", r)
		}
	})
}

// An order that the descriptions speak against is not given.
func TestOrdersAreHeldAgainstDescriptions(t *testing.T) {
	story(t, "a bridge is missing", func(t *testing.T, st *stage) {
		a, b := likeHosts()
		b.offer.Bridges = nil
		st.describe(a, b)
		s := st.state()
		err := st.apply(cluster.Command{Level: 1, Body: cluster.Decide{
			Decision: cluster.Decision{ID: s.NextDecisionID(), Index: s.Index, Result: cluster.ResultMoved},
			Orders: []cluster.Order{{
				ID: s.NextMoveID(0), VM: vm1, Source: hvA, Target: hvB, Trigger: cluster.TriggerOperator, Reason: "test", Term: st.term,
				DecidedOn: s.Index, Deadline: s.Now.Add(30 * time.Second), StartWindow: 30 * time.Second, Budget: time.Minute,
			}},
		}})
		if r := cluster.RefusalOf(err); r == nil || r.Code != cluster.CodeNoSuchNetwork || !strings.Contains(r.Text, "br0") {
			t.Errorf("the order was given: %v", err)
		}
	})
}
