package consensus

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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
	incarnation, err := Claim(dir, testCluster, h.id)
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
	}, b, incarnation)
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
		if _, err := Recover(survivor(w.hosts[0], dirs[0]), filepath.Join(root, "aside")); !errors.Is(err, ErrInUse) {
			t.Fatalf("recovered under a running daemon: %v", err)
		}
		w.closeAll()

		out, err := Recover(survivor(w.hosts[0], dirs[0]), filepath.Join(root, "aside"))
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

func TestRecoverRefuses(t *testing.T) {
	dir := t.TempDir()
	s := Survivor{Dir: filepath.Join(dir, "raft"), Cluster: testCluster, Member: memberID(1), Address: "10.0.0.1:7471"}
	if _, err := Recover(s, filepath.Join(dir, "aside")); err == nil || !strings.Contains(err.Error(), "no Raft log") {
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
	if _, err := Recover(other, filepath.Join(dir, "aside")); err == nil || !strings.Contains(err.Error(), "belongs to member") {
		t.Errorf("another member's directory: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(s, filepath.Join(dir, "taken")); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a copy that cannot be made: %v", err)
	}
	if _, err := Restore(s, sampleState(t)); err == nil || !strings.Contains(err.Error(), "holds a State already") {
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
	if _, err := Restore(foreign, state); err == nil || !strings.Contains(err.Error(), "of cluster "+testCluster) {
		t.Errorf("another cluster's backup: %v", err)
	}
	if out, err := Restore(s, state); err != nil || out.Index != state.Index {
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
