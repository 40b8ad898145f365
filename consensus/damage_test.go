package consensus

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const damageEntries = 50

// aLog makes the files of a member whose log counts to damageEntries.
func aLog(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	n, err := openAlone(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, end := 1, time.Now().Add(time.Minute); i <= damageEntries; {
		body := cluster.Pause{Until: cluster.TimeOf(time.Now().Add(time.Hour)), Text: fmt.Sprint("reason ", i)}
		_, err := n.Propose(context.Background(), cluster.Command{Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid:0", Name: "root"}, Body: body})
		if err == nil {
			i++
		} else if time.Now().After(end) {
			t.Fatal(err)
		} else {
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Whatever bit of the log's file flips and wherever it is cut, a start ends in
// an error that names the file and changes nothing in it, or nothing that
// matters was hit. There is no panic, and never another State.
func TestDamagedLogIsRefused(t *testing.T) {
	made := aLog(t)
	good, err := os.ReadFile(filepath.Join(made, logFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := tryLog(t, made, good); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	refused := 0
	try := func(what string, bad []byte) {
		t.Helper()
		if err := tryLog(t, made, bad); err != nil {
			refused++
			if !strings.Contains(err.Error(), logFile) || !strings.Contains(err.Error(), "nothing was changed") {
				t.Errorf("%s: the error names neither file nor what was done: %v", what, err)
			}
		}
	}
	for _, size := range []int{1, 4096, 8191, 8192, 16384, 20000, len(good) / 2} {
		before := refused
		if try(fmt.Sprint("cut to ", size), good[:size]); refused == before {
			t.Errorf("a log cut to %d of %d bytes was opened", size, len(good))
		}
	}
	seed := rand.Uint64()
	t.Log("seed ", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		bad := bytes.Clone(good)
		at, bit := r.IntN(len(bad)), r.IntN(8)
		bad[at] ^= 1 << bit
		try(fmt.Sprintf("bit %d of byte %d flipped", bit, at), bad)
	}
	for i := 1; i <= damageEntries; i++ { // the text of every entry: valid JSON still
		bad := bytes.ReplaceAll(good, fmt.Appendf(nil, "reason %d\"", i), fmt.Appendf(nil, "reasom %d\"", i))
		before := refused
		if try(fmt.Sprint("entry ", i), bad); !bytes.Equal(bad, good) && refused == before {
			t.Errorf("another text in entry %d was not noticed", i)
		}
	}
	t.Logf("%d refused", refused)
}

// tryLog opens a member's files with another log, and reads all of it.
func tryLog(t *testing.T, made string, log []byte) error {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "raft")
	if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, logFile)
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	err := checkLog(dir)
	if after, _ := os.ReadFile(path); !bytes.Equal(after, log) {
		t.Error("the file was changed")
	}
	if err != nil {
		return refusedLog(path, err)
	}
	return nil
}

// A log that is gone, or empty, although the member had a part in a cluster:
// it must not begin anew, for it has voted.
func TestLostLogIsNoNewOne(t *testing.T) {
	dir := aLog(t)
	for _, lose := range []func(string) error{
		func(log string) error { return os.Truncate(log, 0) },
		os.Remove,
	} {
		if err := lose(filepath.Join(dir, logFile)); err != nil {
			t.Fatal(err)
		}
		n, err := openAlone(dir)
		if err == nil {
			t.Fatal("it was opened", n.Close())
		}
		if !strings.Contains(err.Error(), meetFile) || !strings.Contains(err.Error(), "join anew") {
			t.Error(err)
		}
	}
}
