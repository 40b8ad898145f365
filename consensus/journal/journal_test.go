package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const testCluster = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"

// history is what a replica would have applied: entries and the State after
// each.
type history struct {
	entries []Entry
	states  []cluster.State
}

// grow adds an entry; now and then Raft's own entries lie between two.
func (h *history) grow(t testing.TB, skip uint64, term uint64, pad int) (Entry, cluster.State) {
	t.Helper()
	state := cluster.New(testCluster)
	if n := len(h.states); n > 0 {
		state = h.states[n-1]
	}
	modes := []cluster.Mode{cluster.ModeAuto, cluster.ModeOff}
	var body cluster.Body = cluster.SetMode{Mode: modes[len(h.entries)%2]}
	if len(h.entries)%3 == 2 {
		body = cluster.Cancel{Move: "m-404"} // refused
	}
	index := state.Index + 1 + skip
	c := cluster.Command{
		Level: 1, ID: fmt.Sprintf("%d-%s", index, strings.Repeat("x", pad)), At: cluster.Time(1_700_000_000_000_000_000 + int64(index)*1e9),
		Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "o", Name: "alice"}, Body: body,
	}
	data, err := cluster.EncodeCommand(c)
	if err != nil {
		t.Fatal(err)
	}
	next, err := state.Apply(cluster.Meta{Index: index, Term: term, Entry: data}, c)
	refusal := cluster.RefusalOf(err)
	if err != nil && refusal == nil {
		t.Fatal(err)
	}
	e := Entry{Mark{index, term, c.At}, state.Index, state.Term, refusal != nil, data}
	h.entries, h.states = append(h.entries, e), append(h.states, next)
	return e, next
}

