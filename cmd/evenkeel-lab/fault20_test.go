package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/wiretap"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// step is a message of a migration at which something is killed.
type step struct {
	host      string // whose libvirtd the message goes to or comes from
	procedure wiretap.Procedure
	direction wiretap.Direction
}

func (s step) String() string { return fmt.Sprintf("%s's %s", s.procedure, s.direction) }

var steps = []step{
	{"hv1", wiretap.Perform, wiretap.Call},  // the journal says running, libvirt has not been called
	{"hv2", wiretap.Prepare, wiretap.Call},  // nothing at the target yet
	{"hv2", wiretap.Prepare, wiretap.Reply}, // the target's QEMU waits for the memory
	{"hv2", wiretap.Finish, wiretap.Call},   // all is copied, nobody runs
	{"hv2", wiretap.Finish, wiretap.Reply},  // the target runs, the source does not know
	{"hv1", wiretap.Perform, wiretap.Reply}, // all is over, the agent does not know
}

// outcome waits for the end of the newest move and holds it against the
// hypervisors: a move that is done has its VM at the target, one that failed or
// was aborted at the source; one that is unknown is quarantined, and ends by
// evidence when a person has ended one of two copies.
func (o *ordeal) outcome(than uint64) api.Move {
	o.t.Helper()
	m := o.untilNewer(than, 2*time.Minute, cluster.MoveDone, cluster.MoveFailed, cluster.MoveAborted, cluster.MoveReleased, cluster.MoveUnknown)
	if m.State == cluster.MoveUnknown && m.AtSource != nil && m.AtTarget != nil && m.AtSource.Presence == m.AtTarget.Presence {
		o.on("hv1", "hv2")
		o.quarantined()
		o.virsh("hv2", "destroy", o.vm)
	}
	if m.State == cluster.MoveUnknown && m.AtSource != nil && m.AtTarget != nil &&
		m.AtSource.Presence == cluster.PresencePaused && m.AtTarget.Presence == cluster.PresenceRunning {
		// Finish reached the target after the source's libvirtd had died: it
		// runs there, and a person ends the copy that was left behind.
		o.quarantined()
		o.virsh("hv1", "destroy", o.vm)
	}
	if m.State == cluster.MoveUnknown { // one end was away, or an orphan is being settled
		m = o.untilNewer(than, time.Minute, cluster.MoveDone, cluster.MoveFailed, cluster.MoveAborted)
	}
	if m.State == cluster.MoveDone {
		o.on("hv2")
	} else {
		o.on("hv1")
	}
	return m
}

// virsh does what a person at a host would.
func (o *ordeal) virsh(host string, args ...string) {
	o.t.Helper()
	o.exec(host, append([]string{"virsh"}, args...)...)
}

func (o *ordeal) exec(host string, args ...string) {
	o.t.Helper()
	_, err := o.d.Lab.Exec(o.ctx, host, args...)
	o.must(err)
}

