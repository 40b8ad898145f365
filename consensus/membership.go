package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// group is what a member knows about the Raft group beside its configuration.
type group struct {
	mu      sync.Mutex
	waiting string
	// attested are members that may speak Raft to this one although its own
	// configuration does not name them: it has none yet, or was away while it
	// changed. Peers named them over mutual TLS.
	attested map[string]bool
	ticket   *Ticket         // the newest that this member was given
	invited  map[string]bool // by this member, while it leads
	met      []string        // voters' addresses, as they were written down
	expelled bool            // fellow voters say that this member was removed

	admitting sync.Mutex // one change of the configuration at a time
}

func (g *group) waitsFor() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

type answer struct {
	info PeerInfo
	err  error
}

const askTimeout = 2 * time.Second

// PeerInfo is what this member tells others about itself.
func (n *Node) PeerInfo() PeerInfo {
	leader, addr, _ := n.Leader()
	servers := n.seats()
	info := PeerInfo{
		Member: n.cfg.Member, Cluster: n.cfg.Cluster, Role: n.cfg.Role, Address: n.cfg.Address,
		Formed: n.formed() || n.group.held() != nil, Founders: n.cfg.founders(), Leader: leader, LeaderAddress: addr,
		Voters: servers.voters(), Nonvoters: servers.nonvoters(), Incarnation: n.begin.Incarnation, Disk: n.begin.Disk, LastIndex: n.raft.LastIndex(), LastTerm: n.lastTerm(),
	}
	if n.raft.State() != raft.Leader {
		last := n.raft.LastContact()
		if last.IsZero() {
			last = n.began
		}
		info.Contact = time.Since(last)
	}
	return info
}

// lastTerm is the term of the newest entry in this member's log.
func (n *Node) lastTerm() uint64 {
	term, _ := strconv.ParseUint(n.raft.Stats()["last_log_term"], 10, 64)
	return term
}

// MaySpeakRaft says whether a member's streams are taken: the present
// configuration names both, a ticket that invites this member names it (and no
// leader of its own governs it), or a peer has attested it. Who has no seat any
// more takes nobody's streams, and neither does who has lost its memory.
func (n *Node) MaySpeakRaft(member string) bool {
	if n.forgot() {
		return false
	}
	servers := n.seats()
	if _, ok := servers.of(member); ok && n.named() {
		return true
	}
	governed := n.governed()
	n.group.mu.Lock()
	defer n.group.mu.Unlock()
	if t := n.group.ticket; t != nil && t.Invited && !governed && slices.ContainsFunc(t.Voters, func(v Voter) bool { return v.Member == member }) {
		return true
	}
	return n.group.attested[member]
}

// formed says whether this member has Raft state.
func (n *Node) formed() bool { return n.raft.LastIndex() > 0 || n.raft.CurrentTerm() > 0 }

// A member with a seat asks its fellows in its first rounds, and in every so
// many from then on, whether they still count it as one: a cluster that was
// recovered without it has no other way to tell. At its start it asks before
// anybody could be elected by its vote.
const (
	askedAtFirst = 3
	askedEvery   = 10
)

// followMembership looks every so often whether this member has its place in
// a cluster, and asks its peers while it has not.
func (n *Node) followMembership() {
	silent := 0 // rounds without a leader
	for round := 0; ; round++ {
		if _, _, ok := n.Leader(); ok {
			silent = 0
		} else {
			silent++
		}
		n.remember()
		if n.removed() {
			n.wait(errRemoved)
		} else if n.forgot() {
			n.wait(errForgot)
		} else if why := n.misplaced(); why != nil {
			n.wait(n.seekPlace(why))
		} else {
			n.wait(nil)
			switch {
			case silent > 3 && n.named():
				answers := n.ask(n.lookup())
				n.attest(answers)
				n.heed(answers)
			case round < askedAtFirst || round%askedEvery == 0:
				n.heed(n.ask(n.fellows()))
			}
		}
		select {
		case <-time.After(n.cfg.Timing.Ask):
		case <-n.ctx.Done():
			return
		}
	}
}

var (
	errEmpty   = errors.New("no cluster yet")
	errAbsent  = errors.New("the cluster's configuration does not name this member")
	errRemoved = errors.New("this member was removed from the cluster and nobody speaks to it; to come back the host joins anew (`evenkeel cluster add NAME --replace`) with an empty state directory and without its old certificate")
	errMoved   = errors.New("the cluster's configuration names another address")
)

// misplaced says why this member has to ask its peers, or nil. One without a
// seat that was told who leads has its place: on the leader's stream.
func (n *Node) misplaced() error {
	servers := n.seats()
	self, named := servers.of(n.cfg.Member)
	switch {
	case named && !n.named():
		return nil
	case named && self.Address == n.cfg.Address:
		return nil
	case named:
		return fmt.Errorf("%w: %s", errMoved, self.Address)
	case n.group.held() != nil:
		return nil
	case !n.formed() || len(servers) == 0:
		return errEmpty
	}
	return errAbsent
}

