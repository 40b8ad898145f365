package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// startOnFiles starts a host whose log and snapshots are files.
func (h *host) startOnFiles(dir string) {
	t := h.world.t
	t.Helper()
	begin, err := Claim(dir, testCluster, h.id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openFiles(dir, raftLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	_, trans := raft.NewInmemTransport(raft.ServerAddress(h.addr))
	b.trans = trans
	n, err := start(Config{
		Member: h.id, Cluster: testCluster, Role: cluster.RoleHypervisor, Address: h.addr, Network: fakeNetwork{h}, Dir: dir,
		Peers: h.world.peers, BootstrapExpect: h.world.expect, Logger: slog.New(slog.DiscardHandler), Clock: h.clock,
	}, b, begin)
	if err != nil {
		t.Fatal(err)
	}
	h.world.mu.Lock()
	h.trans, h.node = trans, n
	h.detach = h.attach(n)
	h.world.mu.Unlock()
	h.world.wire()
}

func survivor(h *host, dir string) Survivor {
	return Survivor{Dir: dir, Cluster: testCluster, Member: h.id, Address: h.addr}
}

// announce is a command whose trace in the State can be looked up.
func announce(h *host, name string) cluster.Command {
	return cluster.Command{
		Actor: cluster.Actor{Kind: cluster.KindAgent, ID: h.id},
		Body:  cluster.Announce{Cluster: testCluster, Member: cluster.Member{ID: h.id, Name: name, Role: cluster.RoleWitness, Incarnation: 1, Level: 1, Address: h.addr}},
	}
}

// Three members on files, two lost for good: the third goes on alone with all
// that was acknowledged, and a new member joins it.
func TestRecoverLostQuorum(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		defer func() { w.closeAll() }()
		dirs := []string{filepath.Join(root, "0"), filepath.Join(root, "1"), filepath.Join(root, "2")}
		for i, h := range w.hosts {
			h.startOnFiles(dirs[i])
		}
		w.agree()
		for i, h := range w.hosts {
			w.must(announce(h, []string{"a", "b", "c"}[i]))
		}
		index := w.must(cluster.Command{Body: cluster.SetMode{Mode: cluster.ModeOff}, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "o", Name: "o"}})
		time.Sleep(5 * time.Second) // so that all have applied it
		term := w.hosts[0].node.Health().Term
		if _, err := Recover(t.Context(), survivor(w.hosts[0], dirs[0]), filepath.Join(root, "aside")); !errors.Is(err, ErrInUse) {
			t.Fatalf("recovered under a running daemon: %v", err)
		}
		w.closeAll()

		out, err := Recover(t.Context(), survivor(w.hosts[0], dirs[0]), filepath.Join(root, "aside"))
		if err != nil {
			t.Fatal(err)
		}
		if out.Index != index || len(out.Lost) != 2 || out.Incarnation != 2 {
			t.Errorf("%+v, want index %d and two lost voters", out, index)
		}
		if _, err := os.Stat(filepath.Join(root, "aside", logFile)); err != nil {
			t.Error(err)
		}
		h := w.hosts[0]
		h.startOnFiles(dirs[0])
		l := w.leader()
		state, _ := l.node.State()
		if l != h || state.Mode != cluster.ModeOff || state.Frozen.Since == 0 || l.node.Health().Term <= term+cluster.ReviveTerms/2 {
			t.Fatalf("%s leads in term %d with mode %s, frozen %+v", l.id, l.node.Health().Term, state.Mode, state.Frozen)
		}
		for i, name := range []string{"a", "b", "c"} {
			if m, ok := state.Member(w.hosts[i].id); !ok || m.Name != name {
				t.Errorf("member %s is %+v", name, m)
			}
		}
		newcomer := w.add()
		newcomer.startOnFiles(filepath.Join(root, "3"))
		w.must(announce(newcomer, "d"))
		// Two vote no better than one, so the newcomer's seat has no vote yet.
		for deadline := 0; len(l.node.seats()) != 2; deadline++ {
			if deadline > 1200 {
				t.Fatalf("the newcomer got no seat: %+v", l.node.Health())
			}
			time.Sleep(100 * time.Millisecond)
		}
		w.must(cluster.Command{Body: cluster.SetMode{Mode: cluster.ModeRecommend}, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "o", Name: "o"}})
		time.Sleep(5 * time.Second)
		if s, _ := newcomer.node.State(); s.Mode != cluster.ModeRecommend {
			t.Errorf("the newcomer's mode is %s", s.Mode)
		}
	})
}

