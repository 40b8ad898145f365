package worlds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The fleet: four hypervisors, of which two vote, and a witness, the third
// voter.
const (
	hypervisors = 4
	voters      = 3
	guests      = 14
	hostCPUs    = cluster.MilliCPU(4000)
	hostMemory  = 64 * cluster.GiB
	clusterID   = "c0000000-0000-4000-8000-000000000000"
)

// settings let much happen within an hour.
func settings() cluster.Settings {
	s := cluster.DefaultSettings()
	s.Profile = cluster.ProfileFast
	s.Cooldown, s.PerHost, s.PerCluster, s.PerHour, s.PerDay = 3*time.Minute, 1, 2, 30, 400
	s.ClaimWithin, s.StartWindow, s.MoveBudget, s.EvidenceWithin = 30*time.Second, 15*time.Second, time.Minute, 15*time.Second
	s.Settle, s.WarmUp = 30*time.Second, 10*time.Second
	s.FreezeAfter, s.FreezeWindow = 6, 10*time.Minute
	return s
}

var operator = cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}

// fleet is one world.
type fleet struct {
	t       *testing.T
	seed    uint64
	wild    bool // uplinks lose and repeat
	alone   bool // no operator but the test's
	began   time.Time
	daemons []*daemon // the first two are hypervisors that vote; the witness is the last
	members []*daemon // those that vote
	peers   []string
	truth   *truth
	laws    *laws

	ctx context.Context // ends with the world
	end context.CancelFunc
	own sync.WaitGroup // the world's own goroutines

	ids atomic.Uint64

	holding map[string]chan struct{} // kind of agents' commands → closed when they may pass

	mu       sync.Mutex
	cut      map[[2]int]int // direction → faults under way that cut it
	counts   map[string]int
	most     int // migrations in flight at once
	events   []string
	failures int
	waits    []time.Duration // for a leader, each time that a healthy majority missed one
}

func newFleet(t *testing.T, seed uint64) *fleet {
	f := &fleet{t: t, seed: seed, wild: true, began: time.Now(), cut: map[[2]int]int{}, holding: map[string]chan struct{}{}, counts: map[string]int{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	f.laws = newLaws(f)
	dir := t.TempDir()
	for i := range hypervisors + 1 {
		d := &daemon{
			f: f, i: i, id: fmt.Sprintf("a0000000-0000-4000-8000-%012d", i), name: fmt.Sprint("hv", i), addr: fmt.Sprintf("10.0.0.%d:7471", i),
			life: make(chan struct{}, 1), role: cluster.RoleHypervisor, dir: filepath.Join(dir, fmt.Sprint(i)), rng: rand.New(rand.NewPCG(seed, uint64(100+i))),
		}
		if i == hypervisors {
			d.role, d.name = cluster.RoleWitness, "witness"
		}
		if i < 2 || i == hypervisors {
			d.mem = consensus.NewMemory(d.addr)
			f.members = append(f.members, d)
			f.peers = append(f.peers, d.addr)
		}
		f.daemons = append(f.daemons, d)
	}
	f.truth = newTruth(f, guests)
	return f
}

// start brings the fleet up and lets automation begin.
func (f *fleet) start() {
	f.t.Helper()
	for _, d := range f.daemons {
		d.start()
	}
	f.own.Go(f.watchLeaders)
	f.must(cluster.SetSettings{Settings: settings()})
	f.must(cluster.SetMode{Mode: cluster.ModeAuto})
}

// close ends the world.
func (f *fleet) close() {
	f.end()
	for _, d := range f.daemons {
		d.stop()
	}
	f.own.Wait()
	if f.t.Failed() {
		f.tell()
	}
}

// tell prints what happened last.
func (f *fleet) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.t.Logf("seed %d; the last events:\n%s", f.seed, strings.Join(f.events[max(0, len(f.events)-100):], "\n"))
}

func (f *fleet) age() time.Duration { return time.Since(f.began) }

func (f *fleet) nextID() string { return fmt.Sprintf("w-%d", f.ids.Add(1)) }

// broken says that a law does not hold.
func (f *fleet) broken(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	f.trace("LAW BROKEN: %s", text)
	f.mu.Lock()
	f.failures++
	n := f.failures
	f.mu.Unlock()
	if n <= 10 {
		f.t.Errorf("seed %d at %v: %s", f.seed, f.age(), text)
	}
}

func (f *fleet) trace(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, fmt.Sprintf("%12v %s", f.age().Round(time.Millisecond), fmt.Sprintf(format, args...)))
	if len(f.events) > 4000 {
		f.events = slices.Delete(f.events, 0, 2000)
	}
}

