package consensus

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testCluster = "c0000000-0000-4000-8000-000000000000"

func memberID(i int) string { return fmt.Sprintf("a0000000-0000-4000-8000-%012d", i) }

// world is a fleet on the in-memory transport, in synctest's virtual time.
type world struct {
	t      *testing.T
	expect int
	peers  []string

	mu     sync.Mutex
	hosts  []*host
	cut    map[[2]string]bool
	ledger ledger
}

// host is a member's disk, and its node while it runs.
type host struct {
	world   *world
	cluster string // "" for testCluster
	id      string
	addr    string
	made    string // UUID of its data directory
	store   *raft.InmemStore
	disk    *memoryDisk
	snaps   *raft.InmemSnapshotStore
	trans   *raft.InmemTransport
	node    *Node
	clock   func() time.Time
	detach  func() // ends the stream to the leader
	asked   int    // who it is while it did not run
}

func newWorld(t *testing.T, n, expect int) *world {
	w := &world{t: t, expect: expect, cut: make(map[[2]string]bool), ledger: newLedger(t)}
	for range n {
		w.add()
	}
	return w
}

// add makes room for a member; all lists of peers that are used from now on
// name it.
func (w *world) add() *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := len(w.hosts)
	h := &host{world: w, id: memberID(i), addr: fmt.Sprintf("10.0.0.%d:7471", i)}
	h.wipe()
	w.hosts = append(w.hosts, h)
	w.peers = append(w.peers[:len(w.peers):len(w.peers)], h.addr)
	return h
}

func (w *world) startAll() {
	for _, h := range w.hosts {
		h.start()
	}
}

func (w *world) closeAll() {
	for _, h := range w.hosts {
		h.close()
	}
}

// wipe gives the host an empty disk.
func (h *host) wipe() {
	h.made, h.store, h.disk, h.snaps = uuid.NewString(), raft.NewInmemStore(), new(memoryDisk), raft.NewInmemSnapshotStore()
}

func (h *host) start() {
	h.world.t.Helper()
	_, trans := raft.NewInmemTransport(raft.ServerAddress(h.addr))
	n, err := start(Config{
		Member: h.id, Cluster: cmp.Or(h.cluster, testCluster), Role: cluster.RoleHypervisor, Address: h.addr, Network: fakeNetwork{h},
		Peers: h.world.peers, BootstrapExpect: h.world.expect, Logger: slog.New(slog.DiscardHandler), Clock: h.clock,
		Publish: func(a Applied) { h.world.ledger.applied(h.id, a) },
	}, &backend{logs: memoryLogs{h.store, h.disk}, stable: memoryStable{h.store, h.disk}, snaps: h.snaps, trans: politeTransport{trans, h.world}, close: func() error { return nil }}, Start{Incarnation: 1, Disk: h.made})
	if err != nil {
		h.world.t.Fatal(err)
	}
	h.world.mu.Lock()
	h.trans, h.node = trans, n
	h.detach = h.attach(n)
	h.world.mu.Unlock()
	h.world.wire()
}

// reaches are the nodes that run where this host can reach them.
func (h *host) reaches() (out []*Node) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	for _, o := range h.world.hosts {
		if o.node != nil && !h.world.cut[[2]string{h.addr, o.addr}] {
			out = append(out, o.node)
		}
	}
	return out
}

