package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// slowLog is a proposer that takes its time, and notes what it was given.
type slowLog struct {
	takes time.Duration
	state cluster.State
	err   error

	mu      sync.Mutex
	now     int
	most    int
	batches [][]cluster.Snapshot
}

func (l *slowLog) Propose(_ context.Context, c cluster.Command) (uint64, error) {
	l.mu.Lock()
	l.now++
	l.most = max(l.most, l.now)
	l.batches = append(l.batches, snapshots(c))
	l.mu.Unlock()
	time.Sleep(l.takes)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	return 0, l.err
}

func snapshots(c cluster.Command) (out []cluster.Snapshot) {
	for _, d := range c.Body.(cluster.Digests).Batch {
		out = append(out, d.Snapshot())
	}
	return out
}

// noted is what was proposed so far.
func (l *slowLog) noted() [][]cluster.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([][]cluster.Snapshot(nil), l.batches...)
}

func (l *slowLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *slowLog) State() (cluster.State, uint64) { return l.state, 0 }

func snap(host string, sequence uint64, weight int) cluster.Snapshot {
	s := cluster.Snapshot{Host: uuidOf(host), Incarnation: 1, Sequence: sequence}
	s.Load.Inventory, s.Load.Source = 5, cluster.SourceNone
	s.Load.VMs = make([]cluster.VMLoad, min(weight, cluster.MaxVMsPerHost))
	for i := range s.Load.VMs {
		// On no scale: weight VMs take some 20 bytes each.
		s.Load.VMs[i] = cluster.VMLoad{Slot: uint32(i), Run: 1_000_001, Demand: 1_000_001, Wait: 1_000_001, Others: 1_000_001}
	}
	return s
}

// uuidOf makes an id of a short name.
func uuidOf(name string) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", name)[:36]
}

func runBatcher(t *testing.T, l *slowLog, tick time.Duration) *Batcher {
	t.Helper()
	b := NewBatcher(l, tick, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return b
}

// put is for snapshots that must be taken.
func put(t *testing.T, b *Batcher, s cluster.Snapshot) {
	t.Helper()
	if err := b.Put(s); err != nil {
		t.Fatal(err)
	}
}

func TestBatcherOneEntryATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLog{}
		b := runBatcher(t, l, 200*time.Millisecond)
		for host := range 100 {
			put(t, b, snap(fmt.Sprint(host), 1, 1))
		}
		put(t, b, snap("7", 3, 1))
		put(t, b, snap("7", 2, 1)) // late
		time.Sleep(time.Second)
		got := l.noted()
		if len(got) != 1 || len(got[0]) != 100 {
			t.Fatalf("%d entries, the first of %d snapshots; want one of 100", len(got), len(got[0]))
		}
		for i, s := range got[0] {
			if want := map[bool]uint64{true: 3, false: 1}[s.Host == uuidOf("7")]; s.Host != uuidOf(fmt.Sprint(i)) || s.Sequence != want {
				t.Errorf("place %d: host %s, sequence %d; want the newest, first come first", i, s.Host, s.Sequence)
			}
		}
	})
}

func TestBatcherOneEntryUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLog{takes: 3 * time.Second}
		b := runBatcher(t, l, 200*time.Millisecond)
		for i := range uint64(100) {
			put(t, b, snap("a", i+1, 1))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		got := l.noted()
		if l.most != 1 || len(got) > 5 {
			t.Errorf("%d entries under way at once, %d in all", l.most, len(got))
		}
		if last := got[len(got)-1]; last[0].Sequence != 100 {
			t.Errorf("the last entry has sequence %d: the newest was lost", last[0].Sequence)
		}
	})
}

// The inventory rides on one snapshot only; it survives that one's replacement.
func TestSupersedeKeepsInventory(t *testing.T) {
	inv := &cluster.Inventory{Revision: 5}
	old := snap("a", 1, 0)
	old.Inventory = inv
	newer := snap("a", 2, 0)
	if got := supersede(old, newer); got.Sequence != 2 || got.Inventory != inv {
		t.Errorf("%+v", got)
	}
	newer.Load.Inventory = 6 // refers to another one: that has to come by itself
	if got := supersede(old, newer); got.Inventory != nil {
		t.Errorf("%+v", got)
	}
	newer = snap("a", 1, 0)
	newer.Incarnation = 2
	if got := supersede(snap("a", 9, 0), newer); got.Incarnation != 2 || got.Inventory != nil {
		t.Errorf("a new start of the daemon begins to count anew: %+v", got)
	}
}