// TestFault20AgentRestartedInEachJournalState kills the source's daemon at
// each message of the migration. Its next start finds in its journal how far
// it got, begins nothing twice, and reports what is true.
func TestFault20AgentRestartedInEachJournalState(t *testing.T) {
	chosen := []step{steps[0], steps[5]}
	if long() {
		chosen = steps
	}
	o := onFleet(t, nil)
	for i, s := range chosen {
		if t.Failed() {
			break // the next round would begin from a place that nobody knows
		}
		t.Run(s.String(), func(t *testing.T) {
			o := o.in(t)
			if i > 0 {
				o.home(nil)
			}
			than, stop := o.newest().Index, o.tap[s.host].Arm(s.procedure, s.direction)
			o.move()
			o.reached(stop)
			if err := o.d.Lab.SignalAgent(o.ctx, "hv1", syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if s.host == "hv2" {
				stop.Pass() // libvirt goes on without its client
			} else {
				stop.Cut() // the client's own connection has died with it
			}
			if err := o.d.Lab.StartAgent(o.ctx, "hv1"); err != nil {
				t.Fatal(err)
			}
			m := o.outcome(than)
			if want := s != steps[0]; (m.State == cluster.MoveDone) != want {
				t.Errorf("killed at %s it ended %s", s, m.State)
			}
			o.unbroken(demoGap)
		})
	}
}

// TestFault20AgentRestartedArrivingPaused kills the source's daemon while it
// copies a VM that is to arrive paused, and starts it again: the next daemon
// adopts the job and gives the word on which the target resumes the VM.
func TestFault20AgentRestartedArrivingPaused(t *testing.T) {
	o := onFleet(t, map[string]string{"allow_unlocked": "false", "arrive_paused": "true"})
	o.move()
	o.copying()
	o.must(o.d.Lab.SignalAgent(o.ctx, "hv1", syscall.SIGKILL))
	o.must(o.d.Lab.StartAgent(o.ctx, "hv1"))
	o.until(90*time.Second, cluster.MoveDone)
	o.on("hv2")
	o.unbroken(arrivalGap)
	if t.Failed() {
		qemuLogs(t, o.d, o.vm)
	}
}

// TestFault21LibvirtdRestartedInEachPhase kills libvirtd at either end at each
// message of the migration.
func TestFault21LibvirtdRestartedInEachPhase(t *testing.T) {
	type kill struct {
		host string
		at   step
	}
	chosen := []kill{{"hv2", steps[2]}}
	if long() {
		chosen = nil
		for _, s := range steps {
			chosen = append(chosen, kill{"hv1", s}, kill{"hv2", s})
		}
	}
	o := onFleet(t, nil)
	for i, k := range chosen {
		if t.Failed() {
			break // the next round would begin from a place that nobody knows
		}
		t.Run(fmt.Sprintf("%s's at %s", k.host, k.at), func(t *testing.T) {
			o := o.in(t)
			if i > 0 {
				o.home(nil)
			}
			than, stop := o.newest().Index, o.tap[k.at.host].Arm(k.at.procedure, k.at.direction)
			o.move()
			o.reached(stop)
			if err := o.d.Lab.SignalLibvirtd(o.ctx, k.host, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			stop.Pass()
			if err := o.d.Lab.StartLibvirtd(o.ctx, k.host); err != nil {
				t.Fatal(err)
			}
			if m := o.outcome(than); m.State == cluster.MoveFailed && len(m.Report) == 0 {
				t.Error("a move that failed does not say what libvirt said")
			}
			o.oneBoot()
		})
	}
}

// TestFault25HungMonitor freezes the VM's QEMU in pre-copy: libvirt's answers
// about its job hang, and so does the abort. The host's figures go on all the
// same, and when QEMU wakes the move ends well.
func TestFault25HungMonitor(t *testing.T) {
	o := onFleet(t, map[string]string{"move_budget": "6s"})
	o.move()
	o.copying()
	pid, err := o.d.Lab.QEMUPID("hv1", o.vm)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	frozen := time.Now()
	for time.Since(frozen) < 15*time.Second { // the length of the fault, not of a wait
		hosts, err := o.d.Hosts(o.ctx)
		if err != nil {
			t.Error(err)
		}
		for _, h := range hosts {
			if !h.Fresh {
				t.Errorf("%s is silent %v after vm1's monitor hung", h.Name, time.Since(frozen))
			}
		}
		if t.Failed() {
			break
		}
		time.Sleep(time.Second)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if m := o.outcome(o.than); m.State != cluster.MoveAborted {
		t.Errorf("ended %s", m.State)
	}
	o.unbroken(25 * time.Second)
}

// TestFault26NotConverging moves a VM that dirties its memory four times as
// fast as it may be copied: the migration is aborted when its budget is spent,
// and the VM has noticed nothing.
func TestFault26NotConverging(t *testing.T) {
	o := onFleet(t, map[string]string{"move_budget": "12s"})
	o.guest("hog", "cpu:10+dirty:64", nil)
	o.move()
	ctx, cancel := context.WithTimeout(o.ctx, 60*time.Second)
	defer cancel()
	o.must(drill.Until(ctx, "progress that tells why", func() (bool, error) {
		m := o.newest()
		return m.Progress.Iteration > 1 && m.Progress.DirtyBytesPerSecond > 0, errors.New(words([]api.Move{m}))
	}))
	m := o.until(60*time.Second, cluster.MoveAborted)
	if !m.AbortAsked {
		t.Errorf("it does not say that it was aborted: %+v", m)
	}
	o.on("hv1")
	o.unbroken(demoGap)
}

// TestFault27LinkCut pulls the target's cable in pre-copy.
func TestFault27LinkCut(t *testing.T) {
	cuts := []time.Duration{10 * time.Second}
	if long() {
		cuts = append(cuts, time.Minute)
	}
	for _, cut := range cuts {
		t.Run(cut.String(), func(t *testing.T) {
			o := onFleet(t, nil)
			o.move()
			o.copying()
			if err := o.d.Lab.SetLink("hv2", false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(cut) // the length of the fault
			if err := o.d.Lab.SetLink("hv2", true); err != nil {
				t.Fatal(err)
			}
			o.outcome(o.than)
			o.unbroken(cut + 30*time.Second)
		})
	}
}

// TestFault28TargetLosesCapacity takes the target's memory away after it has
// consented, right before Prepare: QEMU does not start there.
func TestFault28TargetLosesCapacity(t *testing.T) {
	o := onFleet(t, nil)
	stop := o.tap["hv2"].Arm(wiretap.Prepare, wiretap.Call)
	o.move()
	o.reached(stop)
	h, err := o.d.Lab.Host("hv2")
	if err != nil {
		t.Fatal(err)
	}
	limit := func(bytes string) { // a QEMU inherits what its libvirtd may address
		o.exec("hv2", "prlimit", "--as="+bytes+":", "--pid", strconv.Itoa(h.Libvirtd.PID))
	}
	limit(strconv.Itoa(64 << 20))
	defer limit("unlimited")
	stop.Pass()
	m := o.until(60*time.Second, cluster.MoveFailed)
	if m.Report == "" {
		t.Error("libvirt's words are lost")
	}
	o.on("hv1")
	o.unbroken(demoGap)
}

// TestFault29VMChangesMidMove has a person meddle with a VM in pre-copy.
func TestFault29VMChangesMidMove(t *testing.T) {
	t.Run("destroyed", func(t *testing.T) {
		o := onFleet(t, nil)
		o.spent = true // nobody can bring the VM back
		o.move()
		o.copying()
		o.virsh("hv1", "destroy", o.vm)
		m := o.until(90*time.Second, cluster.MoveUnknown) // nobody has it: only a person can tell why
		o.on()
		o.told("move-unknown", m.ID+": "+o.vm, "has an unknown outcome")
	})
	if !long() {
		return
	}
	t.Run("renamed, snapshotted, hot-plugged", func(t *testing.T) {
		o := onFleet(t, nil)
		o.move()
		o.copying()
		for _, args := range [][]string{
			{"domrename", o.vm, "other"}, {"snapshot-create", "vm1"}, {"setvcpus", o.vm, "2", "--live"},
		} { // libvirt refuses them while the VM migrates
			if out, err := o.d.Lab.Exec(o.ctx, "hv1", append([]string{"virsh"}, args...)...); err == nil {
				t.Errorf("virsh %v is accepted: %s", args, out)
			}
		}
		if m := o.outcome(o.than); m.State != cluster.MoveDone {
			t.Errorf("ended %s", m.State)
		}
		o.unbroken(demoGap)
	})
	t.Run("suspended", func(t *testing.T) {
		o := onFleet(t, nil)
		o.move()
		o.copying()
		o.virsh("hv1", "suspend", o.vm)
		m := o.until(90*time.Second, cluster.MoveUnknown, cluster.MoveDone, cluster.MoveFailed)
		at := "hv2"
		if m.AtTarget == nil || m.AtTarget.Presence == cluster.PresenceAbsent {
			at = "hv1"
		}
		o.virsh(at, "resume", o.vm) // whoever suspended it
		o.outcome(o.than)
		o.unbroken(2 * time.Minute)
	})
}

// TestFault30ThirdPartyMigratesFirst has a person migrate the VM between the
// order and the target's consent.
func TestFault30ThirdPartyMigratesFirst(t *testing.T) {
	o := onFleet(t, map[string]string{"claim_within": "30s"})
	o.must(o.d.Lead(o.ctx, "witness"))
	o.ready("hv2") // to change the leader froze it, and it must have been heard of since
	release := freeze(t, o.d, "hv2")
	o.move()
	h, err := o.d.Lab.Host("hv2")
	if err != nil {
		t.Fatal(err)
	}
	o.virsh("hv1", "migrate", "--live", "--p2p", o.vm, "qemu+tcp://"+h.Address+"/system", "tcp://"+h.Address)
	release()
	m := o.until(90*time.Second, cluster.MoveVetoed, cluster.MoveReleased, cluster.MoveExpired)
	if m.StartedAt != (api.Time{}) {
		t.Errorf("it was begun: %+v", m)
	}
	o.on("hv2")
	o.unbroken(10 * time.Second)
}

// TestFault31OneVMOnTwoHosts starts a second VM with the same UUID on another
// host. evenkeel says so, touches neither, and forgets it when it is over.
func TestFault31OneVMOnTwoHosts(t *testing.T) {
	o := onFleet(t, nil)
	xml, err := o.d.Lab.Exec(o.ctx, "hv1", "virsh", "dumpxml", o.vm, "--migratable")
	if err != nil {
		t.Fatal(err)
	}
	path, err := o.d.Lab.HostPath("hv2", "/run/twin.xml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(xml), 0o600); err != nil {
		t.Fatal(err)
	}
	o.virsh("hv2", "create", "/run/twin.xml")
	o.told("vm-duplicated", o.vm+" is reported by", "hv1", "hv2")
	if _, err := o.evenkeel("migrate", o.vm, "hv2", "--yes"); err == nil {
		t.Error("a VM that two hosts report may be moved")
	}
	o.on("hv1", "hv2")
	o.virsh("hv2", "destroy", o.vm)
	o.ready("hv2")
	o.on("hv1")
	o.alive()
}
