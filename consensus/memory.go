package consensus

import (
	"io"
	"sync"
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
	_, inmem := raft.NewInmemTransport(raft.ServerAddress(m.addr))
	m.line = &memoryLine{InmemTransport: inmem, lost: make(map[raft.ServerAddress]bool)}
	line := m.line
	m.mu.Unlock()
	return start(cfg, &backend{
		logs: memoryLogs{m.logs, &m.disk}, stable: memoryStable{m.logs, &m.disk}, snaps: m.snaps, trans: line,
		close: m.shut,
	}, starts)
}

// Connect sets this member's line to another one that is open: whether its
// requests arrive there, and whether their answers come back.
func (m *Memory) Connect(to *Memory, requests, answers bool) {
	mine, theirs := m.open(), to.open()
	if mine == nil {
		return
	}
	mine.connect(raft.ServerAddress(to.addr), theirs, requests && theirs != nil, answers)
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

// memoryLine is a transport whose answers can be lost: a cut in one direction
// lets a request arrive of which the sender never hears.
type memoryLine struct {
	*raft.InmemTransport
	mu   sync.Mutex
	lost map[raft.ServerAddress]bool
}

func (l *memoryLine) connect(to raft.ServerAddress, peer *memoryLine, requests, answers bool) {
	l.mu.Lock()
	was := l.lost[to]
	l.lost[to] = !answers
	l.mu.Unlock()
	if !requests || was != !answers {
		l.Disconnect(to) // ends its pipelines too
	}
	if requests {
		l.InmemTransport.Connect(to, peer.InmemTransport)
	}
}

// heard is what the sender learns of a request that ended with err.
func (l *memoryLine) heard(from raft.ServerAddress, err error) error {
	l.mu.Lock()
	lost := l.lost[from]
	l.mu.Unlock()
	if err == nil && lost {
		time.Sleep(100 * time.Millisecond)
		return raft.ErrTransportShutdown
	}
	return err
}

// AppendEntries implements raft.Transport.
func (l *memoryLine) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	return l.heard(target, l.InmemTransport.AppendEntries(id, target, args, resp))
}

// AppendEntriesPipeline implements raft.Transport.
func (l *memoryLine) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	if err := l.heard(target, nil); err != nil {
		return nil, raft.ErrPipelineReplicationNotSupported
	}
	return l.InmemTransport.AppendEntriesPipeline(id, target)
}

// RequestVote implements raft.Transport.
func (l *memoryLine) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return l.heard(target, l.InmemTransport.RequestVote(id, target, args, resp))
}

// RequestPreVote implements raft.WithPreVote.
func (l *memoryLine) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return l.heard(target, l.InmemTransport.RequestPreVote(id, target, args, resp))
}

// InstallSnapshot implements raft.Transport.
func (l *memoryLine) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return l.heard(target, l.InmemTransport.InstallSnapshot(id, target, args, resp, data))
}

// TimeoutNow implements raft.Transport.
func (l *memoryLine) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return l.heard(target, l.InmemTransport.TimeoutNow(id, target, args, resp))
}
