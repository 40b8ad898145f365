package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// MaxVoters bounds the Raft group at any size of the fleet: more voters cost
// disk and latency and make no cluster safer. Every other agent is a client of
// the leader's stream.
const MaxVoters = 5

// Config is what a Node needs.
type Config struct {
	Member  string       // this member's UUID: its identity, never its name
	Cluster string       // UUID of the cluster
	Role    cluster.Role // told to peers
	Address string       // host:port under which the other members reach this one
	Dir     string       // data directory, this member's alone

	// Network reaches the other members; Close closes its Raft side.
	Network Network
	// Peers are the addresses at which members are looked for. The first
	// BootstrapExpect of them found a new cluster, so every member's list begins
	// alike, in the same order, itself included.
	Peers []string
	// BootstrapExpect is how many members found a new cluster together; 0 never
	// founds one and waits to be admitted.
	BootstrapExpect int

	Logger *slog.Logger
	// Publish is called for every entry that this replica applies, in order, on
	// the goroutine that applies: it must not block. The journal hangs here.
	Publish func(Applied)
	// Clock stamps commands when this member leads; nil means time.Now.
	Clock func() time.Time
	// Timing is for tests; its zero value means the defaults.
	Timing Timing
}

// Network is how a Node reaches the other members; consensus/rpc has one.
type Network interface {
	// Accept yields streams of members that want to speak Raft and may; Close
	// ends them all; Addr is the address under which others dial this member.
	net.Listener
	// DialRaft opens a stream to a member at an address; another member that
	// answers there is an error.
	DialRaft(ctx context.Context, addr, member string) (net.Conn, error)
	// Peer asks the member at an address who it is and what it knows.
	Peer(ctx context.Context, addr string) (PeerInfo, error)
	// Join tells the leader at an address that this member, which has a seat, is
	// to be found at its Address now.
	Join(ctx context.Context, addr string) error
}

// PeerInfo is what a member tells another one, before they share a log.
type PeerInfo struct {
	Member  string       `json:"member"`
	Cluster string       `json:"cluster"`
	Role    cluster.Role `json:"role"`
	Address string       `json:"address"`
	// Formed says that the member has Raft state: there is a cluster already.
	Formed bool `json:"formed"`
	// Founders are the addresses whose members found a new cluster, by the
	// member's own configuration.
	Founders      []string `json:"founders"`
	Leader        string   `json:"leader,omitempty"` // member UUID, "" if none is known
	LeaderAddress string   `json:"leader_address,omitempty"`
	Voters        []Voter  `json:"voters,omitempty"` // of the member's newest configuration
	Nonvoters     []Voter  `json:"nonvoters,omitempty"`
	Incarnation   uint64   `json:"incarnation,omitempty"`
	LastIndex     uint64   `json:"last_index,omitempty"` // of its log
	LastTerm      uint64   `json:"last_term,omitempty"`
	// Contact is how long it has not heard of the leader.
	Contact time.Duration `json:"contact,omitempty"`
	// Admits says that it takes Raft streams of the member that asks.
	Admits bool `json:"admits,omitempty"`
	// Disk is the member's data directory, Known the one by which the member's
	// State knows the member that asks ("" if it knows none).
	Disk  string `json:"disk,omitempty"`
	Known string `json:"known,omitempty"`
}

// Voter is a member of the Raft group.
type Voter struct {
	Member  string `json:"member"`
	Address string `json:"address"`
}

// Applied is one entry after it was applied.
type Applied struct {
	Meta    cluster.Meta
	Before  cluster.Meta // of the State before the entry: not what was published last after a snapshot was restored
	Data    []byte       // as it stands in the log; not to be changed
	Command cluster.Command
	Prior   cluster.State    // before the entry
	State   cluster.State    // after it
	Refusal *cluster.Refusal // nil if the command was taken
}

// Timing are the durations of the protocol.
type Timing struct {
	Heartbeat time.Duration // heartbeat and election timeout; default 1 s
	Lease     time.Duration // a leader without contact to a majority gives up after it; default 0.5 s
	Propose   time.Duration // bound of a proposal whose context has no nearer deadline; default 10 s
	Ask       time.Duration // between rounds of asking peers; default 1 s
	HandOver  time.Duration // bound of handing leadership over at Close; default 3 s
	Stable    time.Duration // a server is well for so long before it votes; default 10 s
	Dead      time.Duration // a server that is silent for so long loses its seat to another; default 60 s
}

func (t Timing) withDefaults() Timing {
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{
		{&t.Heartbeat, time.Second},
		{&t.Lease, 500 * time.Millisecond},
		{&t.Propose, 10 * time.Second},
		{&t.Ask, time.Second},
		{&t.HandOver, 3 * time.Second},
		{&t.Stable, 10 * time.Second},
		{&t.Dead, time.Minute},
	} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return t
}

// check finds what would only fail later, and names the key of agent.yaml.
func (c *Config) check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Member == "" || c.Cluster == "" || c.Address == "" {
		add("member id %q, cluster id %q and address %q must all be set", c.Member, c.Cluster, c.Address)
	}
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		add("address %q: %w", c.Address, err)
	}
	if c.BootstrapExpect < 0 || c.BootstrapExpect > MaxVoters {
		add("cluster.bootstrapExpect is %d, must lie between 0 and %d", c.BootstrapExpect, MaxVoters)
	}
	if c.BootstrapExpect > len(c.Peers) {
		add("cluster.bootstrapExpect is %d, but cluster.peers names %d members; list all founders, this one included", c.BootstrapExpect, len(c.Peers))
	}
	for i, p := range c.Peers {
		if _, _, err := net.SplitHostPort(p); err != nil {
			add("cluster.peers[%d] %q: %w; write host:port", i, p, err)
		}
		if slices.Index(c.Peers, p) < i {
			add("cluster.peers[%d] %q is listed twice", i, p)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("consensus configuration: %w", err)
	}
	return nil
}

func (c *Config) founders() []string {
	return c.Peers[:min(c.BootstrapExpect, len(c.Peers))]
}