func encoded(t testing.TB, s cluster.State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, dir string, size int64) *Journal {
	t.Helper()
	j, err := Open(Config{Dir: dir, Cluster: testCluster, Bytes: size, Reserve: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// put hands over entries no faster than they are written.
func put(j *Journal, e Entry, s cluster.State) {
	for len(j.queue) == cap(j.queue) {
		time.Sleep(time.Millisecond)
	}
	j.Record(e, s)
}

// feed grows the history and records what came to it.
func (h *history) feed(t testing.TB, j *Journal, skip, term uint64, pad int) {
	t.Helper()
	e, s := h.grow(t, skip, term, pad)
	put(j, e, s)
}

func shut(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func collect(t testing.TB, j *Journal, r Range) (out []Entry, gaps int) {
	t.Helper()
	for e, err := range j.Entries(t.Context(), r) {
		var gap *Gap
		switch {
		case errors.As(err, &gap):
			gaps++
			t.Log(gap)
		case err != nil:
			t.Fatal(err)
		default:
			out = append(out, e)
		}
	}
	return out, gaps
}

func same(a, b Entry) bool {
	return a.Mark == b.Mark && a.Before == b.Before && a.Refused == b.Refused && bytes.Equal(a.Data, b.Data)
}

// What was recorded comes back, entry by entry and State by State, over many
// segments and a restart, and entries that come again are passed over.
func TestJournalRemembers(t *testing.T) {
	dir, h := t.TempDir(), history{}
	j := open(t, dir, 16<<20)
	for i := range 400 {
		h.feed(t, j, uint64(i%4/3), uint64(1+i/100), i%90)
	}
	shut(t, j)
	j = open(t, dir, 16<<20)
	for i, e := range h.entries[200:] {
		put(j, e, h.states[200+i])
	}
	for range 300 {
		h.feed(t, j, 0, 9, 80)
	}
	shut(t, j)
	j = open(t, dir, 16<<20)
	defer j.Close()
	got, gaps := collect(t, j, Range{})
	if gaps != 0 || !slices.EqualFunc(got, h.entries, same) {
		t.Fatalf("%d entries with %d gaps, want %d without", len(got), gaps, len(h.entries))
	}
	for i := 0; i < len(h.entries); i += 37 {
		s, err := j.StateAt(t.Context(), h.entries[i].Index)
		if err != nil || !bytes.Equal(encoded(t, s), encoded(t, h.states[i])) {
			t.Fatalf("state at %d differs: %v", h.entries[i].Index, err)
		}
	}
	if _, err := j.StateAt(t.Context(), h.entries[len(h.entries)-1].Index+1); !errors.Is(err, ErrGone) {
		t.Errorf("a State of the future: %v", err)
	}
	part, _ := collect(t, j, Range{From: h.entries[50].Index, Until: h.entries[80].At})
	if !slices.EqualFunc(part, h.entries[50:81], same) {
		t.Errorf("a range gave %d entries, want 31", len(part))
	}
}

// The files stay within the bound; what is left can be read to the end.
func TestJournalIsBounded(t *testing.T) {
	const bound = 256 << 10
	dir, h := t.TempDir(), history{}
	j := open(t, dir, bound)
	for i := range 3000 {
		e, s := h.grow(t, 0, 1, i%100)
		put(j, e, s)
		if i%500 == 0 {
			checkSize(t, dir, bound)
		}
	}
	shut(t, j)
	checkSize(t, dir, bound)
	j = open(t, dir, bound)
	defer j.Close()
	span := j.Span()
	if span.First.Index <= 1 || span.Last.Index != 3000 || len(span.Gaps) != 0 || span.Lost != 0 {
		t.Fatalf("%+v", span)
	}
	got, _ := collect(t, j, Range{})
	want := h.entries[span.First.Index:]
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	if _, err := j.StateAt(t.Context(), 1); !errors.Is(err, ErrGone) {
		t.Errorf("a State that is gone: %v", err)
	}
}

func checkSize(t *testing.T, dir string, bound int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			sum += info.Size()
		}
	}
	// One segment may be begun before the oldest is deleted.
	if sum > bound+bound/4 {
		t.Fatalf("%d bytes, bound %d", sum, bound)
	}
}

// Entries that never came are a gap with a name, and the journal goes on.
func TestJournalNamesGaps(t *testing.T) {
	dir, h := t.TempDir(), history{}
	j := open(t, dir, 1<<20)
	for i := range 90 {
		if e, s := h.grow(t, 0, 1, 0); i < 30 || i >= 60 {
			put(j, e, s)
		}
	}
	shut(t, j)
	j = open(t, dir, 1<<20)
	defer j.Close()
	span := j.Span()
	if len(span.Gaps) != 1 || span.Gaps[0].After.Index != 30 || span.Gaps[0].Until.Index != 61 {
		t.Fatalf("%+v", span)
	}
	if got, gaps := collect(t, j, Range{}); len(got) != 60 || gaps != 1 {
		t.Errorf("%d entries, %d gaps", len(got), gaps)
	}
	if _, err := j.StateAt(t.Context(), 45); !errors.Is(err, ErrGone) {
		t.Errorf("a State in the gap: %v", err)
	}
	if s, err := j.StateAt(t.Context(), 61); err != nil || s.Index != 61 {
		t.Errorf("the State behind the gap: %d, %v", s.Index, err)
	}
}

// A past that was given up (a lost quorum, a restored snapshot) does not hide
// the one that came instead.
func TestJournalTakesTheNewPast(t *testing.T) {
	dir, old := t.TempDir(), history{}
	j := open(t, dir, 1<<20)
	for range 50 {
		old.feed(t, j, 0, 1, 0)
	}
	instead := history{slices.Clone(old.entries[:30]), slices.Clone(old.states[:30])}
	for range 40 {
		instead.feed(t, j, 0, 2, 3)
	}
	shut(t, j)
	j = open(t, dir, 1<<20)
	defer j.Close()
	got, _ := collect(t, j, Range{From: 31})
	if !slices.EqualFunc(got, instead.entries[30:], same) {
		t.Fatalf("%d entries after the fork, want 40 of term 2: %+v", len(got), got[0].Mark)
	}
	if s, err := j.StateAt(t.Context(), 45); err != nil || s.Term != 2 {
		t.Errorf("state at 45 is of term %d: %v", s.Term, err)
	}
}

// A recovered State has the index of the one before and is another: entries
// after it are not applied to the old one.
func TestJournalAfterARecovery(t *testing.T) {
	dir, h := t.TempDir(), history{}
	j := open(t, dir, 1<<20)
	for range 20 {
		h.feed(t, j, 0, 1, 0)
	}
	shut(t, j)
	h.states[19] = h.states[19].Revive("a quorum was lost")
	j = open(t, dir, 1<<20)
	for range 20 {
		h.feed(t, j, 0, 3000, 0)
	}
	shut(t, j)
	j = open(t, dir, 1<<20)
	defer j.Close()
	for _, i := range []int{10, 25, 39} {
		if s, err := j.StateAt(t.Context(), h.entries[i].Index); err != nil || !bytes.Equal(encoded(t, s), encoded(t, h.states[i])) {
			t.Errorf("state at %d differs: %v", h.entries[i].Index, err)
		}
	}
	if got, _ := collect(t, j, Range{}); !slices.EqualFunc(got, h.entries, same) {
		t.Errorf("%d entries, want %d", len(got), len(h.entries))
	}
}

// However a crash cuts the newest file, what comes back is a beginning of what
// was recorded, and recording goes on behind it.
func TestJournalAfterCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "j")
		if err != nil {
			rt.Fatal(err)
		}
		h := history{}
		kept := 0 // entries that the journal must hold
		for round := range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			j := open(t, dir, 64<<10)
			for i := kept; i < len(h.entries); i++ { // Raft's log brings back what was lost
				put(j, h.entries[i], h.states[i])
			}
			for range rapid.IntRange(0, 50).Draw(rt, "entries") {
				h.feed(t, j, rapid.Uint64Range(0, 2).Draw(rt, "skip"), uint64(round+1), rapid.IntRange(0, 90).Draw(rt, "pad"))
			}
			shut(t, j)
			crash(rt, dir)
			kept = checkPrefix(rt, t, dir, h)
		}
	})
}

