package consensus

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// Memory is a member's disk and its lines to the others, all in memory: what
// worlds of whole fleets in virtual time run on. A daemon never does. What it
// holds outlives Close, as a disk does; it can freeze, be slow and be full, and
// each direction of each line can be cut.
type Memory struct {
	addr  string
	disk  memoryDisk
	logs  *raft.InmemStore
	snaps *raft.InmemSnapshotStore

	mu     sync.Mutex
	starts uint64
	line   *memoryLine // nil while closed
}

// NewMemory makes an empty disk for the member at an address.
func NewMemory(addr string) *Memory {
	return &Memory{addr: addr, logs: raft.NewInmemStore(), snaps: raft.NewInmemSnapshotStore()}
}

// OpenInMemory is Open without files and sockets: cfg.Dir is not used, and
// cfg.Network carries only the questions between members. The lines to the
// other members are down until Connect says otherwise.
func OpenInMemory(cfg Config, m *Memory) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Dir = ""
	m.mu.Lock()
	m.starts++
	starts := m.starts
	m.line = newMemoryLine(raft.ServerAddress(m.addr))
	line := m.line
	m.mu.Unlock()
	return start(cfg, &backend{
		logs: memoryLogs{m.logs, &m.disk}, stable: memoryStable{m.logs, &m.disk}, snaps: m.snaps, trans: line,
		close: m.shut, probe: func(int) error { return m.disk.write() },
	}, Start{Incarnation: starts})
}

// Connect sets this member's line to another one that is open: whether its
// requests arrive there, and whether their answers come back.
func (m *Memory) Connect(to *Memory, requests, answers bool) {
	mine, theirs := m.open(), to.open()
	if mine == nil {
		return
	}
	mine.connect(raft.ServerAddress(to.at()), theirs, requests, answers)
}

func (m *Memory) at() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addr
}

func (m *Memory) open() *memoryLine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.line
}

func (m *Memory) shut() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.line = nil
	return nil
}

// Move gives the member another address, for its next start.
func (m *Memory) Move(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addr = addr
}

// Lag lets everything that the member sends wait for so long first, until it
// is closed: it gets no CPU.
func (m *Memory) Lag(by time.Duration) {
	if line := m.open(); line != nil {
		line.lag.Store(int64(by))
	}
}

// Freeze holds whoever writes until Thaw.
func (m *Memory) Freeze() { m.disk.freeze() }

// Thaw ends a freeze.
func (m *Memory) Thaw() { m.disk.thaw() }

// Fill lets every write fail, or none.
func (m *Memory) Fill(full bool) { m.disk.fill(full) }

// Slow makes every write take so long.
func (m *Memory) Slow(each time.Duration) { m.disk.set(func(d *memoryDisk) { d.each = each }) }

// memoryDisk is what a write has to get past.
type memoryDisk struct {
	mu    sync.Mutex
	thawn chan struct{} // nil while it is not frozen
	full  bool
	each  time.Duration
}

