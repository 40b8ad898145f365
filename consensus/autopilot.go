package consensus

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What autopilot judges servers by.
const (
	contactLimit   = 5 * time.Second // a server that heard nothing of the leader for longer is unhealthy
	trailingLimit  = trailingLogs    // and one whose log is further behind: the next step would be a snapshot
	minVoters      = 3               // dead voters are not removed below it
	pilotUpdate    = 2 * time.Second // between looks at the servers' health
	pilotReconcile = 5 * time.Second // between promotions and demotions
)

// pilot looks after the Raft group during one reign. Autopilot sees configured
// servers only; recruit gives seats to others and takes them back.
type pilot struct {
	n     *Node
	began time.Time

	mu    sync.Mutex
	seen  map[string]sight     // seated members by what they last said
	mute  map[string]time.Time // members without a seat that did not answer when they were asked
	state *autopilot.State
}

// sight is what a member said when it was last asked.
type sight struct {
	at     time.Time // of its last answer; of the reign's begin if there was none
	info   PeerInfo
	newest uint64 // entry of the leader's log when it answered
	ok     bool   // the last question was answered
}

// contact is how long the member has been without the leader.
func (s sight) contact() time.Duration {
	contact := time.Since(s.at)
	if s.ok {
		contact = max(s.info.Contact, contact)
	}
	return contact
}

// followReign runs a pilot while this member leads.
func (n *Node) followReign() {
	for {
		changed := n.Changed()
		term, leads := n.Leading()
		if leads {
			n.reign(term)
			continue
		}
		select {
		case <-changed:
		case <-n.ctx.Done():
			return
		}
	}
}

// reign looks after the group until the term of this leader is over.
func (n *Node) reign(term uint64) {
	ctx, end := context.WithCancel(n.ctx)
	defer end()
	p := &pilot{n: n, began: time.Now(), seen: make(map[string]sight), mute: make(map[string]time.Time)}
	n.pilot.Store(p)
	defer n.pilot.Store(nil)
	a := autopilot.New(pilotRaft{n}, p,
		autopilot.WithPromoter(promoter{p.seating}), autopilot.WithLogger(raftLogger(n.log)),
		autopilot.WithUpdateInterval(pilotUpdate), autopilot.WithReconcileInterval(pilotReconcile))
	a.Start(ctx)
	defer func() { end(); <-a.Stop() }()
	tick := time.NewTicker(n.cfg.Timing.Ask)
	defer tick.Stop()
	for {
		changed := n.Changed()
		if now, leads := n.Leading(); !leads || now != term {
			return
		}
		select {
		case <-tick.C:
			if err := p.recruit(ctx); err != nil && ctx.Err() == nil {
				n.log.Info("the Raft group stays as it is", "why", err)
			}
		case <-changed:
		case <-n.ctx.Done():
			return
		}
	}
}

// AutopilotConfig implements autopilot.ApplicationIntegration.
func (p *pilot) AutopilotConfig() *autopilot.Config {
	return &autopilot.Config{
		CleanupDeadServers: true, LastContactThreshold: contactLimit, MaxTrailingLogs: trailingLimit,
		MinQuorum: minVoters, ServerStabilizationTime: p.n.cfg.Timing.Stable,
	}
}

// NotifyState implements autopilot.ApplicationIntegration.
func (p *pilot) NotifyState(s *autopilot.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
}

// KnownServers implements autopilot.ApplicationIntegration: all that have a
// seat. Who was removed by an operator is taken out by recruit; autopilot would
// keep a removed voter where it is one of three.
func (p *pilot) KnownServers() map[raft.ServerID]*autopilot.Server {
	state, _ := p.n.State()
	servers := p.n.seats()
	out := make(map[raft.ServerID]*autopilot.Server, len(servers))
	for _, s := range servers {
		status := autopilot.NodeAlive
		if p.lost(s.Member) {
			status = autopilot.NodeFailed
		}
		out[raft.ServerID(s.Member)] = &autopilot.Server{
			ID: raft.ServerID(s.Member), Name: state.HostName(s.Member), Address: raft.ServerAddress(s.Address),
			NodeStatus: status, RaftVersion: int(raft.ProtocolVersionMax), IsLeader: s.Member == p.n.cfg.Member, NodeType: nodeType(s.votes),
		}
	}
	return out
}