// seekPlace is one round of "join first, then bootstrap".
func (n *Node) seekPlace(why error) error {
	if _, leads := n.Leading(); leads { // alone in the group, at a new address
		return n.admit(n.ctx, n.cfg.Member, n.cfg.Address)
	}
	answers := n.ask(n.lookup())
	if n.recall(answers); n.forgot() {
		return errForgot
	}
	n.attest(answers)
	if peer, ok := informed(n.lookup(), answers); ok {
		return n.join(peer, why)
	}
	if !errors.Is(why, errEmpty) || n.formed() {
		return fmt.Errorf("%w, and no peer knows a leader", why)
	}
	voters, err := found(n.PeerInfo(), answers)
	if err != nil {
		return err
	}
	return n.bootstrap(voters)
}

// informed picks a peer that has a cluster, one that knows its leader if there
// is one.
func informed(peers []string, answers map[string]answer) (best PeerInfo, ok bool) {
	for _, addr := range peers {
		a := answers[addr]
		if a.err != nil || !a.info.Formed {
			continue
		}
		if !ok || best.Leader == "" {
			best, ok = a.info, true
		}
	}
	return best, ok
}

// join tells the leader that a peer knows of a new address. A member without
// a seat asks for none: it waits for the leader's stream.
func (n *Node) join(peer PeerInfo, why error) error {
	switch {
	case !errors.Is(why, errMoved) && peer.names(n.cfg.Member):
		return errors.New("a member of the cluster: waiting for its leader's log")
	case !errors.Is(why, errMoved):
		return errors.New("there is a cluster: waiting for its leader's stream")
	case peer.Leader == "" || peer.Leader == n.cfg.Member:
		return fmt.Errorf("%w; member %s has a cluster but knows no leader", why, peer.Address)
	}
	ctx, cancel := context.WithTimeout(n.ctx, 2*askTimeout)
	defer cancel()
	if err := n.cfg.Network.Join(ctx, peer.LeaderAddress); err != nil {
		return fmt.Errorf("%w; leader %s: %w", why, peer.LeaderAddress, err)
	}
	return nil
}

// names says whether a member has a seat, as far as the peer knows.
func (p PeerInfo) names(member string) bool {
	is := func(v Voter) bool { return v.Member == member }
	return slices.ContainsFunc(p.Voters, is) || slices.ContainsFunc(p.Nonvoters, is)
}

func (n *Node) bootstrap(voters []Voter) error {
	var c raft.Configuration
	for _, v := range voters {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(v.Member), Address: raft.ServerAddress(v.Address)})
	}
	err := n.call(n.ctx, func() error { return n.raft.BootstrapCluster(c).Error() })
	if errors.Is(err, raft.ErrCantBootstrap) {
		return nil // a founder that was quicker has sent us its vote request
	}
	if err == nil {
		n.log.Info("founded the cluster", "cluster", n.cfg.Cluster, "voters", voters)
	}
	return err
}

// lookup are the addresses at which members are looked for.
func (n *Node) lookup() []string {
	out := slices.Clone(n.cfg.Peers)
	for _, addr := range n.group.remembered() {
		if !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	return out
}

// fellows are the addresses of the other members of this one's Raft group, none
// if it has no seat itself.
func (n *Node) fellows() (out []string) {
	if !n.named() {
		return nil
	}
	for _, s := range n.seats() {
		if s.Member != n.cfg.Member {
			out = append(out, s.Address)
		}
	}
	return out
}

// ask asks several members at once. One that belongs to another cluster is an
// error like one that does not answer.
func (n *Node) ask(addrs []string) map[string]answer {
	ctx, cancel := context.WithTimeout(n.ctx, askTimeout)
	defer cancel()
	answers := make(map[string]answer)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, addr := range addrs {
		all.Go(func() {
			var a answer
			if addr == n.cfg.Address {
				a.info = n.PeerInfo()
			} else {
				a.info, a.err = n.cfg.Network.Peer(ctx, addr)
			}
			if a.err == nil && a.info.Cluster != n.cfg.Cluster {
				a.err = fmt.Errorf("it belongs to cluster %.40q, this member to %s: two clusters never merge", a.info.Cluster, n.cfg.Cluster)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[addr] = a
		})
	}
	all.Wait()
	return answers
}

// attest keeps which members the answering peers vouch for. A member that has
// a configuration believes only those that are in it. One that has none
// believes founders that have none either, and a cluster that names it, once
// all founders have answered: the silent one may know that it had a log.
func (n *Node) attest(answers map[string]answer) {
	servers := n.seats()
	vouched := make(map[string]bool)
	if len(servers) == 0 && !allAnswered(n.cfg.founders(), answers) {
		answers = nil
	}
	for _, a := range answers {
		_, known := servers.of(a.info.Member)
		if a.err != nil || len(servers) > 0 && !known || len(servers) == 0 && a.info.Formed && !a.info.names(n.cfg.Member) {
			continue
		}
		vouched[a.info.Member] = true
		for _, v := range a.info.Voters {
			vouched[v.Member] = true
		}
	}
	n.group.mu.Lock()
	defer n.group.mu.Unlock()
	n.group.attested = vouched
}

// wait notes what this member waits for, and says so once.
func (n *Node) wait(err error) {
	text := ""
	if err != nil && n.ctx.Err() == nil {
		text = err.Error()
	}
	n.group.mu.Lock()
	changed := n.group.waiting != text
	n.group.waiting = text
	n.group.mu.Unlock()
	if changed && text != "" {
		n.log.Warn("no part in the cluster yet", "why", text)
	} else if changed {
		n.log.Info("part of the cluster", "voters", n.voters())
	}
}
