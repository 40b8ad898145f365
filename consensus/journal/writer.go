package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// writer is the goroutine that writes. The last of the journal's segments is
// its own to grow.
type writer struct {
	journal *Journal
	file    *os.File // of the last segment; nil: the next entry begins one
	limit   int64    // bytes, of the last segment
	newest  Mark     // entry that was written last
	state   cluster.State
	dirty   bool
	paused  time.Time // after a failure nothing is tried before this
}

const (
	segmentsPerJournal = 32
	pauseAfterFailure  = time.Second
	defaultReserve     = 256 << 20
)

// resume goes on where the last start ended.
func (w *writer) resume() error {
	j := w.journal
	for len(j.segments) > 0 {
		s := &j.segments[len(j.segments)-1]
		switch {
		case !s.usable && s.damage == errTorn.Error():
			// A crash while it was begun: it holds nothing yet.
			j.log.Info("a segment of the journal was torn at its beginning and is removed", "file", s.path)
			if err := os.Remove(s.path); err != nil {
				return err
			}
			j.segments = j.segments[:len(j.segments)-1]
			continue
		case s.usable && (s.damage == "" || s.damage == errTorn.Error()) && !s.finished():
			return w.reopen(s)
		}
		break
	}
	w.newest = j.newestMark()
	if w.newest.Index > 0 {
		// The next segment begins with this State. Where it cannot be had there is
		// a gap.
		w.state, _ = j.StateAt(context.Background(), w.newest.Index)
	}
	return nil
}

// newestMark is the last entry of the last segment that can be read.
func (j *Journal) newestMark() Mark {
	for i := len(j.segments) - 1; i >= 0; i-- {
		if j.segments[i].usable {
			return j.segments[i].last
		}
	}
	return Mark{}
}

// reopen cuts off what a crash tore, and appends from there.
func (w *writer) reopen(s *segment) error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if torn := info.Size() - s.size; torn > 0 {
		w.journal.log.Info("the journal's end was torn and is cut off", "file", s.path, "bytes", torn, "last_index", s.last.Index)
		if err := f.Truncate(s.size); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	s.damage = ""
	w.file, w.newest, w.limit = f, s.last, w.journal.cfg.Bytes/segmentsPerJournal
	return nil
}

// run writes until the journal is closed.
func (w *writer) run() {
	j := w.journal
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		select {
		case it := <-j.queue:
			w.take(it)
		case <-ticker.C:
			w.sync()
		case <-j.stop:
			w.finish()
			return
		}
	}
}

func (w *writer) finish() {
	j := w.journal
	for len(j.queue) > 0 {
		w.take(<-j.queue)
	}
	w.sync()
	if w.file != nil {
		_ = w.file.Close() // what mattered was synced
	}
	_ = j.lock.Close()
}

func (w *writer) take(it item) {
	j := w.journal
	j.queued.Add(-int64(len(it.Data)))
	if it.Index <= w.newest.Index && it.Term <= w.newest.Term {
		return // it comes again after a restart
	}
	if time.Now().Before(w.paused) {
		j.lost.Add(1)
		return
	}
	if err := w.write(it); err != nil {
		w.fail(err)
		j.lost.Add(1)
		return
	}
	w.newest, w.state = it.Mark, it.state
	j.mu.Lock()
	recovered := j.failure != ""
	j.failure = ""
	j.mu.Unlock()
	if recovered {
		j.log.Info("the journal is written again", "index", it.Index, "lost", j.lost.Load())
	}
	w.prune()
}

// write appends an entry, to a new segment where it must.
func (w *writer) write(it item) error {
	follows := w.newest.Index > 0 && it.Before == w.newest.Index && it.BeforeTerm == w.newest.Term
	knowsState := w.newest.Index > 0 && w.state.Index == w.newest.Index
	var err error
	switch {
	case !follows:
		w.warnGap(it)
		err = w.begin(it.state)
	case w.file == nil && knowsState, w.file != nil && knowsState && w.full():
		err = w.begin(w.state)
	case w.file == nil:
		err = w.begin(it.state)
	}
	if err != nil {
		return err
	}
	r := record{kind: kindEntry, index: it.Index, term: it.Term, at: it.At, before: it.Before, body: it.Data}
	if it.Refused {
		r.flags |= flagRefused
	}
	return w.append(r.pack(), func(s *segment) { s.last = it.Mark; s.entries++ })
}

func (w *writer) warnGap(it item) {
	if w.newest.Index > 0 {
		w.journal.log.Warn("the journal has a gap", "after", w.newest.Index, "until", it.Index, "lost", w.journal.lost.Load())
	}
}

func (w *writer) full() bool {
	j := w.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments[len(j.segments)-1].size >= w.limit
}

// append writes a record whole or not at all.
func (w *writer) append(r record, note func(*segment)) error {
	j := w.journal
	j.mu.Lock()
	at := j.segments[len(j.segments)-1].size
	j.mu.Unlock()
	data := r.append(nil)
	if _, err := w.file.WriteAt(data, at); err != nil {
		return err
	}
	w.dirty = true
	j.mu.Lock()
	defer j.mu.Unlock()
	s := &j.segments[len(j.segments)-1]
	s.size += int64(len(data))
	note(s)
	return nil
}

