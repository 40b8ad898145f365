package consensus

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const snapshotterDir = "EVENKEEL_TEST_SNAPSHOTTER"

// TestSnapshotterProcess is no test but the process that
// TestFault10KilledWhileSnapshotting kills: it counts as fast as it can, prints
// what was acknowledged, and makes one snapshot after the other.
func TestSnapshotterProcess(t *testing.T) {
	dir := os.Getenv(snapshotterDir)
	if dir == "" {
		return
	}
	n, err := openAlone(dir)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			_ = n.raft.Snapshot().Error()
		}
	}()
	for i := counted(t, n) + 1; ; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := n.Propose(ctx, cluster.Command{Actor: operator, Body: cluster.Pause{
			Until: cluster.TimeOf(time.Now().Add(time.Hour)), Text: strconv.Itoa(i),
		}})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("acknowledged", i)
	}
}

// counted waits until the replica leads and says how far it has counted.
func counted(t *testing.T, n *Node) (i int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		if _, err := n.ReadIndex(ctx); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	s, _ := n.State()
	i, _ = strconv.Atoi(s.Paused.Text) // "" is 0
	return i
}

// Case 10: SIGKILL while a snapshot is being written, on real files. The next
// start finds everything that was acknowledged.
func TestFault10KilledWhileSnapshotting(t *testing.T) {
	dir := t.TempDir()
	struck := 0
	for round := range 4 {
		last := killedWhileSnapshotting(t, dir)
		if left, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*.tmp")); len(left) > 0 {
			struck++
		}
		n, err := openAlone(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := counted(t, n); got < last {
			t.Errorf("round %d: %d was acknowledged, the State has counted to %d", round, last, got)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*.tmp")); len(left) > 0 {
			t.Errorf("round %d: %v were left", round, left)
		}
	}
	if struck == 0 {
		t.Error("no kill struck while a snapshot was being written: nothing was proven")
	}
	t.Logf("%d of 4 kills left half a snapshot behind", struck)
}

// killedWhileSnapshotting runs the process until it writes a snapshot, kills
// it, and returns the last thing that it said was acknowledged.
func killedWhileSnapshotting(t *testing.T, dir string) (last int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestSnapshotterProcess$")
	cmd.Env = append(os.Environ(), snapshotterDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	killed := make(chan struct{})
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &last); err != nil || n != 20 {
			continue
		}
		go func() {
			defer close(killed)
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
				if now, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*.tmp")); len(now) > 0 {
					break
				}
			}
			_ = cmd.Process.Kill()
		}()
	}
	_ = cmd.Wait()
	if last == 0 {
		t.Fatal("the process acknowledged nothing")
	}
	<-killed
	return last
}
