package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// recruit is one round of seats given and taken back; a round changes one
// thing. Autopilot then promotes and demotes among those that are seated.
func (p *pilot) recruit(ctx context.Context) error {
	state, _ := p.n.State()
	servers := p.n.seats()
	for _, s := range servers {
		if expelled(state, s.Member) {
			return p.evict(ctx, s, servers)
		}
	}
	want := p.seating()
	for _, s := range servers {
		if !s.votes && !slices.Contains(want.members, s.Member) {
			return p.n.unseat(ctx, s.Member)
		}
	}
	p.welcome(servers)
	if len(servers) >= MaxVoters {
		return nil // a seat must become free first
	}
	for _, member := range want.members {
		if _, seated := servers.of(member); !seated && !p.silent(member) {
			m, _ := state.Member(member)
			return p.seat(ctx, member, m.Address)
		}
	}
	return nil
}

// evict takes a removed member out of the configuration. A leader hands its
// leadership over first: the next one does it.
func (p *pilot) evict(ctx context.Context, s seat, servers seats) error {
	if s.Member != p.n.cfg.Member {
		return p.n.unseat(ctx, s.Member)
	}
	if len(servers.voters()) == 1 {
		return errors.New("this member was removed, but is the only voter: nobody can take over")
	}
	return p.n.TransferLeadership(ctx)
}

// welcome sends tickets to those that have a seat and do not take this
// leader's streams: they were started anew before they had a log.
func (p *pilot) welcome(servers seats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range servers {
		if seen := p.seen[s.Member]; seen.ok {
			p.n.group.invite(s.Member, !seen.info.Admits)
		}
	}
}

// seat invites a member, and adds it as a nonvoter once it takes this leader's
// streams: before that it could not be reached.
func (p *pilot) seat(ctx context.Context, member, addr string) error {
	info, err := p.ask(ctx, member, addr)
	if err != nil {
		p.mu.Lock()
		p.mute[member] = time.Now()
		p.mu.Unlock()
		return fmt.Errorf("member %s does not answer at %s: %w", member, addr, err)
	}
	if !info.Admits {
		p.n.group.invite(member, true)
		return nil
	}
	p.n.group.admitting.Lock()
	defer p.n.group.admitting.Unlock()
	servers := p.n.seats()
	if taken, ok := servers.at(addr); ok && taken.Member != member {
		return fmt.Errorf("member %s: %s is the address of member %s", member, addr, taken.Member)
	}
	if _, ok := servers.of(member); ok || len(servers) >= MaxVoters {
		return nil
	}
	p.n.log.Info("a member gets a seat in the Raft group", "member", member, "address", addr)
	p.heard(member, info) // or it would count as silent since the reign began, and lose the seat at once
	return p.n.reconfigure(ctx, func(wait time.Duration) raft.IndexFuture {
		return p.n.raft.AddNonvoter(raft.ServerID(member), raft.ServerAddress(addr), 0, wait)
	})
}

// ask asks a member at an address, and believes only that member.
func (p *pilot) ask(ctx context.Context, member, addr string) (PeerInfo, error) {
	if member == p.n.cfg.Member {
		info := p.n.PeerInfo()
		info.Admits = true
		return info, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := p.n.cfg.Network.Peer(ctx, addr)
	if err == nil && (info.Member != member || info.Cluster != p.n.cfg.Cluster) {
		err = fmt.Errorf("member %.40s of cluster %.40s answers", info.Member, info.Cluster)
	}
	if known := p.n.DiskOf(member); err == nil && !sameDisk(known, info.Disk) {
		err = fmt.Errorf("%w: it has the data directory %.40s, the cluster knows it by %s", errForgot, info.Disk, known)
	}
	return info, err
}

// unseat takes a member's seat, unless it is the last voter's.
func (n *Node) unseat(ctx context.Context, member string) error {
	n.group.admitting.Lock()
	defer n.group.admitting.Unlock()
	servers := n.seats()
	s, ok := servers.of(member)
	if !ok {
		return nil
	}
	if s.votes && len(servers.voters()) == 1 {
		return errors.New("the last voter keeps its seat")
	}
	n.group.invite(member, false)
	n.log.Info("a member leaves the Raft group", "member", member, "voted", s.votes)
	return n.reconfigure(ctx, func(wait time.Duration) raft.IndexFuture {
		return n.raft.RemoveServer(raft.ServerID(member), 0, wait)
	})
}

// reconfigure makes one change of the configuration, within the time of a
// proposal. Hold group.admitting.
func (n *Node) reconfigure(ctx context.Context, change func(wait time.Duration) raft.IndexFuture) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Propose)
	defer cancel()
	err := n.call(ctx, func() error { return change(n.cfg.Timing.Propose).Error() })
	if errors.Is(err, context.DeadlineExceeded) {
		n.nudge()
	}
	if err != nil {
		return n.explain(err)
	}
	return nil
}

// nudge adds an entry to the log. Raft sends a new configuration before it
// counts by it, so a new voter's acknowledgement of that very entry can come
// too early to be counted. The next one makes up for it, and until then no other
// change can be made; in a log that nobody else writes to there is no next one.
func (n *Node) nudge() {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timing.Propose)
	defer cancel()
	if err := n.call(ctx, func() error { return n.raft.Barrier(n.cfg.Timing.Propose).Error() }); err != nil {
		n.log.Info("a change of the Raft group waits for a majority", "err", err)
	}
}
