package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// surveyor counts what it is asked for.
type surveyor struct {
	mu                   sync.Mutex
	offers, needs, reads int
	bridges              []cluster.Bridge
	starts               []string
	broken               error
}

func (s *surveyor) Offer(context.Context) (*cluster.Offer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offers++
	return &cluster.Offer{Bridges: s.bridges}, s.broken
}

func (s *surveyor) Needs(context.Context) (map[string]*cluster.Need, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.needs++
	return map[string]*cluster.Need{}, s.broken
}

func (s *surveyor) Need(_ context.Context, vm string) (*cluster.Need, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if vm == describedVM(13) {
		return nil, errors.New("VM definition: no <os><type>\x00")
	}
	return &cluster.Need{Machine: "q35"}, nil
}
func (s *surveyor) Rooms(context.Context) ([]cluster.Room, error) { return nil, nil }
func (s *surveyor) Busy(context.Context, string) (string, error)  { return "", nil }
func (s *surveyor) Takes(context.Context, *cluster.Need) (*cluster.Hindrance, error) {
	return nil, nil
}

func (s *surveyor) Starts(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.starts), nil
}
func (s *surveyor) Reach(context.Context, string) error { return nil }

// describedUp keeps what was proposed.
type describedUp struct {
	mu   sync.Mutex
	said []cluster.Describe
}

func (u *describedUp) Publish(cluster.Snapshot)   {}
func (u *describedUp) Views() <-chan cluster.View { return nil }
func (u *describedUp) Propose(_ context.Context, c cluster.Command) (uint64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.said = append(u.said, c.Body.(cluster.Describe))
	return 0, nil
}

func (u *describedUp) times() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.said)
}

func describedVM(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

// The description is said once, again when it changed, and again when the
// State has lost it; a VM that comes is read at once.
func TestDescribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s, up := &surveyor{}, &describedUp{}
		a := &Agent{
			cfg: Config{Member: cluster.Member{ID: describedVM(99), Incarnation: 4}, Survey: s, Uplink: up, Uptime: func() time.Duration { return time.Since(began) }},
			log: slog.New(slog.DiscardHandler), register: newRegister(4),
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { a.describe(ctx) })
		vms := func(ids ...int) {
			a.mu.Lock()
			defer a.mu.Unlock()
			var list []cluster.VM
			for _, n := range ids {
				list = append(list, cluster.VM{UUID: describedVM(n)})
			}
			a.register.now.VMs = list
			a.register.now.Revision++
		}
		shown := func(revision uint64) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.view.Announced, a.view.Described = 4, revision
		}
		said := func(after time.Duration, times int) cluster.Describe {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			up.mu.Lock()
			defer up.mu.Unlock()
			if len(up.said) != times {
				t.Fatalf("after %v it was said %d times, want %d", time.Since(began), len(up.said), times)
			}
			if times == 0 {
				return cluster.Describe{}
			}
			return up.said[times-1]
		}

		vms(1, 2)
		said(10*time.Second, 0) // the State does not know this start yet
		shown(0)
		d := said(3*time.Second, 1)
		if d.Incarnation != 4 || d.Revision != 1 || len(d.VMs) != 2 || len(d.Needs) != 1 {
			t.Errorf("said %+v: two equal VMs have one need", d)
		}
		shown(1)
		said(10*time.Minute, 1) // nothing changed
		if s.offers < 9 || s.offers > 12 || s.needs < 2 || s.needs > 4 {
			t.Errorf("in ten minutes the host was read %d times, its VMs %d times", s.offers, s.needs)
		}
		reads := s.reads

		vms(1, 2, 3)
		if d = said(5*time.Second, 2); d.Revision != 2 || len(d.VMs) != 3 || s.reads != reads+1 {
			t.Errorf("a VM came: said %+v, %d VMs read", d, s.reads-reads)
		}
		shown(2)
		vms(2, 13)
		d = said(5*time.Second, 3)
		if len(d.VMs) != 2 || len(d.Needs) != 2 || d.Needs[d.VMs[1].Need].Unread != "VM definition: no <os><type>?" {
			t.Errorf("one went, one cannot be read: said %+v", d)
		}
		shown(3)
		s.mu.Lock()
		s.starts = []string{describedVM(1)} // it is off now, and is started with the host
		s.mu.Unlock()
		vms(2, 13)
		said(2*time.Second, 3) // one that has just gone off may be leaving
		if d = said(4*time.Second, 4); !slices.Equal(d.Starts, s.starts) {
			t.Errorf("a VM is off: the host is said to start %v", d.Starts)
		}
		shown(4)
		s.mu.Lock()
		s.bridges = []cluster.Bridge{{Name: "br7"}}
		s.mu.Unlock()
		for up.times() < 5 && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
		}
		if d = said(0, 5); len(d.Offer.Bridges) != 1 {
			t.Errorf("a bridge came: said %+v", d.Offer)
		}
		said(10*time.Second, 5) // the view lags, which is no loss
		said(10*time.Second, 6) // it is one now
		shown(6)

		s.mu.Lock()
		s.broken = ErrDisconnected
		offers := s.offers
		s.mu.Unlock()
		said(5*time.Minute, 6)
		if n := s.offers - offers; n < 10 || n > 25 {
			t.Errorf("a libvirt that is away for five minutes was asked %d times", n)
		}
		cancel()
		wg.Wait()
	})
}

// What a VM's metadata says of rules is the VM's alone: it rides beside the need that
// equal VMs share.
func TestRulesOfMetadataAreDescribed(t *testing.T) {
	ignore := []cluster.MetaRule{{Kind: cluster.RuleIgnore}}
	d := description{needs: map[string]*cluster.Need{
		vmID(0): {Arch: "x86_64"}, vmID(1): {Arch: "x86_64", Metas: ignore}, vmID(2): {Arch: "x86_64", Wrong: "rule 1: no kind"},
	}}
	b := d.body(1)
	want := []cluster.MetaRules{{VM: vmID(1), Rules: ignore}, {VM: vmID(2), Wrong: "rule 1: no kind"}}
	if diff := cmp.Diff(want, b.Metas); diff != "" || len(b.Needs) != 1 {
		t.Errorf("%d needs, (-want +got):\n%s", len(b.Needs), diff)
	}
}
