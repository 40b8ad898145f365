package consensus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Leaders are killed, cut off and brought back while three clients propose.
// The ledger's laws hold throughout: replicas apply the same entries with the
// same results, one member commits per term, what was acknowledged stays.
func TestFailovers(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, 3)
				w.startAll()
				defer w.closeAll()
				w.agree()
				ctx, stop := context.WithCancel(t.Context())
				var clients sync.WaitGroup
				for i := range 3 {
					clients.Go(func() { w.client(ctx, rand.New(rand.NewPCG(seed, uint64(i)))) })
				}
				w.havoc(rand.New(rand.NewPCG(seed, 99)), 10)
				stop()
				clients.Wait()
				w.settle()
				if w.ledger.acknowledgements() < 100 {
					t.Errorf("only %d commands were acknowledged: the test proved nothing", w.ledger.acknowledgements())
				}
			})
		})
	}
}

// havoc does one bad thing after the other, never to two members at once.
func (w *world) havoc(rng *rand.Rand, rounds int) {
	for range rounds {
		victim := w.leader()
		if rng.IntN(3) == 0 {
			victim = w.running()[rng.IntN(len(w.running()))]
		}
		time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		bad := time.Duration(1+rng.IntN(15)) * time.Second
		switch rng.IntN(3) {
		case 0:
			victim.kill()
			time.Sleep(bad)
			victim.start()
		case 1:
			victim.isolate(true)
			time.Sleep(bad)
			victim.isolate(false)
		case 2:
			victim.close()
			time.Sleep(bad)
			victim.start()
		}
	}
}

// client proposes to whomever it finds, some of it refused by the State. What
// ends unknown is proposed again under its ID.
func (w *world) client(ctx context.Context, rng *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		c := cluster.Command{ID: fmt.Sprintf("%d-%d", i, rng.Uint64()), Actor: operator, Body: cluster.Cancel{Move: fmt.Sprint("m-", i)}}
		if i%3 > 0 {
			c.Body = cluster.Pause{Until: cluster.TimeOf(time.Now().Add(time.Hour)), Text: fmt.Sprint(i)}
		}
		for ctx.Err() == nil {
			time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
			hosts := w.running()
			h := hosts[rng.IntN(len(hosts))]
			w.mu.Lock()
			node := h.node
			w.mu.Unlock()
			if node == nil {
				continue
			}
			try, cancel := context.WithTimeout(ctx, 2*time.Second)
			index, err := node.Propose(try, c)
			cancel()
			if err == nil || cluster.RefusalOf(err) != nil {
				w.ledger.acknowledged(h.id, w.ledger.term(index), index, c.ID)
				break
			}
		}
	}
}

var operator = cluster.Actor{Kind: cluster.KindOperator, ID: "op"}

// An order outlives the leader that committed it, and can be claimed in a
// later term, once.
func TestOrderOutlivesLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		source, target := memberID(0), memberID(1)
		w.furnish(source, target)
		first := w.leader()
		state, index := first.node.State()
		w.must(cluster.Command{Body: cluster.Decide{
			Decision: cluster.Decision{ID: state.NextDecisionID(), Result: cluster.ResultMoved, Index: index, Trigger: cluster.TriggerOperator},
			Orders: []cluster.Order{{
				ID: state.NextMoveID(0), VM: theVM, Source: source, Target: target, Trigger: cluster.TriggerOperator, Term: state.Term, DecidedOn: index,
				Deadline: state.Now.Add(time.Minute), StartWindow: time.Minute, Budget: time.Minute,
			}},
		}})
		w.must(from(target, cluster.Reserve{Move: "m-1"}))
		first.kill()
		second := w.leader()
		if second == first {
			t.Fatal("the dead lead")
		}
		w.beat(source, target) // the target is fresh
		index = w.must(from(source, cluster.Claim{Move: "m-1", Incarnation: 1}))
		if w.ledger.term(index) <= state.Term {
			t.Errorf("claimed in term %d, ordered in %d", w.ledger.term(index), state.Term)
		}
		first.start()
		w.settle()
		for _, h := range w.running() {
			s, _ := h.node.State()
			if m, ok := s.Move("m-1"); !ok || m.State != cluster.MoveClaimed {
				t.Errorf("%s: move is %q", h.id, m.State)
			}
		}
		if _, _, err := w.propose(from(source, cluster.Claim{Move: "m-1", Incarnation: 1})); cluster.RefusalOf(err) == nil || cluster.RefusalOf(err).Code != cluster.CodeWrongState {
			t.Errorf("second claim: %v, want WRONG_STATE", err)
		}
	})
}

