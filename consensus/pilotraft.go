package consensus

import (
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"
)

// pilotRaft is Raft as autopilot sees it. Autopilot waits for its changes
// without a bound, which a frozen disk would turn into for ever; here each
// ends with the time of a proposal, and they are made one at a time with those
// of recruit.
type pilotRaft struct{ n *Node }

var _ autopilot.Raft = pilotRaft{}

// done is a change that was made, or was not.
type done struct{ err error }

func (d done) Error() error  { return d.err }
func (d done) Index() uint64 { return 0 }

func (r pilotRaft) change(f func(wait time.Duration) raft.IndexFuture) raft.IndexFuture {
	r.n.group.admitting.Lock()
	defer r.n.group.admitting.Unlock()
	return done{r.n.reconfigure(r.n.ctx, f)}
}

// AddNonvoter implements autopilot.Raft.
func (r pilotRaft) AddNonvoter(id raft.ServerID, addr raft.ServerAddress, prev uint64, _ time.Duration) raft.IndexFuture {
	return r.change(func(wait time.Duration) raft.IndexFuture { return r.n.raft.AddNonvoter(id, addr, prev, wait) })
}

// AddVoter implements autopilot.Raft. INVARIANT: there are never more than
// MaxVoters.
func (r pilotRaft) AddVoter(id raft.ServerID, addr raft.ServerAddress, prev uint64, _ time.Duration) raft.IndexFuture {
	return r.change(func(wait time.Duration) raft.IndexFuture {
		servers := r.n.seats()
		if s, ok := servers.of(string(id)); !ok || !s.votes && len(servers.voters()) >= MaxVoters {
			return done{ErrNotAdmitted}
		}
		return r.n.raft.AddVoter(id, addr, prev, wait)
	})
}

// DemoteVoter implements autopilot.Raft.
func (r pilotRaft) DemoteVoter(id raft.ServerID, prev uint64, _ time.Duration) raft.IndexFuture {
	return r.change(func(wait time.Duration) raft.IndexFuture { return r.n.raft.DemoteVoter(id, prev, wait) })
}

// RemoveServer implements autopilot.Raft.
func (r pilotRaft) RemoveServer(id raft.ServerID, prev uint64, _ time.Duration) raft.IndexFuture {
	return r.change(func(wait time.Duration) raft.IndexFuture { return r.n.raft.RemoveServer(id, prev, wait) })
}

// LeadershipTransferToServer implements autopilot.Raft.
func (r pilotRaft) LeadershipTransferToServer(id raft.ServerID, addr raft.ServerAddress) raft.Future {
	return done{r.n.transferTo(r.n.ctx, string(id), string(addr))}
}

// GetConfiguration implements autopilot.Raft.
func (r pilotRaft) GetConfiguration() raft.ConfigurationFuture { return r.n.raft.GetConfiguration() }

// LastIndex implements autopilot.Raft.
func (r pilotRaft) LastIndex() uint64 { return r.n.raft.LastIndex() }

// Leader implements autopilot.Raft.
func (r pilotRaft) Leader() raft.ServerAddress {
	addr, _ := r.n.raft.LeaderWithID()
	return addr
}

// State implements autopilot.Raft.
func (r pilotRaft) State() raft.RaftState { return r.n.raft.State() }

// Stats implements autopilot.Raft.
func (r pilotRaft) Stats() map[string]string { return r.n.raft.Stats() }
