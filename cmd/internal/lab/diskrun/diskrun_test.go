package diskrun

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var example = Run{N: 2, Began: 90 * time.Second, Ended: 91 * time.Second, Did: Account{200, 819200, 100, 1638400, 20}}

func TestRunsAreFoundInALog(t *testing.T) {
	first := example
	first.N = 1
	log := "[    0.5] a kernel's line\nek-hb something\n" + first.String() + "\r\n" + example.String() + "\n" + example.String()[:40]
	path := filepath.Join(t.TempDir(), "serial.log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Run{first, example}, got); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(path, []byte("\n"+example.String()[:40]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a broken line: %v, want an error that names it", err)
	}
}

func TestStatOfTheKernel(t *testing.T) {
	// A disk after 3 reads of 4 KiB, 2 writes of 16 KiB and a flush.
	got, err := ParseStat("     3     0    24     1     3     0    64     2     0     3     4     0     0     0     0     1     1\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Account{Reads: 3, ReadBytes: 12288, Writes: 2, WriteBytes: 32768, Flushes: 1}, got); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "1 2 3", strings.Repeat("-1 ", 17), "0 0 0 0 1 0 0 0 0 0 0 0 0 0 0 2 0"} {
		if a, err := ParseStat(text); err == nil {
			t.Errorf("%q is read as %+v", text, a)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example.String())
	f.Add("ek-disk n=1")
	f.Fuzz(func(t *testing.T, line string) {
		r, err := Parse(line)
		if err != nil {
			if !strings.HasPrefix(line, prefix) && !errors.Is(err, ErrNoRun) {
				t.Errorf("%q: %v", line, err)
			}
			return
		}
		if again, err := Parse(r.String()); err != nil || again != r {
			t.Errorf("%q is written as %q, which reads as %+v, %v", line, r, again, err)
		}
	})
}