func (d *memoryDisk) set(change func(*memoryDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *memoryDisk) fill(full bool) { d.set(func(d *memoryDisk) { d.full = full }) }

func (d *memoryDisk) freeze() {
	d.set(func(d *memoryDisk) {
		if d.thawn == nil {
			d.thawn = make(chan struct{})
		}
	})
}

func (d *memoryDisk) thaw() {
	d.set(func(d *memoryDisk) {
		if d.thawn != nil {
			close(d.thawn)
			d.thawn = nil
		}
	})
}

func (d *memoryDisk) write() error {
	d.mu.Lock()
	thawn, full, each := d.thawn, d.full, d.each
	d.mu.Unlock()
	if thawn != nil {
		<-thawn
	}
	time.Sleep(each)
	if full {
		return syscall.ENOSPC
	}
	return nil
}

type memoryLogs struct {
	*raft.InmemStore
	disk *memoryDisk
}

// StoreLog implements raft.LogStore.
func (l memoryLogs) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore.
func (l memoryLogs) StoreLogs(e []*raft.Log) error {
	if err := l.disk.write(); err != nil {
		return err
	}
	return l.InmemStore.StoreLogs(e)
}

type memoryStable struct {
	*raft.InmemStore
	disk *memoryDisk
}

// Set implements raft.StableStore.
func (s memoryStable) Set(key, value []byte) error {
	if err := s.disk.write(); err != nil {
		return err
	}
	return s.InmemStore.Set(key, value)
}

// SetUint64 implements raft.StableStore.
func (s memoryStable) SetUint64(key []byte, value uint64) error {
	if err := s.disk.write(); err != nil {
		return err
	}
	return s.InmemStore.SetUint64(key, value)
}

// memoryLine is a transport that fails as TCP does. A request over a line that
// is cut waits for its timeout. Where only the answers are lost, the requests on
// the streams that were open still arrive; another stream cannot be opened.
type memoryLine struct {
	*raft.InmemTransport
	mu     sync.Mutex
	left   map[raft.ServerAddress]int // member over a bad line → streams that still carry a request
	news   chan struct{}              // closed when a line has changed
	closed bool
	lag    atomic.Int64 // ns that each request waits before it is sent
}

var errLine = errors.New("i/o timeout")

func newMemoryLine(addr raft.ServerAddress) *memoryLine {
	_, inmem := raft.NewInmemTransportWithTimeout(addr, streamTimeout)
	return &memoryLine{InmemTransport: inmem, left: make(map[raft.ServerAddress]int), news: make(chan struct{})}
}

// connect sets the line to a peer, which is nil if nobody listens there.
func (l *memoryLine) connect(to raft.ServerAddress, peer *memoryLine, requests, answers bool) {
	l.mu.Lock()
	left, bad := l.left[to]
	switch {
	case requests && answers:
		delete(l.left, to)
	case !requests:
		l.left[to] = 0
	case !bad:
		l.left[to] = streamPool
	}
	_, worse := l.left[to]
	if !l.closed && (bad != worse || bad && left != l.left[to]) {
		close(l.news)
		l.news = make(chan struct{})
	}
	l.mu.Unlock()
	if worse || peer == nil {
		l.Disconnect(to) // ends its pipelines too
	}
	if requests && peer != nil {
		l.Connect(to, peer.InmemTransport)
	}
}

// Close implements raft.WithClose; requests that wait end.
func (l *memoryLine) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.news)
	}
	l.mu.Unlock()
	return l.InmemTransport.Close()
}

// over sends a request over the line to a member.
func (l *memoryLine) over(to raft.ServerAddress, send func() error) error {
	l.mu.Lock()
	left, bad := l.left[to]
	if left > 0 {
		l.left[to]--
	}
	news := l.news
	l.mu.Unlock()
	time.Sleep(time.Duration(l.lag.Load()))
	if !bad {
		return send()
	}
	if left > 0 {
		_ = send() // it arrives, and nobody hears what came of it
	}
	timeout := time.NewTimer(streamTimeout)
	defer timeout.Stop()
	select {
	case <-news:
	case <-timeout.C:
	}
	return errLine
}

// AppendEntries implements raft.Transport.
func (l *memoryLine) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	return l.over(target, func() error { return l.InmemTransport.AppendEntries(id, target, args, resp) })
}

// AppendEntriesPipeline implements raft.Transport.
func (l *memoryLine) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	l.mu.Lock()
	_, bad := l.left[target]
	l.mu.Unlock()
	if bad {
		return nil, errLine
	}
	p, err := l.InmemTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return memoryPipeline{p, l}, nil
}

type memoryPipeline struct {
	raft.AppendPipeline
	line *memoryLine
}

// AppendEntries implements raft.AppendPipeline.
func (p memoryPipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	time.Sleep(time.Duration(p.line.lag.Load()))
	return p.AppendPipeline.AppendEntries(args, resp)
}

// RequestVote implements raft.Transport.
func (l *memoryLine) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return l.over(target, func() error { return l.InmemTransport.RequestVote(id, target, args, resp) })
}

// RequestPreVote implements raft.WithPreVote.
func (l *memoryLine) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return l.over(target, func() error { return l.InmemTransport.RequestPreVote(id, target, args, resp) })
}

// InstallSnapshot implements raft.Transport.
func (l *memoryLine) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return l.over(target, func() error { return l.InmemTransport.InstallSnapshot(id, target, args, resp, data) })
}

// TimeoutNow implements raft.Transport.
func (l *memoryLine) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return l.over(target, func() error { return l.InmemTransport.TimeoutNow(id, target, args, resp) })
}