// crash cuts the newest file anywhere, and puts there what a crash may leave.
func crash(t *rapid.T, dir string) {
	seqs, _ := list(dir)
	if len(seqs) == 0 {
		return
	}
	path := filepath.Join(dir, segmentName(seqs[len(seqs)-1]))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := rapid.IntRange(0, len(data)).Draw(t, "cut")
	tail := rapid.SampledFrom([]string{"nothing", "zeros"}).Draw(t, "tail")
	data = data[:cut:cut]
	if tail == "zeros" {
		data = append(data, make([]byte, rapid.IntRange(1, 5000).Draw(t, "zeros"))...)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkPrefix opens the journal and returns how many entries are in it.
func checkPrefix(rt *rapid.T, t *testing.T, dir string, h history) int {
	j := open(t, dir, 64<<10)
	defer j.Close()
	span := j.Span()
	got, gaps := collect(t, j, Range{})
	if len(span.Gaps) != 0 || gaps != 0 {
		rt.Fatalf("gaps after a crash: %+v", span.Gaps)
	}
	if span.Last.Index == 0 {
		return 0
	}
	at := slices.IndexFunc(h.entries, func(e Entry) bool { return e.Index == span.Last.Index })
	if at < 0 {
		rt.Fatalf("the last entry %d was never recorded", span.Last.Index)
	}
	// Old segments may be gone: got is a run that ends at span.Last.
	if n := len(got); n > at+1 || n > 0 && !slices.EqualFunc(got, h.entries[at+1-n:at+1], same) {
		rt.Fatalf("%d entries up to %d are not those that were recorded", n, span.Last.Index)
	}
	if s, err := j.StateAt(t.Context(), span.Last.Index); err != nil || !bytes.Equal(encoded(t, s), encoded(t, h.states[at])) {
		rt.Fatalf("the newest State: %v", err)
	}
	return at + 1
}

// Damage in a segment is named, the rest stays readable, and the file stays as
// it is.
func TestJournalPassesOverDamage(t *testing.T) {
	dir, h := t.TempDir(), history{}
	j := open(t, dir, 512<<10)
	for i := range 1200 {
		h.feed(t, j, 0, 1, i%60)
	}
	shut(t, j)
	seqs, _ := list(dir)
	if len(seqs) < 4 {
		t.Fatalf("%d segments are too few for this test", len(seqs))
	}
	path := filepath.Join(dir, segmentName(seqs[1]))
	data, _ := os.ReadFile(path)
	data[len(data)/2] ^= 0x40
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, 512<<10)
	defer j.Close()
	got, gaps := collect(t, j, Range{})
	if gaps != 1 || len(got) >= 1200 || len(got) < 800 || !same(got[len(got)-1], h.entries[1199]) {
		t.Errorf("%d entries, %d gaps", len(got), gaps)
	}
	last := j.now()[1].last.Index - 1
	if _, err := j.StateAt(t.Context(), last); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), path) {
		t.Errorf("a State behind the damage: %v; want an error that names %s", err, path)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, data) {
		t.Error("the damaged file was changed")
	}
}