// Entries are bounded, and small while somebody waits for a decision's entry.
func TestBatcherBoundsEntries(t *testing.T) {
	for name, c := range map[string]struct {
		state cluster.State
		limit int
	}{
		"quiet":          {cluster.New("c"), batchBytes},
		"a move is live": {liveState(t), batchBytesLive},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &slowLog{state: c.state, takes: time.Millisecond}
				b := runBatcher(t, l, 200*time.Millisecond)
				for host := range 60 {
					put(t, b, snap(fmt.Sprint(host), 1, 1200)) // some 23 KiB each
				}
				put(t, b, snap("giant", 1, cluster.MaxVMsPerHost))
				put(t, b, snap("after", 1, 1))
				time.Sleep(10 * time.Second)
				seen := 0
				for _, batch := range l.noted() {
					seen += len(batch)
					data, err := cluster.EncodeCommand(cluster.Command{Body: cluster.Snapshots{Batch: batch}})
					if err != nil {
						t.Fatal(err)
					}
					if len(data) > c.limit && len(batch) > 1 {
						t.Errorf("an entry of %d bytes with %d snapshots, limit %d", len(data), len(batch), c.limit)
					}
				}
				if seen != 62 || l.most != 1 {
					t.Errorf("%d snapshots of 62 in %d entries, %d at once", seen, len(l.noted()), l.most)
				}
			})
		})
	}
}

// liveState has a move under way: read from the file form, which needs no
// story of how it came to be.
func liveState(t *testing.T) cluster.State {
	t.Helper()
	const head = `{"header":{"cluster":"c","level":1},"moves":[{"id":"m-1","vm":"v","seq":1,"state":"running"}]}`
	s, err := cluster.DecodeState(strings.NewReader("\x02" + string(rune(len(head))) + head + "\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What could not be committed is dropped: newer figures are on their way, and
// a queue would only make old ones older.
func TestBatcherDropsWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLog{err: consensus.ErrNotLeader}
		b := runBatcher(t, l, 200*time.Millisecond)
		put(t, b, snap("a", 1, 1))
		time.Sleep(5 * time.Second)
		if n := len(l.noted()); n != 1 {
			t.Errorf("tried %d times", n)
		}
		l.fail(errors.New("other"))
		put(t, b, snap("a", 2, 1))
		time.Sleep(5 * time.Second)
		if got := l.noted(); len(got) != 2 || got[1][0].Sequence != 2 {
			t.Errorf("%d entries", len(got))
		}
	})
}

// Quiet hosts' snapshots wait for company, three seconds of a beat of five; a
// suffering host's goes at the next tick and takes all along.
func TestBatcherWaitsForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLog{}
		b := runBatcher(t, l, 200*time.Millisecond)
		beat := func(host string, sequence uint64, next time.Duration) {
			s := snap(host, sequence, 1)
			s.Load.NextIn = next
			put(t, b, s)
		}
		entries := func(what string, want ...int) {
			t.Helper()
			var got []int
			for _, batch := range l.noted() {
				got = append(got, len(batch))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: entries of %v snapshots, want %v", what, got, want)
			}
		}
		beat("a", 1, 5*time.Second)
		time.Sleep(2500 * time.Millisecond)
		beat("b", 1, 5*time.Second)
		entries("after 2.5 s")
		time.Sleep(750 * time.Millisecond)
		entries("after 3.2 s", 2)
		beat("a", 2, 5*time.Second)
		time.Sleep(500 * time.Millisecond)
		entries("a quiet one alone", 2)
		beat("hot", 1, time.Second)
		time.Sleep(250 * time.Millisecond)
		entries("a hot one", 2, 2)
	})
}