// begin finishes the segment and starts another one with a State.
func (w *writer) begin(state cluster.State) error {
	w.end()
	if err := w.room(); err != nil {
		return err
	}
	j := w.journal
	var body bytes.Buffer
	if err := state.Encode(&body); err != nil {
		return err
	}
	first := Mark{state.Index, state.Term, state.Now}
	checkpoint := record{kind: kindCheckpoint, index: first.Index, term: first.Term, at: first.At, body: body.Bytes()}.pack()
	seq := uint64(1)
	if n := len(j.segments); n > 0 {
		seq = j.segments[n-1].seq + 1
	}
	path := filepath.Join(j.cfg.Dir, segmentName(seq))
	data := record{kind: kindOwner, body: []byte(j.cfg.Cluster)}.append([]byte(magic))
	data = checkpoint.append(data)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	if err := syncDir(j.cfg.Dir); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	size := int64(len(data))
	// A checkpoint shall not cost more than an eighth of its segment, nor a
	// segment more than a quarter of the journal.
	w.file, w.dirty = f, true
	w.limit = min(max(j.cfg.Bytes/segmentsPerJournal, 8*size), j.cfg.Bytes/4)
	j.mu.Lock()
	j.segments = append(j.segments, segment{seq: seq, path: path, size: size, first: first, last: first, usable: true})
	j.mu.Unlock()
	return nil
}

// end finishes the segment: the record at its end saves reading it at a start.
func (w *writer) end() {
	if w.file == nil {
		return
	}
	j := w.journal
	j.mu.Lock()
	s := j.segments[len(j.segments)-1]
	j.mu.Unlock()
	end := record{kind: kindEnd, index: s.last.Index, term: s.last.Term, at: s.last.At, before: s.entries}
	err := w.append(end, func(*segment) {})
	if err = errors.Join(err, w.file.Sync(), w.file.Close()); err != nil {
		j.log.Warn("a segment of the journal was not finished in good order", "file", s.path, "err", err)
	}
	w.file, w.dirty = nil, false
}

// finished says whether the segment ends with its end.
func (s segment) finished() bool {
	f, err := os.Open(s.path)
	if err != nil {
		return true
	}
	defer f.Close()
	tail := make([]byte, recordHead)
	if _, err := f.ReadAt(tail, s.size-recordHead); err != nil {
		return false
	}
	r, _, err := readRecord(bytes.NewReader(tail), recordHead)
	return err == nil && r.kind == kindEnd
}

// prune deletes the oldest segments until the rest is within the bound.
func (w *writer) prune() {
	for w.total() > w.journal.cfg.Bytes && w.dropOldest() {
	}
}

func (w *writer) total() (sum int64) {
	j := w.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		sum += s.size
	}
	return sum
}

// dropOldest deletes the oldest segment, unless it is the one being written.
func (w *writer) dropOldest() bool {
	j := w.journal
	j.mu.Lock()
	if len(j.segments) == 0 || len(j.segments) == 1 && w.file != nil {
		j.mu.Unlock()
		return false
	}
	oldest := j.segments[0]
	j.segments = j.segments[1:]
	j.mu.Unlock()
	if err := os.Remove(oldest.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		j.log.Warn("an old segment of the journal was not deleted", "err", err)
	}
	return true
}

// room makes sure that Raft's log keeps its reserve of the disk: the journal
// gives up its oldest memory first, and then does not grow.
func (w *writer) room() error {
	for {
		free, reserve, err := w.free()
		if err != nil || free >= reserve {
			return err
		}
		if !w.dropOldest() {
			return fmt.Errorf("%d MiB are free on the disk, the last %d are left to Raft's log", free>>20, reserve>>20)
		}
	}
}

func (w *writer) free() (free, reserve int64, err error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(w.journal.cfg.Dir, &fs); err != nil {
		return 0, 0, err
	}
	reserve = w.journal.cfg.Reserve
	if reserve == 0 {
		reserve = min(defaultReserve, int64(fs.Blocks)*fs.Bsize/20)
	}
	return int64(fs.Bavail) * fs.Bsize, reserve, nil
}

// sync gets to the disk what was written since the last time.
func (w *writer) sync() {
	if !w.dirty || w.file == nil {
		return
	}
	w.dirty = false
	if err := w.file.Sync(); err != nil {
		w.fail(err)
		return
	}
	if err := w.room(); err != nil {
		w.fail(err)
	}
}

// fail gives the segment up. What of the last record got to the file is past
// the segment's size, and no reader looks there.
func (w *writer) fail(err error) {
	j := w.journal
	w.paused = time.Now().Add(pauseAfterFailure)
	if w.file != nil {
		j.mu.Lock()
		s := j.segments[len(j.segments)-1]
		j.mu.Unlock()
		_ = w.file.Truncate(s.size) // if this fails too, the next start finds the torn end
		_ = w.file.Close()
		w.file, w.dirty = nil, false
	}
	j.mu.Lock()
	first := j.failure == ""
	j.failure = err.Error()
	j.mu.Unlock()
	if first {
		j.log.Warn("the journal cannot be written; entries are left out until it can", "err", err)
	}
}
