package cluster

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// world is a State and what is needed to speak to it: three hypervisors, a
// witness that leads, two VMs on the first host.
type world struct {
	t       *testing.T
	s       State
	index   uint64
	term    uint64
	seq     map[string]uint64
	history []entry
}

type entry struct {
	m Meta
	c Command
}

const (
	hv1, hv2, hv3 = "00000001-0000-4000-8000-000000000000", "00000002-0000-4000-8000-000000000000", "00000003-0000-4000-8000-000000000000"
	vmA, vmB      = "0000000a-0000-4000-8000-000000000000", "0000000b-0000-4000-8000-000000000000"
	witness       = "0000000e-0000-4000-8000-000000000000"
	epoch         = Time(1_790_000_000_000_000_000)
)

var (
	byLeader   = Actor{KindWitness, witness, "wit"}
	byOperator = Actor{KindOperator, "0000000f-0000-4000-8000-000000000000", "ann"}
)

func byHost(id string) Actor { return Actor{KindAgent, id, "hv" + id[7:8]} }

// newWorld is a fleet in mode auto, whose hosts have just beaten.
func newWorld(t *testing.T) *world {
	w := &world{t: t, s: New(testCluster), term: 1, seq: map[string]uint64{}}
	w.s.Now = epoch
	for _, id := range []string{hv1, hv2, hv3} {
		w.must(byHost(id), Announce{testCluster, testHost(id)})
	}
	set := DefaultSettings()
	set.WarmUp = 0
	w.must(byOperator, SetSettings{Settings: set})
	w.must(byOperator, SetMode{Mode: ModeAuto})
	w.beat()
	return w
}

func testHost(id string) Member {
	name := byHost(id).Name
	return Member{
		ID: id, Name: name, Role: RoleHypervisor, Incarnation: 1, Level: 1, Version: "1.0.0", CPUs: 4000, Memory: 16 * GiB,
		APIAddress: name + ":7470", Address: name + ":7471", MigrationPeerURI: "qemu+tcp://" + name + "/system", MigrationURI: "tcp://" + name,
	}
}

func testVM(uuid string) VM {
	return VM{Slot: uint32(uuid[7] - '0'), UUID: uuid, Name: "vm-" + uuid[7:8], VCPUs: 1, MaxMemory: GiB, Run: RunRunning, Lock: LockLockable}
}

func testLoad(at Time) Load {
	return Load{
		TakenAt: at, Window: 10 * time.Second, NextIn: time.Second, Inventory: 1, Source: SourceEBPF, CPUs: 4000, Use: 1000, Memory: 16 * GiB,
	}
}

// homes says which VMs a host of the world reports.
func homes(host string) *Inventory {
	inv := &Inventory{Revision: 1}
	if host == hv1 {
		inv.VMs = []VM{testVM(vmA), testVM(vmB)}
	}
	return inv
}

func (w *world) snapshot(host string) Snapshot {
	w.seq[host]++
	return Snapshot{Host: host, Incarnation: 1, Sequence: w.seq[host], Inventory: homes(host), Load: testLoad(w.s.Now)}
}

// beat lets every host send a snapshot now.
func (w *world) beat() {
	w.t.Helper()
	rejected := w.s.Rejected
	w.must(byLeader, Snapshots{[]Snapshot{w.snapshot(hv1), w.snapshot(hv2), w.snapshot(hv3)}})
	if w.s.Rejected != rejected {
		w.t.Fatal("a snapshot was refused")
	}
}

func (w *world) wait(d time.Duration) { w.s.Now = w.s.Now.Add(d) }

func (w *world) apply(by Actor, body Body) error {
	w.index++
	e := entry{Meta{Index: w.index, Term: w.term}, Command{Level: 1, ID: fmt.Sprintf("c%d", w.index), Actor: by, At: w.s.Now, Body: body}}
	w.history = append(w.history, e)
	before := encoded(w.t, w.s)
	old := w.s
	next, err := w.s.Apply(e.m, e.c)
	if !bytes.Equal(before, encoded(w.t, old)) {
		w.t.Fatalf("applying %s changed the State before it", e.c.Kind())
	}
	w.s = next
	return err
}

