package rpc

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Batcher makes one entry of the load snapshots that arrive within a tick:
// 100 in one entry were measured at 24,100 a second, one by one at 277. Those
// of quiet hosts wait for company, since an entry costs some 16 KiB of disk
// however small it is; a hot host, a new inventory or a live move takes all
// along at the next tick. At most one of its entries is under way. Raft's main loop stores entries one
// after the other, so a decision waits for at most that one; while a move is
// live it is kept small.
type Batcher struct {
	node proposer
	tick time.Duration
	log  *slog.Logger

	mu      sync.Mutex
	pending map[string]cluster.Digest // newest of each host
	order   []string                  // hosts with something pending, longest waiting first
	due     time.Time                 // when the most impatient of them wants to go
}

// proposer is what the Batcher needs of a Node.
type proposer interface {
	Propose(ctx context.Context, c cluster.Command) (uint64, error)
	State() (cluster.State, uint64)
}

// Bounds of an entry of snapshots in bytes. One snapshot alone may be larger.
const (
	batchBytes     = 1 << 20
	batchBytesLive = 64 << 10 // while a move is live
	entryBytes     = 512      // of them at most around the digests
	lengthBytes    = 3        // before each digest
)

// NewBatcher makes a Batcher; Run it while the node leads.
func NewBatcher(node proposer, tick time.Duration, log *slog.Logger) *Batcher {
	return &Batcher{node: node, tick: tick, log: log, pending: make(map[string]cluster.Digest)}
}

// Put takes a host's snapshot; the next entry carries it, unless a newer one
// of that host comes first.
func (b *Batcher) Put(s cluster.Snapshot) error {
	d, err := cluster.NewDigest(s)
	if err != nil {
		return err
	}
	return b.PutDigest(d)
}

// PutDigest takes a host's snapshot as its agent wrote it; the bytes go to the
// log as they are.
func (b *Batcher) PutDigest(d cluster.Digest) error {
	host := d.Snapshot().Host
	b.mu.Lock()
	defer b.mu.Unlock()
	old, waiting := b.pending[host]
	if waiting {
		var err error
		if d, err = replace(old, d); err != nil {
			return err
		}
	} else {
		b.order = append(b.order, host)
	}
	b.pending[host] = d
	if due := time.Now().Add(patience(d.Snapshot())); len(b.order) == 1 && !waiting || due.Before(b.due) {
		b.due = due
	}
	return nil
}

// patience is how long a snapshot may wait for others: not at all if its host
// suffers or its VMs have changed, else three fifths of the beat that it promises,
// so that its agent hears what was committed, within a second, before the next.
func patience(s cluster.Snapshot) time.Duration {
	if s.Inventory != nil || s.Load.NextIn <= time.Second {
		return 0
	}
	return s.Load.NextIn * 3 / 5
}

// replace is supersede for digests. One is written anew only if it takes over
// an inventory.
func replace(old, d cluster.Digest) (cluster.Digest, error) {
	before, after := old.Snapshot(), d.Snapshot()
	out := supersede(before, after)
	switch {
	case out.Sequence == before.Sequence && out.Incarnation == before.Incarnation:
		return old, nil
	case out.Inventory == after.Inventory:
		return d, nil
	}
	return cluster.NewDigest(out)
}

// supersede replaces a snapshot that nobody has taken yet by a newer one of
// the same host. The inventory that the old one carried must not be lost with
// it, if the new figures still refer to that and stand alone.
func supersede(old, snap cluster.Snapshot) cluster.Snapshot {
	if snap.Incarnation < old.Incarnation || snap.Incarnation == old.Incarnation && snap.Sequence <= old.Sequence {
		return old
	}
	same := snap.Incarnation == old.Incarnation && old.Inventory != nil && snap.Load.Inventory == old.Inventory.Revision
	if same && snap.Inventory == nil && snap.Base == 0 {
		snap.Inventory = old.Inventory
	}
	return snap
}

// Run commits what is pending and due, every tick, until ctx ends.
func (b *Batcher) Run(ctx context.Context) {
	tick := time.NewTicker(b.tick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if b.ready() {
				b.flush(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// ready says whether what is pending goes now.
func (b *Batcher) ready() bool {
	state, _ := b.node.State()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.order) > 0 && (!time.Now().Before(b.due) || b.urgent(state))
}

// flush commits what was pending when it began, in as many entries as its
// size asks for, one after the other.
func (b *Batcher) flush(ctx context.Context) {
	b.mu.Lock()
	left := len(b.order)
	b.mu.Unlock()
	for left > 0 && ctx.Err() == nil {
		batch := b.take(left)
		left -= len(batch)
		_, err := b.node.Propose(ctx, cluster.Command{Body: cluster.Digests{Batch: batch}})
		if err != nil && ctx.Err() == nil {
			// Newer snapshots are on their way: these are not worth another try.
			b.log.Warn("load snapshots were not committed", "hosts", len(batch), "err", err)
			if !errors.Is(err, consensus.ErrInvalid) {
				return
			}
		}
	}
}

// take removes the longest waiting snapshots that fit into one entry, at most
// n and at least one.
func (b *Batcher) take(n int) []cluster.Digest {
	limit := batchBytes
	if state, _ := b.node.State(); b.urgent(state) {
		limit = batchBytesLive
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []cluster.Digest
	bytes := 0
	for _, host := range b.order[:min(n, len(b.order))] {
		d := b.pending[host]
		size := len(d.Bytes()) + lengthBytes
		if len(batch) > 0 && entryBytes+bytes+size > limit {
			break
		}
		bytes += size
		batch = append(batch, d)
		delete(b.pending, host)
	}
	b.order = append([]string(nil), b.order[len(batch):]...)
	b.due = time.Now() // of what is left over, or came meanwhile
	return batch
}

// urgent: a move is live whose ends wait for entries.
func (b *Batcher) urgent(state cluster.State) bool {
	for m := range state.Live() {
		if m.State != cluster.MoveUnknown {
			return true
		}
	}
	return false
}