func (f *fleet) count(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[what]++
}

func (f *fleet) peak(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.most = max(f.most, n)
}

func (f *fleet) counted(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[what]
}

// report is what happened, in the order of its names.
func (f *fleet) report() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(f.counts)) {
		fmt.Fprintf(&b, "%s %d, ", k, f.counts[k])
	}
	fmt.Fprintf(&b, "%d acknowledgements, at most %d migrations at once", f.laws.acknowledgements(), f.most)
	return b.String()
}

// sleep waits unless the world ends.
func (f *fleet) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// asleep says whether a host is suspended.
func (f *fleet) asleep(i int) bool {
	d := f.daemons[i]
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sleeps != nil
}

// hold keeps agents' commands of a kind from being sent, until the returned
// function lets them.
func (f *fleet) hold(kind string) (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.holding[kind] = gate
	return sync.OnceFunc(func() { close(gate) })
}

func (f *fleet) passes(ctx context.Context, kind string) error {
	f.mu.Lock()
	gate := f.holding[kind]
	f.mu.Unlock()
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// carries says whether a migration between two hosts makes progress: daemons
// have no part in it.
func (f *fleet) carries(a, b int) bool {
	for _, i := range []int{a, b} {
		d := f.daemons[i]
		d.mu.Lock()
		suspended := d.sleeps != nil && !d.stopped
		d.mu.Unlock()
		if suspended {
			return false
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut[[2]int{a, b}] == 0 && f.cut[[2]int{b, a}] == 0
}

// reaches says whether what one host sends arrives at another.
func (f *fleet) reaches(from, to int) bool {
	if f.asleep(from) || f.asleep(to) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return from == to || f.cut[[2]int{from, to}] == 0
}

// sever adds to the faults that cut a direction, or takes one away.
func (f *fleet) sever(from, to, n int) {
	f.mu.Lock()
	f.cut[[2]int{from, to}] += n
	f.mu.Unlock()
}

// isolate cuts a host off from all others, or lets it back.
func (f *fleet) isolate(i, n int) {
	for o := range f.daemons {
		if o != i {
			f.sever(i, o, n)
			f.sever(o, i, n)
		}
	}
	f.connect()
}

// connect sets Raft's lines as hosts and cuts are now.
func (f *fleet) connect() {
	for _, a := range f.members {
		for _, b := range f.members {
			if a != b {
				a.mem.Connect(b.mem, f.reaches(a.i, b.i), f.reaches(b.i, a.i))
			}
		}
	}
}

// leaderFor is the leader that a daemon finds, nil if none.
func (f *fleet) leaderFor(d *daemon) *process {
	for _, m := range f.members {
		p := m.running()
		if p == nil || !f.reaches(d.i, m.i) || !f.reaches(m.i, d.i) {
			continue
		}
		if _, leads := p.node.Leading(); leads {
			return p
		}
	}
	return nil
}

// propose is an operator's command, tried until it is answered.
func (f *fleet) propose(body cluster.Body, within time.Duration) error {
	return f.proposeAs(operator, body, within)
}

func (f *fleet) proposeAs(who cluster.Actor, body cluster.Body, within time.Duration) error {
	c := cluster.Command{ID: f.nextID(), Actor: who, Body: body}
	err := errNoLeader
	for began := time.Now(); time.Since(began) < within; {
		for _, m := range f.members {
			p := m.running()
			if p == nil || f.asleep(m.i) {
				continue
			}
			if _, leads := p.node.Leading(); !leads {
				continue
			}
			ctx, cancel := context.WithTimeout(f.ctx, 5*time.Second)
			_, err = p.propose(ctx, c)
			cancel()
			if err == nil || cluster.RefusalOf(err) != nil {
				return err
			}
		}
		if !f.sleep(100 * time.Millisecond) {
			return f.ctx.Err()
		}
	}
	return err
}

func (f *fleet) must(body cluster.Body) {
	f.t.Helper()
	if err := f.propose(body, time.Minute); err != nil {
		f.t.Fatalf("seed %d at %v: %s: %v", f.seed, f.age(), cluster.Command{Body: body}.Kind(), err)
	}
}

// leader is a member that leads and can commit, nil if none does within a
// minute.
func (f *fleet) leader() *daemon {
	for range 600 {
		for _, m := range f.members {
			p := m.running()
			if p == nil {
				continue
			}
			ctx, cancel := context.WithTimeout(f.ctx, time.Second)
			_, err := p.node.ReadIndex(ctx)
			cancel()
			if err == nil {
				return m
			}
		}
		if !f.sleep(100 * time.Millisecond) {
			break
		}
	}
	return nil
}

// state is a linearizable read.
func (f *fleet) state() cluster.State {
	f.t.Helper()
	l := f.leader()
	if l == nil {
		f.t.Fatalf("seed %d at %v: no leader within a minute", f.seed, f.age())
	}
	s, _ := l.running().node.State()
	return s
}

// same demands that all replicas come to hold the same State, byte for byte.
func (f *fleet) same() {
	f.t.Helper()
	for range 600 {
		if states := f.together(); states != nil {
			for i, s := range states {
				if !bytes.Equal(s, states[0]) {
					f.broken("the States of %s and %s differ:\n%s\n%s", f.members[0].name, f.members[i].name, states[0], s)
				}
			}
			return
		}
		f.sleep(110 * time.Millisecond)
	}
	f.broken("the replicas do not come to stand at the same index")
}

// together is the replicas' States if all stand at one index, nil if not.
func (f *fleet) together() (states [][]byte) {
	index := uint64(0)
	for i, m := range f.members {
		s, at := m.running().node.State()
		if i > 0 && at != index {
			return nil
		}
		index = at
		var b bytes.Buffer
		if err := s.Encode(&b); err != nil {
			f.t.Fatal(err)
		}
		states = append(states, b.Bytes())
	}
	return states
}

// wire carries the questions between members.
type wire struct{ d *daemon }

var errUnreachable = errors.New("unreachable")

func (w wire) find(addr string) (*consensus.Node, error) {
	f := w.d.f
	for _, m := range f.members {
		p := m.running()
		if m.at() == addr && p != nil && f.reaches(w.d.i, m.i) && f.reaches(m.i, w.d.i) {
			return p.node, nil
		}
	}
	return nil, errUnreachable
}

// Peer implements consensus.Network.
func (w wire) Peer(_ context.Context, addr string) (consensus.PeerInfo, error) {
	node, err := w.find(addr)
	if err != nil {
		return consensus.PeerInfo{}, err
	}
	return node.PeerInfo(), nil
}

// Join implements consensus.Network.
func (w wire) Join(ctx context.Context, addr string) error {
	node, err := w.find(addr)
	if err != nil {
		return err
	}
	return node.Admit(ctx, w.d.id, w.d.at())
}

// Accept implements net.Listener: Raft's streams do not come this way.
func (w wire) Accept() (net.Conn, error) { return nil, io.EOF }

// Close implements net.Listener.
func (w wire) Close() error { return nil }

// Addr implements net.Listener.
func (w wire) Addr() net.Addr { return &net.TCPAddr{} }

// DialRaft implements consensus.Network.
func (w wire) DialRaft(context.Context, string, string) (net.Conn, error) {
	return nil, errUnreachable
}
