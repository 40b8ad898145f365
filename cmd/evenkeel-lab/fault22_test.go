package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/wiretap"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestFault22LostFinishReply loses the target's answer to Finish: the target
// has the VM running, the source's libvirtd takes the move for failed and
// resumes its own copy. A VM whose disks have no lock then runs twice. evenkeel
// says so, leaves both alone, and takes a person's word for the end.
func TestFault22LostFinishReply(t *testing.T) {
	o := onFleet(t, nil)
	stop := o.tap["hv2"].Arm(wiretap.Finish, wiretap.Reply)
	o.move()
	o.reached(stop)
	stop.Cut()
	m := o.until(60*time.Second, cluster.MoveUnknown)
	if m.Why != "RUNNING ON BOTH HOSTS" {
		t.Errorf("why: %q", m.Why)
	}
	o.on("hv1", "hv2") // nothing was ended or paused by itself
	o.quarantined()

	// The operator ends one of the two and says which is left.
	if _, err := o.d.Lab.Exec(o.ctx, "hv2", "virsh", "destroy", o.vm); err != nil {
		t.Fatal(err)
	}
	o.until(60*time.Second, cluster.MoveFailed) // both ends' evidence says it: no word is needed
	o.on("hv1")
	o.alive()
}

// TestFault22LostFinishReplyLocked does that to a VM whose image lies on a file
// system that both hosts share: libvirt calls the migration failed and resumes
// the source's copy, QEMU's lock keeps it stopped, and the VM lives at the
// target. Nothing has written to its disk but that one. When a person has ended
// the stopped copy, both ends' evidence says done, and the VM moves back.
func TestFault22LostFinishReplyLocked(t *testing.T) {
	o := onFleet(t, nil)
	o.must(o.d.Set(o.ctx, map[string]string{"allow_unlocked": "false"}))
	o.guest("locked", "cpu:10", &lab.Disk{Size: lab.Bytes(16 << 20), Shared: true, Load: "chain:4096x1@1s"})
	o.writes()
	stop := o.tap["hv2"].Arm(wiretap.Finish, wiretap.Reply)
	o.move()
	o.reached(stop)
	stop.Cut()
	m := o.until(60*time.Second, cluster.MoveUnknown)
	if !strings.Contains(m.Report, "migrate") {
		t.Errorf("libvirt's word, that it has failed, is lost: %q", m.Report)
	}
	if m.AtSource == nil || m.AtTarget == nil || m.AtSource.Presence != cluster.PresencePaused || m.AtTarget.Presence != cluster.PresenceRunning {
		t.Errorf("the lock has not kept the source's copy stopped: at the source %+v, at the target %+v", m.AtSource, m.AtTarget)
	}
	o.quarantined()
	if out, err := o.d.Lab.Exec(o.ctx, "hv1", "virsh", "resume", o.vm); err == nil {
		t.Errorf("a person may resume the second copy: %s", out)
	}
	o.writes()
	o.virsh("hv1", "destroy", o.vm)
	o.until(60*time.Second, cluster.MoveDone)
	o.on("hv2")
	o.unbroken(demoGap)

	o.back() // its lock has gone with it: the way back is free
	o.on("hv1")
	o.writes()
}

// writes fails unless the VM's disk holds one unbroken chain of writes, to which
// it adds.
func (o *ordeal) writes() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, 30*time.Second)
	defer cancel()
	first, err := o.d.Lab.DiskChain(o.vm)
	o.must(err)
	o.must(drill.Until(ctx, o.vm+" to write to its disk", func() (bool, error) {
		last, err := o.d.Lab.DiskChain(o.vm)
		o.must(err)
		return last.N >= first.N+2, fmt.Errorf("record %d is its newest", last.N)
	}))
}

// arrivalGap is the longest gap between heartbeats of a VM that arrives paused:
// libvirt ends the source's QEMU before the target may resume its own.
const arrivalGap = 10 * time.Second

// TestFault22LostFinishReplyArrivingPaused does that to a VM without locks that
// arrives paused: the copy at the target is never let run, because the source
// does not say that it is without the VM. A move that nothing befalls ends with
// the VM running at the target.
func TestFault22LostFinishReplyArrivingPaused(t *testing.T) {
	o := onFleet(t, map[string]string{"allow_unlocked": "false", "arrive_paused": "true"})
	o.move()
	o.until(60*time.Second, cluster.MoveDone)
	o.on("hv2")
	o.unbroken(arrivalGap)

	o.home(map[string]string{"allow_unlocked": "false", "arrive_paused": "true"})
	stop := o.tap["hv2"].Arm(wiretap.Finish, wiretap.Reply)
	o.move()
	o.reached(stop)
	stop.Cut()
	o.until(60*time.Second, cluster.MoveUnknown)
	o.quarantined()
	if out, err := o.d.Lab.Exec(o.ctx, "hv2", "virsh", "domstate", o.vm); err != nil || strings.TrimSpace(out) != "paused" {
		t.Errorf("the copy at the target is %q, %v", out, err)
	}
	if out, err := o.d.Lab.Exec(o.ctx, "hv1", "virsh", "domstate", o.vm); err != nil || strings.TrimSpace(out) != "running" {
		t.Errorf("the VM at the source is %q, %v", out, err)
	}
	if _, err := o.d.Lab.Exec(o.ctx, "hv2", "virsh", "destroy", o.vm); err != nil {
		t.Fatal(err)
	}
	o.until(60*time.Second, cluster.MoveFailed)
	o.on("hv1")
	o.unbroken(arrivalGap)
}

// TestFault23Orphan kills the source's libvirtd between the end of the
// transfer and Finish: the target drops what it has, and the VM stands paused
// at the source. Nobody but the source can go on, the target attests that it
// has nothing, so the source resumes it.
func TestFault23Orphan(t *testing.T) {
	o := onFleet(t, nil)
	stop := o.tap["hv2"].Arm(wiretap.Finish, wiretap.Call)
	o.move()
	o.reached(stop)
	if err := o.d.Lab.SignalLibvirtd(o.ctx, "hv1", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	stop.Cut()
	if err := o.d.Lab.StartLibvirtd(o.ctx, "hv1"); err != nil {
		t.Fatal(err)
	}
	o.until(90*time.Second, cluster.MoveFailed)
	o.on("hv1")
	o.unbroken(90 * time.Second) // it stood still, and lost nothing
}

// TestFault24Zombie has the target's libvirtd hang before Prepare and the
// source's daemon killed: the migration waits in libvirt, without anybody who
// asked for it. The restarted daemon adopts it and aborts it when its budget is
// spent; it does not begin when the target wakes.
func TestFault24Zombie(t *testing.T) {
	o := onFleet(t, map[string]string{"move_budget": "8s"})
	stop := o.tap["hv2"].Arm(wiretap.Prepare, wiretap.Call)
	finish := o.tap["hv2"].Arm(wiretap.Finish, wiretap.Call)
	finish.Pass()
	o.move()
	o.reached(stop)
	if err := o.d.Lab.SignalAgent(o.ctx, "hv1", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := o.d.Lab.StartAgent(o.ctx, "hv1"); err != nil {
		t.Fatal(err)
	}
	o.until(90*time.Second, cluster.MoveAborted)
	stop.Pass() // the target wakes
	o.ready("hv2")
	o.on("hv1")
	o.unbroken(demoGap)
	select {
	case <-finish.Reached():
		t.Error("the aborted migration went on to Finish")
	default:
	}
}
