package consensus

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// gate is a transport that a member shuts while its disk does not answer, and
// for good once it hears that it was removed. The
// library's leader goes on sending heartbeats from goroutines of their own
// while its main loop hangs in an append, so nobody would be elected in its
// place (seen: no election in 25 s of a frozen disk). A shut member is silent,
// as if it had lost its power.
type gate struct {
	transport
	reason atomic.Pointer[error] // why it is shut, nil while it is open
}

// errGate is what the library sees of a shut gate.
var errGate = errors.New("this member is cut off by itself")

func (g *gate) shut(why error) { g.reason.Store(&why) }

func (g *gate) open() { g.reason.Store(nil) }

// why returns the reason for which the gate is shut, or nil.
func (g *gate) why() error {
	if err := g.reason.Load(); err != nil {
		return fmt.Errorf("%w: %w", errGate, *err)
	}
	return nil
}

// AppendEntries implements raft.Transport. Heartbeats come this way.
func (g *gate) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := g.why(); err != nil {
		return err
	}
	return g.transport.AppendEntries(id, target, args, resp)
}

// AppendEntriesPipeline implements raft.Transport.
func (g *gate) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	if err := g.why(); err != nil {
		return nil, err
	}
	p, err := g.transport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return gatedPipeline{p, g}, nil
}

// RequestVote implements raft.Transport.
func (g *gate) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := g.why(); err != nil {
		return err
	}
	return g.transport.RequestVote(id, target, args, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (g *gate) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := g.why(); err != nil {
		return err
	}
	return g.transport.RequestPreVote(id, target, args, resp)
}

// InstallSnapshot implements raft.Transport.
func (g *gate) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := g.why(); err != nil {
		return err
	}
	return g.transport.InstallSnapshot(id, target, args, resp, data)
}

// TimeoutNow implements raft.Transport.
func (g *gate) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	if err := g.why(); err != nil {
		return err
	}
	return g.transport.TimeoutNow(id, target, args, resp)
}

type gatedPipeline struct {
	raft.AppendPipeline
	gate *gate
}

// AppendEntries implements raft.AppendPipeline.
func (p gatedPipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if err := p.gate.why(); err != nil {
		return nil, err
	}
	return p.AppendPipeline.AppendEntries(args, resp)
}

// The watch over the disk. An idle leader that looks every 1.5 s, 1.5 s to notice
// and the handing over make the promised 5 s with room; a probe of an idle disk
// costs 8 KiB with the file system's own.
const (
	diskLook  = 100 * time.Millisecond  // how often it is looked at
	diskIdle  = 1500 * time.Millisecond // without an append for so long, a leader probes
	diskStall = 1500 * time.Millisecond // an operation that takes longer shuts the gate
)

// followDisk shuts the gate while the member is unfit, opens it when it is fit
// again, and watches how far the others are behind.
func (n *Node) followDisk() {
	for {
		select {
		case <-time.After(diskLook):
		case <-n.ctx.Done():
			return
		}
		n.lag.look(n.raft.LastIndex(), n.raft.CommitIndex())
		why := n.unfit()
		switch shut := n.gate.why() != nil; {
		case !shut && why != nil:
			n.gate.shut(why)
			n.callElection()
			n.log.Error("this member cuts itself off, so that the others can elect a leader", "why", why)
			n.tellGate()
		case shut && why == nil && n.disk.stall() == 0:
			n.gate.open()
			n.log.Info("the disk answers again: this member takes part again")
			n.tellGate()
		}
		if n.disk.idle() > diskIdle && (n.gate.why() != nil || n.raft.State() == raft.Leader) {
			n.probeDisk()
		}
	}
}

// probeDisk asks something of a disk of which nobody else asks anything. There
// is one probe at a time; a frozen disk holds it until it thaws.
func (n *Node) probeDisk() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.disk.write == nil || !n.probing.CompareAndSwap(false, true) {
		return
	}
	n.calls.Go(func() {
		defer n.probing.Store(false)
		n.disk.probe()
	})
}

// callElection has another voter stand for election at once: it would miss the
// heartbeats of a leader that has just shut itself off only seconds later. The
// library's own transfer of leadership needs its main loop, which hangs. A
// voter that is behind loses the election, and the timers do the rest.
func (n *Node) callElection() {
	if n.raft.State() != raft.Leader {
		return
	}
	others := slices.DeleteFunc(n.voters(), func(v Voter) bool { return v.Member == n.cfg.Member })
	if len(others) == 0 {
		return
	}
	next := others[rand.IntN(len(others))]
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.calls.Go(func() {
		self := n.gate.transport
		req := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
			ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.cfg.Member), Addr: self.EncodePeer(raft.ServerID(n.cfg.Member), raft.ServerAddress(n.cfg.Address)),
		}}
		err := self.TimeoutNow(raft.ServerID(next.Member), raft.ServerAddress(next.Address), req, new(raft.TimeoutNowResponse))
		if err != nil {
			n.log.Warn("the next leader could not be asked to stand for election", "member", next.Member, "err", err)
		}
	})
}

// tellGate wakes followLeadership, which alone speaks about leadership.
func (n *Node) tellGate() {
	select {
	case n.gateMoved <- struct{}{}:
	default:
	}
}

// passGate takes back a leadership that a shut gate makes worthless, and
// resumes it if nobody else was elected meanwhile.
func (n *Node) passGate() {
	if n.gate.why() != nil {
		n.stepDown()
		return
	}
	if n.raft.State() == raft.Leader {
		n.takeOver()
	}
}
