package consensus

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestFound(t *testing.T) {
	founders := []string{"a:1", "b:1", "c:1"}
	member := func(id, addr string, change func(*PeerInfo)) answer {
		p := PeerInfo{Member: id, Address: addr, Founders: founders}
		if change != nil {
			change(&p)
		}
		return answer{info: p}
	}
	full := func() map[string]answer {
		return map[string]answer{"a:1": member("2", "a:1", nil), "b:1": member("3", "b:1", nil), "c:1": member("1", "c:1", nil)}
	}
	for name, c := range map[string]struct {
		spoil func(self *PeerInfo, all map[string]answer)
		word  string // of the error; "" if the cluster is founded
	}{
		"all there":     {nil, ""},
		"never":         {func(self *PeerInfo, _ map[string]answer) { self.Founders = nil }, "bootstrapExpect is 0"},
		"one silent":    {func(_ *PeerInfo, all map[string]answer) { all["b:1"] = answer{err: errUnreachable} }, "b:1 does not answer"},
		"one not asked": {func(_ *PeerInfo, all map[string]answer) { delete(all, "c:1") }, "not asked"},
		"one has memory": {func(_ *PeerInfo, all map[string]answer) {
			all["c:1"] = member("1", "c:1", func(p *PeerInfo) { p.Formed = true })
		}, "a cluster exists"},
		"other founders": {func(_ *PeerInfo, all map[string]answer) {
			all["b:1"] = member("3", "b:1", func(p *PeerInfo) { p.Founders = founders[:2] })
		}, "same everywhere"},
		"one id twice":    {func(_ *PeerInfo, all map[string]answer) { all["b:1"] = member("2", "b:1", nil) }, "member 2 answers at"},
		"not a founder":   {func(self *PeerInfo, _ map[string]answer) { self.Member = "9" }, "no founder"},
		"address differs": {func(self *PeerInfo, _ map[string]answer) { self.Address = "z:1" }, "no founder"},
	} {
		t.Run(name, func(t *testing.T) {
			self, all := PeerInfo{Member: "2", Address: "a:1", Founders: founders}, full()
			if c.spoil != nil {
				c.spoil(&self, all)
			}
			voters, err := found(self, all)
			if c.word == "" {
				if want := []Voter{{"1", "c:1"}, {"2", "a:1"}, {"3", "b:1"}}; err != nil || !slices.Equal(voters, want) {
					t.Errorf("%v, %v; want %v", voters, err, want)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.word) {
				t.Errorf("%v, %v; want an error with %q", voters, err, c.word)
			}
		})
	}
}

// Members that start in any order found one cluster, and not before all of
// them are there.
func TestBootstrapWaitsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		defer w.closeAll()
		w.hosts[2].start()
		w.hosts[0].start()
		time.Sleep(time.Minute)
		for _, h := range w.running() {
			health := h.node.Health()
			if h.node.formed() || health.Healthy() || !strings.Contains(health.Waiting, w.hosts[1].addr) {
				t.Errorf("two of three: formed %v, waiting for %q", h.node.formed(), health.Waiting)
			}
		}
		w.hosts[1].start()
		w.agree()
		w.settle()
		for _, h := range w.running() {
			if health := h.node.Health(); !health.Healthy() || len(health.Voters) != 3 {
				t.Errorf("%s: %+v", h.id, health)
			}
		}
	})
}

// A cluster that exists is joined, never founded anew beside it: a member
// without a seat waits for the leader's stream, and asks nobody for more.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})

		newcomer := w.add()
		newcomer.start()
		time.Sleep(time.Minute)
		health := newcomer.node.Health()
		if leader := w.leader(); health.Part != "agent" || !health.Healthy() || health.Leader != leader.id || len(leader.node.voters()) != 3 {
			t.Errorf("a member without a seat: %+v; voters %v", health, leader.node.voters())
		}
		if err := w.leader().node.Admit(t.Context(), newcomer.id, newcomer.addr); !errors.Is(err, ErrNotAdmitted) {
			t.Errorf("it asks for a seat: %v", err)
		}
		if newcomer.node.formed() {
			t.Error("it has Raft state without a seat")
		}
	})
}

// A member that returns under another address is the same member.
func TestChangedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		moved := w.leader() // the harder case
		moved.close()
		w.mu.Lock()
		moved.addr = "10.9.9.9:7471"
		w.mu.Unlock()
		// A restart takes a while. The library reads a peer's address without its
		// lock in the very moment in which it finds the old connection dead.
		time.Sleep(5 * time.Second)
		moved.start()
		w.settle()
		for _, h := range w.running() {
			if v := h.node.voters(); len(v) != 3 || !slices.Contains(v, Voter{moved.id, "10.9.9.9:7471"}) {
				t.Errorf("%s: voters %v", h.id, v)
			}
		}
		// Nobody else may take it.
		if err := w.leader().node.admit(t.Context(), memberID(7), "10.9.9.9:7471"); !errors.Is(err, ErrNotAdmitted) {
			t.Errorf("an address that is taken: %v", err)
		}
	})
}

func TestChangedAddressAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.startAll()
		defer w.closeAll()
		w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
		h := w.hosts[0]
		h.close()
		h.addr = "10.9.9.9:7471"
		h.start()
		w.settle()
		if v := h.node.voters(); !slices.Equal(v, []Voter{{h.id, h.addr}}) {
			t.Errorf("voters %v", v)
		}
	})
}

// Who may speak Raft: whom the configuration names; before there is one, whom
// peers vouch for, once all founders have answered.
func TestMaySpeakRaft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		defer w.closeAll()
		w.hosts[0].start()
		w.hosts[1].start()
		time.Sleep(10 * time.Second)
		n := w.hosts[0].node
		if n.MaySpeakRaft(memberID(1)) || n.MaySpeakRaft(memberID(2)) {
			t.Error("somebody may speak, while a founder is silent who may know that this member has lost its log")
		}
		w.hosts[2].start()
		w.settle()
		if !n.MaySpeakRaft(memberID(2)) || n.MaySpeakRaft(memberID(3)) {
			t.Error("in a cluster: its voters may speak, nobody else")
		}
		// A member that was away believes its fellow voters about newer ones, and
		// no outsider about himself or his friends.
		newcomer := []Voter{{memberID(3), "10.0.0.3:7471"}}
		n.attest(map[string]answer{"x": {info: PeerInfo{Member: memberID(9), Voters: newcomer}}})
		if n.MaySpeakRaft(memberID(9)) || n.MaySpeakRaft(memberID(3)) {
			t.Error("an outsider's word was taken")
		}
		n.attest(map[string]answer{"x": {info: PeerInfo{Member: memberID(1), Voters: newcomer}}})
		if !n.MaySpeakRaft(memberID(3)) {
			t.Error("a fellow voter's word was not taken")
		}
	})
}

// Peers of another cluster are not joined, whatever they say.
func TestOtherCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		foreign := w.add()
		foreign.cluster = "c0000000-0000-4000-8000-00000000000f"
		foreign.start()
		time.Sleep(time.Minute)
		if foreign.node.formed() {
			t.Error("a member of another cluster has taken part")
		}
		if waiting := foreign.node.Health().Waiting; !strings.Contains(waiting, "never merge") {
			t.Errorf("waiting for %q", waiting)
		}
		if err := w.leader().node.Admit(t.Context(), foreign.id, foreign.addr); !errors.Is(err, ErrNotAdmitted) {
			t.Errorf("admit: %v", err)
		}
		foreign.close() // its State is another cluster's: settle compares the others
	})
}