// Damage amid the newest segment is no torn end: it is kept, and a new segment
// begins.
func TestJournalKeepsADamagedEnd(t *testing.T) {
	dir, h := t.TempDir(), history{}
	j := open(t, dir, 16<<20)
	for range 100 {
		h.feed(t, j, 0, 1, 0)
	}
	shut(t, j)
	path := filepath.Join(dir, segmentName(1))
	data, _ := os.ReadFile(path)
	data[len(data)/2] ^= 0x40
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	j, err := Open(Config{Dir: dir, Cluster: testCluster, Bytes: 16 << 20, Reserve: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "damaged") || !strings.Contains(log.String(), path) {
		t.Errorf("the log does not name the damage: %s", log.String())
	}
	h.feed(t, j, 0, 1, 0)
	shut(t, j)
	if after, _ := os.ReadFile(path); !bytes.Equal(after, data) {
		t.Error("the damaged file was changed")
	}
	if seqs, _ := list(dir); len(seqs) != 2 {
		t.Errorf("%d segments, want 2", len(seqs))
	}
}

func TestOpenRefuses(t *testing.T) {
	dir, h := t.TempDir(), history{}
	j := open(t, dir, 1<<20)
	h.feed(t, j, 0, 1, 0)
	if _, err := Open(Config{Dir: dir, Cluster: testCluster, Logger: j.log}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	shut(t, j)
	if _, err := Open(Config{Dir: dir, Cluster: "other", Logger: j.log}); !errors.Is(err, errOwner) || !strings.Contains(err.Error(), dir) {
		t.Errorf("another cluster's: %v", err)
	}
	if _, err := Open(Config{Dir: dir, Cluster: testCluster, Bytes: 1, Logger: j.log}); err == nil {
		t.Error("a journal of one byte was opened")
	}
}

// A disk that takes nothing costs entries, never the caller's time, and the
// journal comes back by itself.
func TestJournalWithoutRoom(t *testing.T) {
	dir, h := t.TempDir(), history{}
	j, err := Open(Config{Dir: dir, Cluster: testCluster, Bytes: 1 << 20, Reserve: 1 << 62, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		h.feed(t, j, 0, 1, 0)
	}
	shut(t, j)
	if span := j.Span(); span.Lost != 5 || span.Last.Index != 0 || !strings.Contains(span.Failure, "left to Raft") {
		t.Errorf("%+v", span)
	}
	j = open(t, dir, 1<<20)
	h.feed(t, j, 0, 1, 0)
	shut(t, j)
	if span := j.Span(); span.Lost != 0 || span.Last.Index != 6 || span.Failure != "" {
		t.Errorf("with room again: %+v", span)
	}
}

// Record never waits, whatever the writer does.
func TestRecordDropsWhenTheWriterIsSlow(t *testing.T) {
	h := history{}
	j := &Journal{queue: make(chan item, 4)} // whose writer hangs
	for range 10 {
		j.Record(h.grow(t, 0, 1, 0))
	}
	if lost := j.lost.Load(); lost != 6 {
		t.Errorf("%d were left out, want 6", lost)
	}
	big := Entry{Data: make([]byte, maxQueueBytes)}
	j = &Journal{queue: make(chan item, 4)}
	j.Record(big, cluster.State{})
	j.Record(big, cluster.State{})
	if lost := j.lost.Load(); lost != 1 || j.queued.Load() != maxQueueBytes {
		t.Errorf("%d were left out, %d bytes wait", lost, j.queued.Load())
	}
}

func FuzzSegment(f *testing.F) {
	h := history{}
	file := record0()
	for range 5 {
		e, s := h.grow(f, 0, 1, 300)
		if len(h.entries) == 1 {
			file = record{kind: kindCheckpoint, index: s.Index, term: s.Term, at: s.Now, body: encoded(f, s)}.pack().append(file)
		}
		file = record{kind: kindEntry, index: e.Index, term: e.Term, at: e.At, before: e.Before, body: e.Data}.pack().append(file)
	}
	f.Add(file)
	f.Add(file[:len(file)-9])
	f.Add(record{kind: kindEnd, index: 5, before: 5}.append(bytes.Clone(file)))
	f.Add([]byte(magic))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, segmentName(1))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := inspect(path, 1, testCluster)
		if err != nil {
			return
		}
		if s.size > int64(len(data)) || s.last.Index < s.first.Index && s.usable && s.entries == 0 {
			t.Errorf("%+v of %d bytes", s, len(data))
		}
		if state, err := s.stateAt(t.Context(), s.last.Index); err == nil && s.usable && state.Index > s.last.Index && s.last.Index >= s.first.Index {
			t.Errorf("state of %d at %d", state.Index, s.last.Index)
		}
	})
}

func record0() []byte {
	return record{kind: kindOwner, body: []byte(testCluster)}.append([]byte(magic))
}

func FuzzRecord(f *testing.F) {
	f.Add(record{kind: kindEntry, index: 1, term: 2, at: 3, body: []byte(strings.Repeat("a", 400))}.pack().append(nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, took, err := readRecord(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if errors.Is(err, io.EOF) && len(data) > 0 {
				t.Error("an end where there is none")
			}
			return
		}
		if again := r.append(nil); !bytes.Equal(again, data[:took]) {
			t.Errorf("read %x, would write %x", data[:took], again)
		}
		_, _ = r.open() // must not panic
	})
}