// FetchServerStats implements autopilot.ApplicationIntegration: it asks each
// server. One that does not answer is given the time since it last did, or
// autopilot would go on believing its last figures.
func (p *pilot) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	out := make(map[raft.ServerID]*autopilot.ServerStats, len(servers))
	var mu sync.Mutex
	var all sync.WaitGroup
	for id, server := range servers {
		all.Go(func() {
			s := p.look(ctx, string(id), string(server.Address))
			mu.Lock()
			defer mu.Unlock()
			out[id] = &autopilot.ServerStats{LastContact: s.contact(), LastTerm: s.info.LastTerm, LastIndex: s.info.LastIndex}
		})
	}
	all.Wait()
	return out
}

// look asks a seated member, and keeps what it said.
func (p *pilot) look(ctx context.Context, member, addr string) sight {
	info, err := p.ask(ctx, member, addr)
	if err == nil {
		return p.heard(member, info)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.seen[member]
	if !known {
		s.at = p.began
	}
	s.ok = false
	p.seen[member] = s
	return s
}

// heard keeps what a member said just now.
func (p *pilot) heard(member string, info PeerInfo) sight {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[member] = sight{at: time.Now(), info: info, newest: p.n.raft.LastIndex(), ok: true}
	return p.seen[member]
}

// followers are the other members that have a seat, as far as they were asked.
func (p *pilot) followers() (out []Follower) {
	servers := p.n.seats()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range servers {
		seen, asked := p.seen[s.Member]
		if s.Member == p.n.cfg.Member || !asked {
			continue
		}
		f := Follower{Member: s.Member, Contact: seen.contact()}
		if last := seen.info.LastIndex; last < seen.newest {
			f.Behind = seen.newest - last
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Follower) int { return cmp.Compare(a.Member, b.Member) })
	return out
}

// RemoveFailedServer implements autopilot.ApplicationIntegration.
func (p *pilot) RemoveFailedServer(s *autopilot.Server) {
	p.n.log.Warn("a dead member loses its seat in the Raft group", "member", s.Name, "silent_for", p.n.cfg.Timing.Dead)
	if err := p.n.unseat(p.n.ctx, string(s.ID)); err != nil {
		p.n.log.Warn("a dead member keeps its seat", "member", s.Name, "err", err)
	}
}

// lost says whether a seated member has not answered for so long that its seat
// is given to another.
func (p *pilot) lost(member string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.seen[member]
	if !known {
		s.at = p.began
	}
	return member != p.n.cfg.Member && !s.ok && time.Since(s.at) > p.n.cfg.Timing.Dead
}

// seating is who shall be in the group, by the State and by who answers.
func (p *pilot) seating() seating {
	state, _ := p.n.State()
	all := p.candidates(state)
	return electorate(all, min(state.Settings.Seats(len(all)), MaxVoters))
}

// candidates are all members of the State, and those that have a seat: founders
// have not announced themselves yet. Neither was removed; who was lost in a
// recovery stands in the State until its host joins anew.
func (p *pilot) candidates(state cluster.State) (all []candidate) {
	servers := p.n.seats()
	for id, m := range state.Members() {
		if expelled(state, id) {
			continue
		}
		c := candidate{member: id, address: m.Address, zone: m.Zone, witness: m.Role == cluster.RoleWitness, leads: id == p.n.cfg.Member}
		if s, seated := servers.of(id); seated {
			c.seated, c.votes, c.lost = true, s.votes, p.lost(id)
		} else {
			c.lost = m.Address == "" || p.silent(id)
		}
		all = append(all, c)
	}
	for _, s := range servers {
		if _, known := state.Member(s.Member); !known && !expelled(state, s.Member) {
			all = append(all, candidate{member: s.Member, address: s.Address, leads: s.Member == p.n.cfg.Member, seated: true, votes: s.votes, lost: p.lost(s.Member)})
		}
	}
	return all
}

// silent says whether a member without a seat did not answer lately.
func (p *pilot) silent(member string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.mute[member]
	return ok && time.Since(at) < p.n.cfg.Timing.Dead
}