func (w *world) must(by Actor, body Body) {
	w.t.Helper()
	if err := w.apply(by, body); err != nil {
		w.t.Fatalf("%s: %v", body.kind(), err)
	}
}

// refuses asks that a command is refused with a code, and changes nothing but
// time, the log's place and the receipt.
func (w *world) refuses(code Code, by Actor, body Body) {
	w.t.Helper()
	before := w.s
	err := w.apply(by, body)
	if r := RefusalOf(err); r == nil || r.Code != code {
		w.t.Fatalf("%s: %v, want %s", body.kind(), err, code)
	}
	before.Index, before.Term, before.TermSince, before.Now = w.s.Index, w.s.Term, w.s.TermSince, w.s.Now
	before.recent, before.receipts = w.s.recent, w.s.receipts
	if !bytes.Equal(encoded(w.t, before), encoded(w.t, w.s)) {
		w.t.Fatalf("%s was refused, but changed the State", body.kind())
	}
}

func encoded(t interface{ Fatal(...any) }, s State) []byte {
	var b bytes.Buffer
	if err := s.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// orderOf is a lawful order of the next move.
func (w *world) orderOf(vm, source, target string, trigger Trigger) Order {
	return Order{
		ID: w.s.NextMoveID(0), VM: vm, Source: source, Target: target, Trigger: trigger, Reason: "because", Term: w.term,
		DecidedOn: w.index, Deadline: w.s.Now.Add(30 * time.Second), StartWindow: 30 * time.Second, Budget: time.Minute,
	}
}

func (w *world) decide(orders ...Order) Decide {
	return Decide{Decision{ID: w.s.NextDecisionID(), Result: ResultMoved}, orders}
}

// ordered gives an automatic order for vmA from hv1 to hv2.
func (w *world) ordered() string {
	w.t.Helper()
	o := w.orderOf(vmA, hv1, hv2, TriggerAuto)
	w.must(byLeader, w.decide(o))
	return o.ID
}

func (w *world) claimed() string {
	w.t.Helper()
	id := w.ordered()
	w.must(byHost(hv2), Reserve{id})
	w.must(byHost(hv1), Claim{id, 1})
	return id
}

func (w *world) running() string {
	w.t.Helper()
	id := w.claimed()
	w.must(byHost(hv1), Start{Move: id})
	return id
}

func (w *world) done() string {
	w.t.Helper()
	id := w.running()
	w.must(byHost(hv1), EndJob{Move: id, Evidence: gone})
	w.must(byHost(hv2), Testify{Move: id, Evidence: runs})
	return id
}

func (w *world) unknown() string {
	w.t.Helper()
	id := w.running()
	w.must(byHost(hv1), EndJob{Move: id, Evidence: runs})
	w.must(byHost(hv2), Testify{Move: id, Evidence: runs})
	return id
}

// at brings a fresh world's first move into a state.
func (w *world) at(state MoveState) string {
	w.t.Helper()
	switch state {
	case MoveOrdered:
		return w.ordered()
	case MoveClaimed:
		return w.claimed()
	case MoveRunning:
		return w.running()
	case MoveUnknown:
		return w.unknown()
	case MoveDone:
		return w.done()
	}
	w.t.Fatalf("no way to %s", state)
	return ""
}

func (w *world) is(id string, state MoveState) Move {
	w.t.Helper()
	m, ok := w.s.Move(id)
	if !ok || m.State != state {
		w.t.Fatalf("%s is %q, want %s", id, m.State, state)
	}
	_, live := w.s.LiveMove(m.VM)
	if live != state.Live() {
		w.t.Fatalf("%s is %s, but live: %v", id, state, live)
	}
	return m
}

var (
	runs   = Evidence{Presence: PresenceRunning, Process: true}
	gone   = Evidence{Presence: PresenceAbsent}
	paused = Evidence{Presence: PresencePaused, Process: true}
)
