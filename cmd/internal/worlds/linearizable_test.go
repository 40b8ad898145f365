package worlds

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// register is what a client does to one of two registers of the State: whom
// the mode is for, and the text of the pause. No two writes write the same.
type register struct {
	key   string
	write bool
	value string
}

// registers is what they do, one after the other. A history is linearizable if
// every operation can be given an instant between its call and its answer such
// that this comes out.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(register).key
			parts[key] = append(parts[key], op)
		}
		var out [][]porcupine.Operation
		for _, p := range parts {
			out = append(out, p)
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if in := input.(register); in.write {
			return true, in.value
		}
		return output == state, state
	},
}

// recorder keeps what clients did and learned. Its clock ticks at every call
// and every answer, so that no two have the same time.
type recorder struct {
	f     *fleet
	read  func(ctx context.Context, f *fleet, d *daemon) (cluster.State, bool)
	clock atomic.Int64

	mu       sync.Mutex
	history  []porcupine.Operation
	unknowns int
}

func (r *recorder) add(client int, in register, called int64, output string, answered int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answered == math.MaxInt64 {
		r.unknowns++
	}
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: in, Call: called, Output: output, Return: answered})
}

// client writes and reads, asking any member, until ctx ends.
func (r *recorder) client(ctx context.Context, id int) {
	rng := rand.New(rand.NewPCG(r.f.seed, uint64(1000+id)))
	for n := 0; ctx.Err() == nil; n++ {
		in := register{key: []string{"scope", "pause"}[rng.IntN(2)], write: rng.IntN(2) == 0}
		if !in.write {
			r.reads(ctx, rng, id, in)
		} else {
			in.value = fmt.Sprintf("%d-%d", id, n)
			r.writes(ctx, rng, id, in)
		}
		sleep(ctx, time.Duration(rng.IntN(400))*time.Millisecond)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// reads asks once; a read without an answer says nothing.
func (r *recorder) reads(ctx context.Context, rng *rand.Rand, id int, in register) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	called := r.clock.Add(1)
	s, ok := r.read(ctx, r.f, r.f.members[rng.IntN(voters)])
	if !ok {
		return
	}
	value := strings.Join(s.Scope.VMs, " ")
	if in.key == "pause" {
		value = s.Paused.Text
	}
	r.add(id, in, called, value, r.clock.Add(1))
}

// writes proposes, half of the time again under the same ID while the outcome
// is unknown. What stays unknown may have happened at any time since, or never.
func (r *recorder) writes(ctx context.Context, rng *rand.Rand, id int, in register) {
	c := cluster.Command{ID: r.f.nextID(), Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto, Scope: &cluster.Scope{VMs: []string{in.value}}}}
	if in.key == "pause" {
		c.Body = cluster.Pause{Until: cluster.TimeOf(time.Now().Add(epoch + 24*time.Hour)), Text: in.value}
	}
	called, again, doubt := r.clock.Add(1), rng.IntN(2) == 0, false
	for range 10 {
		p := r.f.members[rng.IntN(voters)].running()
		if p == nil {
			sleep(ctx, 100*time.Millisecond)
			continue
		}
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := p.propose(try, c)
		cancel()
		switch {
		case err == nil:
			r.add(id, in, called, "", r.clock.Add(1))
			return
		case cluster.RefusalOf(err) != nil:
			r.f.broken("the State refused %+v: %v", c, err)
			return
		case errors.Is(err, consensus.ErrNotLeader), errors.Is(err, consensus.ErrNoLeader), errors.Is(err, consensus.ErrBusy):
		default:
			doubt = true
			if !again {
				r.add(id, in, called, "", math.MaxInt64)
				return
			}
		}
		sleep(ctx, 100*time.Millisecond)
	}
	if doubt {
		r.add(id, in, called, "", math.MaxInt64)
	}
}

// linearizable reads as the API does: the leader by ReadIndex, another member
// by asking the leader for the index and waiting until it has applied it.
func linearizable(ctx context.Context, f *fleet, d *daemon) (cluster.State, bool) {
	p := d.running()
	l := f.leaderFor(d)
	if p == nil || l == nil {
		return cluster.State{}, false
	}
	index, err := l.node.ReadIndex(ctx)
	if err != nil || p.node.AwaitIndex(ctx, index) != nil {
		return cluster.State{}, false
	}
	s, _ := p.node.State()
	return s, true
}

// stale is the mistake that the checker has to find: a member's own State.
func stale(_ context.Context, _ *fleet, d *daemon) (cluster.State, bool) {
	p := d.running()
	if p == nil {
		return cluster.State{}, false
	}
	s, at := p.node.State()
	return s, at > 0
}

// record plays a world with five clients and returns what they saw.
func record(t *testing.T, seed uint64, play time.Duration, read func(context.Context, *fleet, *daemon) (cluster.State, bool)) (history []porcupine.Operation) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, seed)
		f.alone = true
		defer f.close()
		f.start()
		r := &recorder{f: f, read: read}
		ctx, stop := context.WithCancel(f.ctx)
		var clients sync.WaitGroup
		// The registers begin with known values.
		for _, in := range []register{{"scope", true, "begin"}, {"pause", true, "begin"}} {
			r.writes(ctx, rand.New(rand.NewPCG(0, 0)), 0, in)
		}
		for id := range 5 {
			clients.Go(func() { r.client(ctx, id) })
		}
		f.chaos(play)
		stop()
		clients.Wait()
		t.Logf("seed %d: %d operations, %d of unknown outcome, %d leaders", seed, len(r.history), r.unknowns, f.counted("leader found"))
		if len(r.history) < 500 || r.unknowns == 0 || f.counted("leader found") < 3 {
			t.Errorf("seed %d: too little happened to prove anything", seed)
		}
		history = r.history
	})
	return needed(history)
}

// needed leaves out writes of unknown outcome that nobody saw. Each can be
// given an instant after all others, so the history is linearizable with them
// if it is without; and the checker, which has to try each of them at every
// instant, would look for hours.
func needed(history []porcupine.Operation) []porcupine.Operation {
	seen := map[register]bool{}
	for _, op := range history {
		if in := op.Input.(register); !in.write {
			seen[register{in.key, true, op.Output.(string)}] = true
		}
	}
	return slices.DeleteFunc(history, func(op porcupine.Operation) bool {
		return op.Return == math.MaxInt64 && !seen[op.Input.(register)]
	})
}

// TestLinearizable: what operators write and read while members die, freeze
// and lose each other is as if one of them after the other had spoken with one
// State.
func TestLinearizable(t *testing.T) {
	for _, seed := range seeds(t, 2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			history := record(t, seed, 10*time.Minute, linearizable)
			if result := porcupine.CheckOperationsTimeout(registers, history, 10*time.Minute); result != porcupine.Ok {
				t.Errorf("seed %d: the history of %d operations is %s", seed, len(history), result)
			}
		})
	}
}

// TestStaleReadsAreFound: a checker that finds nothing proves nothing.
func TestStaleReadsAreFound(t *testing.T) {
	history := record(t, 1, 5*time.Minute, stale)
	if result := porcupine.CheckOperationsTimeout(registers, history, 10*time.Minute); result != porcupine.Illegal {
		t.Errorf("reads of whatever a member holds: the history of %d operations is %s", len(history), result)
	}
}
