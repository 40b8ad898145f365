package consensus

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// transport is what both of the library's transports are.
type transport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// proof is a transport that notes which members acknowledged this leader, by
// an append or heartbeat that was sent after a given moment. The library's
// VerifyLeader also counts answers to heartbeats that were under way before it
// was called: a leader that was frozen, deposed and thawed finds such answers
// in its sockets, takes them for a majority, and would serve a stale read.
type proof struct {
	transport
	moment atomic.Uint64

	mu   sync.Mutex
	acks map[raft.ServerID]ack
}

type ack struct {
	sent uint64 // moment before the request was sent
	term uint64
}

func newProof(t transport) *proof { return &proof{transport: t, acks: make(map[raft.ServerID]ack)} }

// AppendEntries implements raft.Transport. Heartbeats come this way too.
func (p *proof) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	sent := p.now()
	err := p.transport.AppendEntries(id, target, args, resp)
	if err == nil && resp.Success && resp.Term == args.Term {
		p.mu.Lock()
		p.acks[id] = ack{sent, args.Term}
		p.mu.Unlock()
	}
	return err
}

// now is a moment later than all before.
func (p *proof) now() uint64 { return p.moment.Add(1) }

// majority says whether a majority, the leader included, acknowledged it in a
// term by requests that were sent after a moment.
func (p *proof) majority(self string, voters []Voter, term, after uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, v := range voters {
		a := p.acks[raft.ServerID(v.Member)]
		if v.Member == self || a.term == term && a.sent > after {
			n++
		}
	}
	return n > len(voters)/2
}
