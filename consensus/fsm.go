package consensus

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// fsm is this replica's State and how entries change it. INVARIANT: an entry
// is applied or the replica stops; it is never skipped, for then this State
// would differ from the other replicas' for ever.
type fsm struct {
	publish func(Applied)
	changed *bell
	stopped chan struct{} // closed when the replica halts

	mu    sync.Mutex
	state cluster.State
	halt  error
}

func newFSM(clusterID string, publish func(Applied), changed *bell) *fsm {
	return &fsm{publish: publish, changed: changed, stopped: make(chan struct{}), state: cluster.New(clusterID)}
}

// Apply implements raft.FSM. Its result is a *cluster.Refusal, an error that
// wraps ErrHalted, or nil.
func (f *fsm) Apply(l *raft.Log) any {
	if err := f.halted(); err != nil {
		return err
	}
	a, err := f.transition(l)
	if err != nil {
		return f.stop(fmt.Errorf("entry %d of term %d: %w", l.Index, l.Term, err))
	}
	f.mu.Lock()
	f.state = a.State
	f.mu.Unlock()
	f.changed.ring()
	if f.publish != nil {
		f.publish(a)
	}
	if a.Refusal != nil {
		return a.Refusal
	}
	return nil
}

// transition computes what an entry does. A panic in State.Apply would come
// again at every restart, on every replica: it halts this one like any entry
// that cannot be applied, and the process stays up to say so.
func (f *fsm) transition(l *raft.Log) (a Applied, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	c, err := cluster.DecodeCommand(l.Data)
	if err != nil {
		return a, err
	}
	m := cluster.Meta{Index: l.Index, Term: l.Term}
	before := f.current()
	state, err := before.Apply(cluster.Meta{Index: l.Index, Term: l.Term, Entry: l.Data}, c)
	refusal := cluster.RefusalOf(err)
	if err != nil && refusal == nil {
		return a, err
	}
	return Applied{Meta: m, Before: cluster.Meta{Index: before.Index, Term: before.Term}, Data: l.Data, Command: c, Prior: before, State: state, Refusal: refusal}, nil
}

// Snapshot implements raft.FSM. A halted replica makes none: its log must
// still hold the entry that stopped it, for the binary that can apply it.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.halted(); err != nil {
		return nil, err
	}
	return stateFile{f.current()}, nil
}

// Restore implements raft.FSM.
func (f *fsm) Restore(r io.ReadCloser) error {
	state, err := readState(r)
	if err == nil && state.Cluster != f.current().Cluster {
		err = fmt.Errorf("it is of cluster %s, this is %s", state.Cluster, f.current().Cluster)
	}
	if errors.Is(err, cluster.ErrFeatureLevel) {
		return f.stop(fmt.Errorf("snapshot: %w", err))
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	f.mu.Lock()
	f.state = state
	f.mu.Unlock()
	f.changed.ring()
	return nil
}

func (f *fsm) current() cluster.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// halted returns why the replica stopped, or nil.
func (f *fsm) halted() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.halt
}

func (f *fsm) stop(cause error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.halt == nil {
		f.halt = fmt.Errorf("%w: %w", ErrHalted, cause)
		close(f.stopped)
	}
	return f.halt
}
