package main

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/wiretap"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// arrival is a stage of a migration at which something happens to the QEMU that the VM
// arrives in.
type arrival struct {
	name string
	at   *step // nil: in pre-copy
}

var arrivalsOf = []arrival{
	{"it waits for the memory", &step{"hv2", wiretap.Prepare, wiretap.Reply}},
	{"pre-copy", nil},
	{"switch-over", &step{"hv2", wiretap.Finish, wiretap.Call}}, // all is copied, nobody runs
	{"finish", &step{"hv2", wiretap.Finish, wiretap.Reply}},     // it runs there, the source does not know
}

// arriving orders the move and gives the QEMU in which the VM arrives, and what
// lets the migration go on.
func (o *ordeal) arriving(a arrival) (qemu int, pass func()) {
	o.t.Helper()
	pass = func() {}
	if a.at == nil {
		o.move()
		o.copying()
	} else {
		stop := o.tap[a.at.host].Arm(a.at.procedure, a.at.direction)
		o.move()
		o.reached(stop)
		pass = stop.Pass
	}
	qemu, err := o.d.Lab.QEMUPID("hv2", o.vm)
	o.must(err)
	return qemu, pass
}

// TestTargetQEMUKilledInEachPhase kills the QEMU that a VM arrives in. Up to the
// switch-over the VM is the source's, which goes on with it: the move has
// failed. Once it runs at the target that QEMU is the VM: it runs nowhere, and
// only a person can tell why.
func TestTargetQEMUKilledInEachPhase(t *testing.T) {
	chosen := arrivalsOf[2:3]
	if long() {
		chosen = arrivalsOf
	}
	o := onFleet(t, nil)
	for i, a := range chosen {
		if t.Failed() {
			break // the next round would begin from a place that nobody knows
		}
		t.Run(a.name, func(t *testing.T) {
			o := o.in(t)
			if i > 0 {
				o.home(nil)
			}
			qemu, pass := o.arriving(a)
			o.must(syscall.Kill(qemu, syscall.SIGKILL))
			pass()
			if a.name != "finish" {
				if m := o.until(60*time.Second, cluster.MoveFailed); m.Report == "" {
					t.Error("libvirt's words are lost")
				}
				o.on("hv1")
				o.unbroken(arrivalGap)
				return
			}
			m := o.until(90*time.Second, cluster.MoveUnknown)
			o.on()
			o.told("move-unknown", m.ID+": "+o.vm, "has an unknown outcome")
		})
	}
	o.spent = long() // nobody can bring the VM back
}

// frozenFor is how long the QEMU stands still: beyond the move's budget.
const frozenFor = 15 * time.Second

// TestTargetQEMUFrozenInEachPhase stops the QEMU that a VM arrives in for longer
// than the move's budget. Up to the switch-over the VM runs on at the source
// meanwhile, and the move is aborted. After that the VM is at the target, and goes
// on when its QEMU does.
func TestTargetQEMUFrozenInEachPhase(t *testing.T) {
	chosen := arrivalsOf[1:2]
	if long() {
		chosen = arrivalsOf
	}
	budget := map[string]string{"move_budget": "6s"}
	o := onFleet(t, budget)
	for i, a := range chosen {
		if t.Failed() {
			break
		}
		t.Run(a.name, func(t *testing.T) {
			o := o.in(t)
			if i > 0 {
				o.home(budget)
			}
			qemu, pass := o.arriving(a)
			o.must(syscall.Kill(qemu, syscall.SIGSTOP))
			pass()
			time.Sleep(frozenFor) // the length of the fault
			if err := syscall.Kill(qemu, syscall.SIGCONT); !errors.Is(err, syscall.ESRCH) {
				o.must(err) // libvirt may have ended it
			}
			if a.at == nil || a.at.procedure == wiretap.Prepare {
				o.until(90*time.Second, cluster.MoveAborted)
				o.on("hv1")
				o.unbroken(arrivalGap)
				return
			}
			o.until(90*time.Second, cluster.MoveDone)
			o.on("hv2")
			o.unbroken(frozenFor + arrivalGap)
		})
	}
}
