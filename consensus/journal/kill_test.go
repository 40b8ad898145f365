package journal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

const childDir = "EVENKEEL_JOURNAL_TEST_DIR"

// TestMain lets this binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// writeUntilKilled replays its history from the beginning, as Raft does, and
// goes on with it, for ever. It prints what has been written.
func writeUntilKilled(dir string) {
	t, h := panicky{}, history{}
	j := open(t, dir, 1<<20)
	for {
		h.feed(t, j, 0, 1, len(h.entries)%90)
		if len(h.entries)%50 == 0 {
			fmt.Println(j.Span().Last.Index)
		}
	}
}

// panicky is a testing.TB outside a test.
type panicky struct{ testing.TB }

func (panicky) Helper()           {}
func (panicky) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// A process that is killed while it writes leaves all that it had written.
func TestJournalAfterSIGKILL(t *testing.T) {
	dir := t.TempDir()
	for round := range 4 {
		seen := killedAfter(t, dir, 20*(round+1))
		j := open(t, dir, 1<<20)
		span := j.Span()
		if len(span.Gaps) != 0 || span.Last.Index < seen {
			t.Fatalf("round %d: %d had been written, the journal ends at %d with gaps %v", round, seen, span.Last.Index, span.Gaps)
		}
		if s, err := j.StateAt(t.Context(), span.Last.Index); err != nil || s.Index != span.Last.Index {
			t.Fatalf("round %d: state at %d: %v", round, span.Last.Index, err)
		}
		shut(t, j)
	}
}

// killedAfter runs the writer, kills it after some lines, and returns the last
// index that it said was written.
func killedAfter(t *testing.T, dir string, lines int) (seen uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), childDir+"="+dir), os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	for n := 0; n < lines && in.Scan(); n++ {
		if _, err := fmt.Sscan(in.Text(), &seen); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // killed
	return seen
}