// attach stands for the stream that an agent keeps to the leader: it brings
// tickets.
func (h *host) attach(n *Node) (detach func()) {
	ctx, stop := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() {
		for ctx.Err() == nil {
			for _, leader := range h.reaches() {
				if leader.Revoked(h.id) || n.Revoked(leader.cfg.Member) {
					continue // one of the two does not speak to the other
				}
				if t, ok := leader.TicketFor(h.id); ok {
					if err := n.Take(t); err != nil && h.cluster == "" {
						h.world.t.Errorf("%s: %v", h.id, err)
					}
				}
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	})
	return func() { stop(); loop.Wait() }
}

// politeTransport reaches only nodes that take this one's streams, as the
// sockets of consensus/rpc do.
type politeTransport struct {
	*raft.InmemTransport
	w *world
}

func (p politeTransport) taken(by raft.ServerAddress) error {
	p.w.mu.Lock()
	var node *Node
	from := ""
	for _, h := range p.w.hosts {
		if h.addr == string(by) {
			node = h.node
		}
		if h.addr == string(p.LocalAddr()) {
			from = h.id
		}
	}
	p.w.mu.Unlock()
	if node == nil || !node.MaySpeakRaft(from) {
		return errUnreachable
	}
	return nil
}

func (p politeTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := p.taken(target); err != nil {
		return err
	}
	return p.InmemTransport.RequestVote(id, target, args, resp)
}

func (p politeTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := p.taken(target); err != nil {
		return err
	}
	return p.InmemTransport.RequestPreVote(id, target, args, resp)
}

func (p politeTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := p.taken(target); err != nil {
		return err
	}
	return p.InmemTransport.AppendEntries(id, target, args, resp)
}

func (p politeTransport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	if err := p.taken(target); err != nil {
		return nil, err
	}
	return p.InmemTransport.AppendEntriesPipeline(id, target)
}

func (p politeTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := p.taken(target); err != nil {
		return err
	}
	return p.InmemTransport.InstallSnapshot(id, target, args, resp, data)
}

// close stops the node in good order.
func (h *host) close() {
	h.world.mu.Lock()
	n := h.node
	h.node = nil
	h.world.mu.Unlock()
	if n == nil {
		return
	}
	h.detach()
	if err := n.Close(); err != nil {
		h.world.t.Errorf("close %s: %v", h.id, err)
	}
	h.world.wire()
}

// kill is a close of which nobody hears: the host is cut off first.
func (h *host) kill() {
	h.isolate(true)
	h.close()
	h.isolate(false)
}

func (h *host) isolate(yes bool) {
	h.world.mu.Lock()
	for _, o := range h.world.hosts {
		h.world.cut[[2]string{h.addr, o.addr}] = yes && o != h
		h.world.cut[[2]string{o.addr, h.addr}] = yes && o != h
	}
	h.world.mu.Unlock()
	h.world.wire()
}

// wire connects the transports as the cuts say.
func (w *world) wire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, from := range w.hosts {
		for _, to := range w.hosts {
			if from.trans == nil || from == to {
				continue
			}
			if to.node == nil || from.node == nil || w.cut[[2]string{from.addr, to.addr}] {
				from.trans.Disconnect(raft.ServerAddress(to.addr))
			} else {
				from.trans.Connect(raft.ServerAddress(to.addr), to.trans)
			}
		}
	}
}

func (w *world) running() []*host {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*host
	for _, h := range w.hosts {
		if h.node != nil {
			out = append(out, h)
		}
	}
	return out
}

