package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// DefaultBytes is the journal's size unless agent.yaml says otherwise.
const DefaultBytes = 2 << 30

// MinBytes is the smallest journal: a few checkpoints must fit.
const MinBytes = 64 << 10

// Config is what a Journal needs.
type Config struct {
	Dir     string // the journal's alone
	Cluster string // UUID of the cluster; another one's journal is refused
	Bytes   int64  // bound of all files together; 0: DefaultBytes
	// Reserve is the room on the file system that the journal leaves to Raft's
	// log, in bytes; 0: 256 MiB, or a twentieth of a smaller one's.
	Reserve int64
	Logger  *slog.Logger
}

// Entry is one applied entry of the log.
type Entry struct {
	Mark
	Before uint64 // index of the State before it
	// BeforeTerm is that State's term. It tells a recovered State from the one
	// before the recovery. It is not kept: a break in it begins a new segment.
	BeforeTerm uint64
	Refused    bool   // it changed nothing but time
	Data       []byte // as in the log, see cluster.DecodeCommand; not to be changed
}

// Journal is a journal that is open for writing and reading.
type Journal struct {
	cfg  Config
	log  *slog.Logger
	lock *os.File

	queue  chan item
	queued atomic.Int64 // bytes
	lost   atomic.Uint64
	stop   chan struct{}
	done   chan struct{}
	closer sync.Once

	w writer // of the writing goroutine alone

	mu       sync.Mutex
	segments []segment // oldest first; the last one may be growing
	failure  string    // why nothing can be written at present
}

type item struct {
	Entry
	state cluster.State // after the entry
}

const (
	maxQueue      = 1024
	maxQueueBytes = 64 << 20
	syncEvery     = time.Second
	closeWithin   = 5 * time.Second
)

// Open opens the journal in a directory, and makes it if there is none. What a
// crash tore is cut off; what is damaged otherwise is left alone and passed
// over.
func Open(cfg Config) (*Journal, error) {
	if cfg.Bytes == 0 {
		cfg.Bytes = DefaultBytes
	}
	if cfg.Bytes < MinBytes || cfg.Cluster == "" || len(cfg.Cluster) > maxOwner {
		return nil, fmt.Errorf("journal of %d bytes of cluster %.64q: at least %d bytes, and a cluster's id", cfg.Bytes, cfg.Cluster, MinBytes)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", cfg.Dir, err)
	}
	j := &Journal{
		cfg: cfg, log: cfg.Logger, lock: lock,
		queue: make(chan item, maxQueue), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := j.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", cfg.Dir, err), lock.Close())
	}
	j.w.journal = j
	if err := j.w.resume(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", cfg.Dir, err), lock.Close())
	}
	go func() {
		defer close(j.done)
		j.w.run()
	}()
	return j, nil
}

// lockDir keeps a second process from the files until the result is closed.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process writes it: %w", err), f.Close())
	}
	return f, nil
}

// load learns what the files hold.
func (j *Journal) load() error {
	seqs, err := list(j.cfg.Dir)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		path := filepath.Join(j.cfg.Dir, segmentName(seq))
		s, _, err := inspect(path, seq, j.cfg.Cluster)
		if err != nil {
			return fmt.Errorf("%s: %w; move the journal away, it is only memory", path, err)
		}
		if s.damage != "" && s.damage != errTorn.Error() {
			j.log.Warn("a segment of the journal is damaged; what follows in it is passed over", "file", path, "last_index", s.last.Index, "why", s.damage)
		}
		j.segments = append(j.segments, s)
	}
	return nil
}

// Record takes an entry after it was applied, and the State after it. It never
// waits: what the disk is too slow for is left out and counted. Entries that
// the journal holds already, as they come again after a restart, are passed
// over.
func (j *Journal) Record(e Entry, state cluster.State) {
	size := int64(len(e.Data))
	if j.queued.Add(size) > maxQueueBytes {
		j.queued.Add(-size)
		j.lost.Add(1)
		return
	}
	select {
	case j.queue <- item{e, state}:
	default:
		j.queued.Add(-size)
		j.lost.Add(1)
	}
}

// Close writes what is waiting and closes the files. A disk that hangs is left
// behind.
func (j *Journal) Close() error {
	j.closer.Do(func() { close(j.stop) })
	t := time.NewTimer(closeWithin)
	defer t.Stop()
	select {
	case <-j.done:
		return nil
	case <-t.C:
		return fmt.Errorf("journal %s: the disk does not answer; it was left open", j.cfg.Dir)
	}
}

// Gap is what the journal does not hold: entries after one index, up to and
// with another.
type Gap struct {
	After, Until Mark
	Why          string
}

// Error makes a Gap what iterators yield in its place.
func (g *Gap) Error() string {
	return fmt.Sprintf("the journal lacks what came after entry %d up to %d: %s", g.After.Index, g.Until.Index, g.Why)
}

// Span is what a journal holds.
type Span struct {
	First, Last Mark // States from First to Last, but for the gaps; zero if there is nothing
	Segments    int
	Bytes       int64
	Lost        uint64 // entries that were left out since this start
	Gaps        []Gap  // oldest first
	Failure     string // why nothing can be written at present, "" if it can
}

// Span says what the journal holds.
func (j *Journal) Span() Span {
	segments := j.now()
	j.mu.Lock()
	out := Span{Segments: len(segments), Lost: j.lost.Load(), Failure: j.failure}
	j.mu.Unlock()
	var previous segment
	for _, s := range segments {
		out.Bytes += s.size
		if !s.usable {
			continue
		}
		if out.First.Index == 0 {
			out.First = s.first
		}
		if previous.usable && s.first.Index > previous.last.Index {
			out.Gaps = append(out.Gaps, gapBetween(previous, s))
		}
		out.Last, previous = s.last, s
	}
	return out
}

func gapBetween(a, b segment) Gap {
	why := "they were left out"
	if a.damage != "" && a.damage != errTorn.Error() {
		why = fmt.Sprintf("%s is damaged: %s", filepath.Base(a.path), a.damage)
	}
	return Gap{a.last, b.first, why}
}

func (j *Journal) now() []segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.segments)
}