// Two voters that were given up come back with their old files, a majority of
// the cluster as it was. Where they reach the survivor nobody elects them, and
// they say why; where they reach only each other they go on, until they hear of
// it. Beside a cluster that has a leader nothing is recovered.
func TestLostVotersComeBack(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		defer func() { w.closeAll() }()
		dir := func(i int) string { return filepath.Join(root, fmt.Sprint(i)) }
		for i, h := range w.hosts {
			h.startOnFiles(dir(i))
		}
		w.agree()
		for i, h := range w.hosts {
			w.must(announce(h, []string{"a", "b", "c"}[i]))
		}
		time.Sleep(5 * time.Second) // so that all have applied it
		left, lost := w.hosts[0], w.hosts[1:]
		left.close()
		s := survivor(left, dir(0))
		s.Peer = fakeNetwork{left}.Peer
		w.agree() // the two others: nothing is lost
		if _, err := Recover(t.Context(), s, filepath.Join(root, "aside")); !errors.Is(err, ErrQuorum) || !strings.Contains(err.Error(), "knows a leader") {
			t.Fatalf("recovered beside a cluster that has a leader: %v", err)
		}
		w.closeAll()
		if _, err := Recover(t.Context(), s, filepath.Join(root, "aside")); err != nil {
			t.Fatal(err)
		}
		left.startOnFiles(dir(0))
		w.leader()

		for i, h := range lost {
			h.startOnFiles(dir(i + 1))
		}
		nobody := func(stage string) {
			t.Helper()
			for _, h := range lost {
				if _, leads := h.node.Leading(); leads {
					t.Fatalf("%s: %s leads", stage, h.id)
				}
				if why := h.node.Health(); !strings.Contains(why.Waiting, "was removed") || !strings.Contains(why.Unfit, "was removed") {
					t.Fatalf("%s: %s says %+v", stage, h.id, why)
				}
			}
		}
		time.Sleep(2 * time.Second)
		for range 120 {
			time.Sleep(time.Second)
			nobody("reached by the survivor")
		}

		for _, h := range lost {
			h.close()
		}
		left.isolate(true)
		for i, h := range lost {
			h.startOnFiles(dir(i + 1))
		}
		time.Sleep(time.Minute)
		leads := 0
		for _, h := range lost {
			if _, ok := h.node.Leading(); ok {
				leads++
			}
		}
		if leads != 1 {
			t.Fatalf("%d of the two lead where the survivor cannot be reached: what is tested below needs one", leads)
		}
		left.isolate(false)
		time.Sleep(30 * time.Second)
		nobody("heard of it later")
		if l := w.leader(); l != left {
			t.Errorf("%s leads", l.id)
		}
		w.must(cluster.Command{Body: cluster.SetMode{Mode: cluster.ModeRecommend}, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "o", Name: "o"}})
	})
}

func TestRecoverRefuses(t *testing.T) {
	dir := t.TempDir()
	s := Survivor{Dir: filepath.Join(dir, "raft"), Cluster: testCluster, Member: memberID(1), Address: "10.0.0.1:7471"}
	if _, err := Recover(t.Context(), s, filepath.Join(dir, "aside")); err == nil || !strings.Contains(err.Error(), "no Raft log") {
		t.Errorf("an empty directory: %v", err)
	}
	n, err := openAlone(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for { // until it has founded its cluster of one
		if _, ok := n.Leading(); ok {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("no leader")
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	other := s
	other.Member = memberID(2)
	if _, err := Recover(t.Context(), other, filepath.Join(dir, "aside")); err == nil || !strings.Contains(err.Error(), "belongs to member") {
		t.Errorf("another member's directory: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(t.Context(), s, filepath.Join(dir, "taken")); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a copy that cannot be made: %v", err)
	}
	if _, err := Restore(s, nil, sampleState(t)); err == nil || !strings.Contains(err.Error(), "holds a State already") {
		t.Errorf("restored over a State: %v", err)
	}
}

// A backup, restored on an empty disk, leads alone and goes on from its State.
func TestRestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "raft")
	state := sampleState(t)
	s := Survivor{Dir: dir, Cluster: testCluster, Member: memberID(1), Address: "10.0.0.1:7471"}
	foreign := s
	foreign.Cluster = "other"
	if _, err := Restore(foreign, nil, state); err == nil || !strings.Contains(err.Error(), "of cluster "+testCluster) {
		t.Errorf("another cluster's backup: %v", err)
	}
	voters := []Voter{{memberID(1), "10.0.0.1:7471"}, {memberID(2), "10.0.0.2:7471"}}
	if out, err := Restore(s, voters, state); err != nil || out.Index != state.Index || !slices.Equal(out.Lost, voters[1:]) {
		t.Fatalf("%+v, %v", out, err)
	}
	n, err := openAlone(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		index, err := n.Propose(ctx, cluster.Command{Body: cluster.SetMode{Mode: cluster.ModeOff}, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "o", Name: "o"}})
		if err == nil {
			if index <= state.Index+cluster.ReviveIndex {
				t.Errorf("index %d is not ahead of what may have been lost", index)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	got, _ := n.State()
	if !got.Revoked(memberID(2)) || got.Revoked(memberID(1)) {
		t.Errorf("removals %+v; who voted at the save may not come back with old files", got.Removals)
	}
	if _, ok := got.Member(memberID(1)); !ok || got.Mode != cluster.ModeOff || got.Frozen.Since == 0 || got.NextMoveID(0) == state.NextMoveID(0) {
		t.Errorf("mode %s, frozen %+v, next move %s", got.Mode, got.Frozen, got.NextMoveID(0))
	}
}

func backup(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := WriteBackup(&out, Backup{SavedBy: "hv1", Voters: []Voter{{"m", "a:1"}}}, sampleState(t)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBackupDamage(t *testing.T) {
	good := backup(t)
	b, state, err := ReadBackup(bytes.NewReader(good))
	if err != nil || b.Cluster != testCluster || b.Index != state.Index || b.Voters[0].Member != "m" {
		t.Fatalf("%+v, %v", b, err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if _, _, err := ReadBackup(bytes.NewReader(bad)); err == nil {
			t.Fatalf("a flipped bit in byte %d of %d was not noticed", i, len(good))
		}
		if _, _, err := ReadBackup(bytes.NewReader(good[:i])); err == nil {
			t.Fatalf("cut after %d of %d bytes, not noticed", i, len(good))
		}
	}
	if _, _, err := ReadBackup(bytes.NewReader(append(good, 'x'))); err == nil {
		t.Error("a byte too many was not noticed")
	}
}

func FuzzReadBackup(f *testing.F) {
	f.Add(backup(f))
	f.Add([]byte(backupMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, state, err := ReadBackup(bytes.NewReader(data))
		if err == nil && (b.Cluster != state.Cluster || b.Index != state.Index) {
			t.Error("header and State differ")
		}
	})
}