const theVM = "b0000000-0000-4000-8000-000000000001"

func from(member string, b cluster.Body) cluster.Command {
	return cluster.Command{Actor: cluster.Actor{Kind: cluster.KindAgent, ID: member}, Body: b}
}

// furnish announces two hypervisors and puts a VM on the first.
func (w *world) furnish(source, target string) {
	w.t.Helper()
	for i, id := range []string{source, target} {
		w.must(from(id, cluster.Announce{Cluster: testCluster, Member: cluster.Member{
			ID: id, Name: fmt.Sprint("hv", i), Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: 4000, Memory: 16 * cluster.GiB,
			MigrationPeerURI: "qemu+tcp://hv/system", MigrationURI: "tcp://hv",
		}}))
	}
	w.beat(source, target)
}

var beats uint64

func (w *world) beat(source, target string) {
	w.t.Helper()
	beats++
	snap := func(host string, vms ...cluster.VM) cluster.Snapshot {
		return cluster.Snapshot{
			Host: host, Incarnation: 1, Sequence: beats, Inventory: &cluster.Inventory{Revision: 1, VMs: vms},
			Load: cluster.Load{
				TakenAt: cluster.TimeOf(time.Now()), Window: 10 * time.Second, NextIn: 5 * time.Second, Inventory: 1,
				Source: cluster.SourceEBPF, CPUs: 4000, Memory: 16 * cluster.GiB,
			},
		}
	}
	vm := cluster.VM{UUID: theVM, Name: "vm", VCPUs: 1, MaxMemory: cluster.GiB, Run: cluster.RunRunning, Lock: cluster.LockLockable}
	w.must(cluster.Command{Body: cluster.Snapshots{Batch: []cluster.Snapshot{snap(source, vm), snap(target)}}})
}

// A leader that was cut off does not know it yet. It must not acknowledge, and
// must not call its State the newest.
func TestDeposedLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		old := w.leader()
		w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeOff}})
		old.isolate(true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := old.node.Propose(ctx, cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
		if !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("propose without a majority: %v, want ErrUnknownOutcome", err)
		}
		w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeRecommend}})
		if index, err := old.node.ReadIndex(ctx); err == nil {
			t.Errorf("the deposed leader answers a linearizable read with index %d", index)
		}
		if _, leads := old.node.Leading(); leads {
			t.Error("the deposed leader still leads")
		}
		if _, err := old.node.Propose(ctx, cluster.Command{Actor: operator, Body: cluster.Resume{}}); !errors.Is(err, ErrNoLeader) {
			t.Errorf("propose on a cut-off follower: %v, want ErrNoLeader", err)
		}
		old.isolate(false)
		w.settle()
		s, _ := old.node.State()
		if s.Mode != cluster.ModeRecommend {
			t.Errorf("mode %s", s.Mode)
		}
	})
}

// A read needs a majority's word, even in the first moments after a cut, when
// the leader has no reason yet to doubt itself.
func TestReadIndexAsksTheMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		l := w.leader()
		l.isolate(true)
		if _, leads := l.node.Leading(); !leads {
			t.Fatal("it gave up before it could be asked")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := l.node.ReadIndex(ctx); !errors.Is(err, ErrNotLeader) {
			t.Errorf("%v, want ErrNotLeader", err)
		}
		l.isolate(false)
		w.agree()
		for _, h := range w.running() {
			if _, err := h.node.ReadIndex(ctx); h != w.leader() && !errors.Is(err, ErrNotLeader) {
				t.Errorf("a follower answers a read: %v", err)
			}
		}
	})
}

