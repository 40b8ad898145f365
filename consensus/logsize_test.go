package consensus

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// large is a command of a size that changes nothing: what it does to the State
// is not what is measured.
func large(bytes int) cluster.Command {
	return cluster.Command{Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "o", Name: "o"}, Body: cluster.Cancel{Move: "m-404", Text: strings.Repeat("x", bytes)}}
}

// load proposes entries of 20 to 60 KiB, several at a time as a busy leader.
func load(t testing.TB, n *Node, entries int, each func()) {
	t.Helper()
	const workers = 8
	var wg sync.WaitGroup
	turns := make(chan int)
	for range workers {
		wg.Go(func() {
			for i := range turns {
				if _, err := n.Propose(t.Context(), large(20<<10+i%41<<10)); err != nil && cluster.RefusalOf(err) == nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range entries {
		if turns <- i; i%64 == 0 {
			each()
		}
	}
	close(turns)
	wg.Wait()
	each()
}

// usage is the size of the log's file and of the snapshots in a directory.
func usage(t testing.TB, dir string) (log, snaps int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a snapshot may be deleted meanwhile
		}
		info, err := d.Info()
		switch {
		case err != nil:
		case d.Name() == logFile:
			log += info.Size()
		default:
			snaps += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return log, snaps
}

func openLeading(t testing.TB, dir string) *Node {
	t.Helper()
	n, err := openAlone(dir)
	if err != nil {
		t.Fatal(err)
	}
	for {
		changed := n.Changed()
		if _, ok := n.Leading(); ok {
			return n
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("no leader")
		}
	}
}

// The log's file stays near what the bounds in bytes promise, however much
// goes through it.
func TestLogIsBoundedByBytes(t *testing.T) {
	dir := t.TempDir()
	n := openLeading(t, dir)
	defer n.Close()
	n.scale.mu.Lock()
	n.scale.limit, n.scale.trailing = 4<<20, 2<<20
	n.scale.mu.Unlock()
	var most int64
	load(t, n, 1500, func() {
		log, _ := usage(t, dir)
		most = max(most, log)
	})
	// Some 60 MB went through. Entries that come while a snapshot is made are on
	// top; without the bound they would all be there still (1024 and more).
	if most > 32<<20 {
		t.Errorf("the log's file grew to %d MiB", most>>20)
	}
	first, err := n.logs.FirstIndex()
	if last := n.raft.LastIndex(); err != nil || first < 500 || last < 1500 {
		t.Errorf("entries %d to %d are kept: %v", first, last, err)
	}
}

func TestScale(t *testing.T) {
	s := newScale()
	if got := s.reset(); got != trailingLogs {
		t.Errorf("%d small entries trail", got)
	}
	s.mean = 1 << 20
	if got := s.reset(); got != trailingBytes>>20 {
		t.Errorf("%d entries of a MiB trail", got)
	}
	s.mean = 1 << 30
	if got := s.reset(); got != minTrailing {
		t.Errorf("%d huge entries trail", got)
	}
}

// BenchmarkLogOnDisk prints the most that the log and the snapshots took:
//
//	go test ./consensus -run xxx -bench LogOnDisk -benchtime 20000x
func BenchmarkLogOnDisk(b *testing.B) {
	dir := b.TempDir()
	if at := os.Getenv("EVENKEEL_BENCH_DIR"); at != "" {
		dir = filepath.Join(at, strconv.Itoa(os.Getpid()))
		b.Cleanup(func() { os.RemoveAll(dir) })
	}
	n := openLeading(b, dir)
	defer n.Close()
	var mostLog, mostSnaps int64
	b.ResetTimer()
	began := time.Now()
	load(b, n, b.N, func() {
		log, snaps := usage(b, dir)
		mostLog, mostSnaps = max(mostLog, log), max(mostSnaps, snaps)
	})
	b.ReportMetric(float64(mostLog)/(1<<20), "log-MiB-max")
	b.ReportMetric(float64(mostSnaps)/(1<<20), "snapshots-MiB-max")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "entries/s")
}