// leader waits for a host that leads and can commit.
func (w *world) leader() *host {
	w.t.Helper()
	for range 600 {
		for _, h := range w.running() {
			if _, ok := h.node.Leading(); !ok {
				continue
			}
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
			_, err := h.node.ReadIndex(ctx)
			cancel()
			if err == nil {
				return h
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatal("no leader within a minute")
	return nil
}

// settle waits until all running replicas have applied all that is committed,
// and demands that their States are the same bytes.
func (w *world) settle() []byte {
	w.t.Helper()
	w.agree()
	time.Sleep(10 * time.Second)
	synctest.Wait()
	var want []byte
	for _, h := range w.running() {
		state, _ := h.node.State()
		var got bytes.Buffer
		if err := state.Encode(&got); err != nil {
			w.t.Fatal(err)
		}
		if want == nil {
			want = got.Bytes()
		} else if !bytes.Equal(want, got.Bytes()) {
			w.t.Fatalf("states differ:\n%s\n%s: %s", want, h.id, got.Bytes())
		}
	}
	return want
}

// agree waits for a leader and for everybody's consent to it.
func (w *world) agree() {
	w.t.Helper()
	l := w.leader()
	for range 600 {
		agreed := 0
		for _, h := range w.running() {
			if id, _, _ := h.node.Leader(); id == l.id {
				agreed++
			}
		}
		if agreed == len(w.running()) {
			return
		}
		time.Sleep(100 * time.Millisecond)
		l = w.leader()
	}
	w.t.Fatal("no common leader within a minute")
}

func (w *world) propose(c cluster.Command) (*host, uint64, error) {
	w.t.Helper()
	l := w.leader()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	index, err := l.node.Propose(ctx, c)
	return l, index, err
}

func (w *world) must(c cluster.Command) uint64 {
	w.t.Helper()
	_, index, err := w.propose(c)
	if err != nil {
		w.t.Fatalf("%s: %v", c.Kind(), err)
	}
	return index
}

// fakeNetwork carries the questions between members; Raft's own traffic goes
// over the in-memory transport.
type fakeNetwork struct{ h *host }

var errUnreachable = errors.New("unreachable")

func (n fakeNetwork) find(addr string) (*Node, error) {
	w := n.h.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.hosts {
		if o.addr == addr && o.node == nil {
			o.asked++
		}
		if o.addr == addr && o.node != nil && !w.cut[[2]string{n.h.addr, addr}] && (n.h.node == nil || !n.h.node.Revoked(o.id)) {
			return o.node, nil
		}
	}
	return nil, errUnreachable
}

func (n fakeNetwork) Peer(_ context.Context, addr string) (PeerInfo, error) {
	node, err := n.find(addr)
	if err != nil {
		return PeerInfo{}, err
	}
	if node.Revoked(n.h.id) {
		return PeerInfo{}, ErrRevoked
	}
	info := node.PeerInfo()
	info.Admits, info.Known = node.MaySpeakRaft(n.h.id), node.DiskOf(n.h.id)
	return info, nil
}

func (n fakeNetwork) Join(ctx context.Context, addr string) error {
	node, err := n.find(addr)
	if err != nil {
		return err
	}
	return node.Admit(ctx, n.h.id, n.h.addr)
}

func (n fakeNetwork) Accept() (net.Conn, error) { return nil, io.EOF }
func (n fakeNetwork) Close() error              { return nil }
func (n fakeNetwork) Addr() net.Addr            { return &net.TCPAddr{} }
func (n fakeNetwork) DialRaft(context.Context, string, string) (net.Conn, error) {
	return nil, errUnreachable
}

// ledger holds the laws over what all replicas applied and acknowledged.
type ledger struct {
	t *testing.T

	mu      *sync.Mutex
	entries map[uint64]string // index → what it is and did
	ids     map[uint64]string // index → command ID
	commits map[uint64]string // term → the member that acknowledged in it
	acks    int
}

func newLedger(t *testing.T) ledger {
	return ledger{t, new(sync.Mutex), make(map[uint64]string), make(map[uint64]string), make(map[uint64]string), 0}
}

// applied: every replica applies the same entry at an index, with the same
// result.
func (l *ledger) applied(member string, a Applied) {
	data, err := cluster.EncodeCommand(a.Command)
	if err != nil {
		l.t.Error(err)
	}
	line := fmt.Sprintf("term %d %s -> %v", a.Meta.Term, data, a.Refusal)
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, ok := l.entries[a.Meta.Index]; ok && was != line {
		l.t.Errorf("replica %s applied at index %d\n%s\nanother one\n%s", member, a.Meta.Index, line, was)
	}
	l.entries[a.Meta.Index] = line
	l.ids[a.Meta.Index] = a.Command.ID
}

// acknowledged: in a term only one member acknowledges, and what it
// acknowledged stands at that index.
func (l *ledger) acknowledged(member string, term, index uint64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks++
	if was, ok := l.commits[term]; ok && was != member {
		l.t.Errorf("members %s and %s both committed in term %d", was, member, term)
	}
	l.commits[term] = member
	if l.ids[index] != id {
		l.t.Errorf("%s acknowledged %s at index %d, where %s stands", member, id, index, l.ids[index])
	}
}

func (l *ledger) acknowledgements() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acks
}

// term is the term of the entry at an index.
func (l *ledger) term(index uint64) (term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Sscanf(l.entries[index], "term %d", &term)
	return term
}