// An answer to a heartbeat that was sent before the read began is no word for
// it: the leader may have been frozen in between.
func TestProofIgnoresOldAnswers(t *testing.T) {
	slow := &slowTransport{answer: make(chan raft.AppendEntriesResponse)}
	p := newProof(slow)
	voters := []Voter{{"a", ""}, {"b", ""}, {"c", ""}}
	send := func(term uint64) (done chan error) {
		done = make(chan error)
		slow.sent = make(chan struct{})
		go func() {
			done <- p.AppendEntries("b", "", &raft.AppendEntriesRequest{Term: term}, new(raft.AppendEntriesResponse))
		}()
		<-slow.sent
		return done
	}
	check := func(what string, term, since uint64, want bool) {
		t.Helper()
		if got := p.majority("a", voters, term, since); got != want {
			t.Errorf("%s: majority %v", what, got)
		}
	}
	old := send(5)
	began := p.now()
	slow.answer <- raft.AppendEntriesResponse{Term: 5, Success: true}
	if err := <-old; err != nil {
		t.Error(err)
	}
	check("sent before the read", 5, began, false)
	fresh := send(5)
	slow.answer <- raft.AppendEntriesResponse{Term: 5, Success: true}
	if err := <-fresh; err != nil {
		t.Error(err)
	}
	check("sent after it began", 5, began, true)
	check("in another term", 6, began, false)
	check("once more, later", 5, p.now(), false)
	began = p.now()
	deposed := send(5)
	slow.answer <- raft.AppendEntriesResponse{Term: 6}
	if err := <-deposed; err != nil {
		t.Error(err)
	}
	check("denied", 5, began, false)
}

type slowTransport struct {
	transport
	sent   chan struct{}
	answer chan raft.AppendEntriesResponse
}

func (s *slowTransport) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, _ *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	close(s.sent)
	*resp = <-s.answer
	return nil
}

// Who is told that it leads has in its State all that was acknowledged before:
// followers hear that an entry is committed later than the client does.
func TestLeadershipWaitsForTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		for round := range 10 {
			w.agree()
			old := w.leader()
			var watchers sync.WaitGroup
			seen := make(chan uint64, 2)
			for _, h := range w.running() {
				if h != old {
					watchers.Go(func() {
						for {
							changed := h.node.Changed()
							_, leads := h.node.Leading()
							_, index := h.node.State()
							if leads {
								seen <- index
							}
							if id, _, ok := h.node.Leader(); leads || ok && id != old.id && id != h.id {
								return
							}
							select {
							case <-changed:
							case <-time.After(time.Millisecond):
							}
						}
					})
				}
			}
			acknowledged := w.must(cluster.Command{Actor: operator, Body: cluster.Resume{Text: fmt.Sprint(round)}})
			old.isolate(true)
			watchers.Wait()
			if index := <-seen; index < acknowledged {
				t.Errorf("round %d: leads with a State at %d, %d was acknowledged", round, index, acknowledged)
			}
			old.isolate(false)
		}
	})
}

// A member that comes back causes no election.
func TestRejoinWithoutElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		l := w.leader()
		term, _ := l.node.Leading()
		for _, h := range w.hosts {
			if h == l {
				continue
			}
			h.isolate(true)
			time.Sleep(time.Minute)
			h.isolate(false)
			time.Sleep(10 * time.Second)
		}
		if now, ok := l.node.Leading(); !ok || now != term {
			t.Errorf("term %d, leading %v; it was %d", now, ok, term)
		}
	})
}

// A follower that is far behind gets the State as a snapshot.
func TestInstallSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		var late *host
		for _, h := range w.hosts {
			if h != w.leader() {
				late = h
			}
		}
		late.kill()
		for i := range trailingLogs + 100 {
			w.must(cluster.Command{Actor: operator, Body: cluster.Pause{Until: cluster.TimeOf(time.Now().Add(time.Hour)), Text: fmt.Sprint(i)}})
		}
		if err := w.leader().node.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		if first, _ := w.leader().store.FirstIndex(); first < 50 {
			t.Fatalf("the log still begins at %d: no snapshot will be needed", first)
		}
		late.start()
		w.settle()
	})
}

func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		l := w.leader()
		l.close()
		began := time.Now()
		w.leader()
		// Virtual time: an election that had to wait for a missing heartbeat would
		// have taken a second at least.
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("a new leader after %v: leadership was not handed over", took)
		}
		l.start()
		w.agree()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		was := w.leader()
		if err := was.node.TransferLeadership(ctx); err != nil {
			t.Fatal(err)
		}
		if w.leader() == was {
			t.Error("the leader is the same after the transfer")
		}
		for _, h := range w.running() {
			if h != w.leader() {
				if err := h.node.TransferLeadership(ctx); !errors.Is(err, ErrNotLeader) {
					t.Errorf("transfer by a follower: %v", err)
				}
			}
		}
	})
}
