package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Node is one replica: its log, its State, its part in elections.
type Node struct {
	cfg        Config
	log        *slog.Logger
	begin      Start
	forgotten  atomic.Bool // see amnesia.go
	began      time.Time
	fsm        *fsm
	raft       *raft.Raft
	stop       func() raft.Future // ends raft, once
	disk       *disk
	logs       raft.LogStore
	scale      *scale
	probing    atomic.Bool
	lag        lag
	gate       *gate
	gateMoved  chan struct{} // the gate was shut or opened
	proof      *proof
	backend    *backend
	changed    bell
	leadership chan bool
	leading    atomic.Uint64 // term in which this member leads and its State has caught up, 0 if none
	changes    atomic.Uint64 // of leader, as seen from here
	turns      chan struct{} // proposals under way
	group      group
	pilot      atomic.Pointer[pilot] // while this member leads

	ctx    context.Context // ends when Close begins to stop the loops
	cancel context.CancelFunc
	loops  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup // futures of Raft's that are waited for
	finish sync.Once
	closer error
}

const (
	trailingLogs      = 512  // entries kept behind a snapshot for followers that lag
	snapshotThreshold = 1024 // entries between snapshots
	maxAppendEntries  = 16   // in one request: consensus/rpc bounds requests by it
	maxTurns          = 256
	// commitTimeout is how soon followers hear, between entries, what is committed.
	// Who reads or decides asks the leader, so nobody waits for that; the library's
	// 50 ms cost a leader of ten hosts a fifth of its CPU.
	commitTimeout = 250 * time.Millisecond
	streamTimeout = 5 * time.Second // of one Raft RPC
	streamPool    = 3               // idle Raft streams kept per member
)

// Open claims the data directory, starts the replica and returns at once; the
// node finds or founds its cluster in the background.
func Open(cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	begin, err := Claim(cfg.Dir, cfg.Cluster, cfg.Member)
	if err != nil {
		return nil, err
	}
	logger := raftLogger(cfg.Logger)
	b, err := openFiles(cfg.Dir, logger)
	if err != nil {
		return nil, err
	}
	var running atomic.Pointer[Node]
	b.trans = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: streamLayer{cfg.Network, &running}, MaxPool: streamPool, Timeout: streamTimeout, Logger: logger,
		MsgpackUseNewTimeFormat: true,
	})
	n, err := start(cfg, b, begin)
	if err != nil {
		return nil, errors.Join(err, cfg.Network.Close(), b.close())
	}
	running.Store(n)
	return n, nil
}

// start runs a replica on a backend.
func start(cfg Config, b *backend, begin Start) (*Node, error) {
	cfg.Timing = cfg.Timing.withDefaults()
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	n := &Node{
		cfg: cfg, log: cfg.Logger, begin: begin, backend: b, began: time.Now(),
		leadership: make(chan bool, 1), turns: make(chan struct{}, maxTurns),
	}
	n.disk = newDisk(cfg.Dir, b.probe)
	n.scale = newScale()
	n.logs = weighedLogs{timedLogs{b.logs, n.disk}, n.scale}
	n.gate, n.gateMoved = &gate{transport: b.trans}, make(chan struct{}, 1)
	n.proof = newProof(n.gate)
	n.fsm = newFSM(cfg.Cluster, cfg.Publish, &n.changed)
	r, err := newRaft(n)
	if err != nil {
		return nil, fmt.Errorf("raft: %w", err)
	}
	n.raft, n.stop = r, sync.OnceValue(n.stopRaft)
	r.RegisterObserver(raft.NewObserver(nil, false, n.countChange))
	n.group.met = readMet(cfg.Dir)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.loops.Go(n.followLeadership)
	n.loops.Go(n.followMembership)
	n.loops.Go(n.followDisk)
	n.loops.Go(n.followLog)
	n.loops.Go(n.followReign)
	return n, nil
}

// newRaft starts the library's part. It panics where a log entry that must be
// there cannot be read; that is an error of the files, not of the program.
func newRaft(n *Node) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("data directory %s cannot be read: %v; restore it from a backup, or move it away and let this member join anew", n.cfg.Dir, p)
		}
	}()
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.cfg.Member)
	c.HeartbeatTimeout, c.ElectionTimeout = n.cfg.Timing.Heartbeat, n.cfg.Timing.Heartbeat
	c.LeaderLeaseTimeout = n.cfg.Timing.Lease
	c.CommitTimeout = commitTimeout
	c.TrailingLogs, c.SnapshotThreshold = trailingLogs, snapshotThreshold
	c.MaxAppendEntries = maxAppendEntries
	c.ShutdownOnRemove = false // a removed member stays readable and says what it is
	c.NoLegacyTelemetry = true
	c.Logger = raftLogger(n.log)
	return raft.NewRaft(c, n.fsm, n.logs, patientStable{n.backend.stable, n.disk}, n.backend.snaps, n.proof)
}

// Incarnation is how many times this member has been started.
func (n *Node) Incarnation() uint64 { return n.begin.Incarnation }

// Disk is the UUID of this member's data directory; "" in memory.
func (n *Node) Disk() string { return n.begin.Disk }

// State returns the newest State of this replica and the index of the last
// command in it. It is immutable, and stale when another member leads.
func (n *Node) State() (cluster.State, uint64) {
	s := n.fsm.current()
	return s, s.Index
}

// Changed returns a channel that is closed by the next change of State or of
// leadership. Take it before looking at either.
func (n *Node) Changed() <-chan struct{} { return n.changed.wait() }

// Close hands leadership over if this member has it, waits for what is under
// way, and stops the replica, all within bounds.
func (n *Node) Close() error {
	n.finish.Do(func() { n.closer = n.close() })
	return n.closer
}

func (n *Node) close() error {
	if n.raft.State() == raft.Leader && len(n.voters()) > 1 {
		ctx, cancel := context.WithTimeout(context.Background(), n.cfg.Timing.HandOver)
		if err := n.TransferLeadership(ctx); err != nil {
			n.log.Warn("leadership was not handed over; the others will elect a leader when they miss this one", "err", err)
		}
		cancel()
	}
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.cancel()
	n.loops.Wait()
	within(time.Second, n.calls.Wait)
	stopped := n.stop()
	if !within(n.cfg.Timing.Propose, func() { _ = stopped.Error() }) {
		return errors.New("close consensus: the disk does not answer; the log was left open")
	}
	within(time.Second, n.calls.Wait)
	n.changed.ring()
	return n.backend.close()
}

// stopRaft ends the library's part, and the streams that its goroutines wait
// on, so that the other members notice at once.
func (n *Node) stopRaft() raft.Future {
	f := n.raft.Shutdown()
	_ = n.backend.trans.Close()
	return f
}

// within runs f and says whether it ended in time; if not it is left behind.
func within(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() { f(); close(done) }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// call runs f, which waits for a future of Raft's, and waits for it until ctx
// ends. Then f is left behind, for Raft's futures cannot be cancelled (a
// stalled disk was seen to hold them for 40 s); Close waits for it.
func (n *Node) call(ctx context.Context, f func() error) error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return ErrClosed
	}
	done := make(chan error, 1)
	n.calls.Go(func() { done <- f() })
	n.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
