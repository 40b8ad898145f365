package agent

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// auditor holds the probe's sums against the kernel's own (schedstat), vCPU by
// vCPU. Only readings count between whose two halves no wait ended: there the
// sums must be equal, and any difference is an error of ours.
type auditor struct{ threads map[int]*audit }

// audit is one vCPU's books.
type audit struct {
	since             time.Time // epoch of the probe's counter
	first, next, last books
}

// books are both sums at one moment.
type books struct {
	at            time.Duration
	probe, kernel uint64
}

// A vCPU's books are compared over one to two minutes; what was noted longer
// ago than that says nothing about the present.
const auditSpan = time.Minute

// auditLeast is the least wait that an error is a share of; of less there is
// nothing to say.
const auditLeast = 100 * time.Millisecond

// add takes a reading in, and forgets threads that are gone.
func (a *auditor) add(r Reading) {
	here := map[int]*audit{}
	for _, vm := range r.VMs {
		for _, c := range vm.VCPUs {
			t := a.threads[c.TID]
			if t == nil || !t.since.Equal(vm.Since) {
				t = &audit{since: vm.Since}
			}
			if c.Audited {
				t.add(books{r.At, c.WaitNS, c.AuditNS})
			}
			here[c.TID] = t
		}
	}
	a.threads = here
}

func (t *audit) add(b books) {
	previous := t.last
	t.last = b
	switch {
	case previous.at == 0 || b.probe < previous.probe || b.kernel < previous.kernel:
		t.first, t.next = b, books{}
	case t.next.at == 0 && b.at-t.first.at >= auditSpan:
		t.next = b
	case t.next.at != 0 && b.at-t.next.at >= auditSpan:
		t.first, t.next = t.next, b
	}
}

// worst is the largest error of any vCPU, as a share of what the kernel says
// that it waited.
func (a *auditor) worst() cluster.Ratio {
	var worst cluster.Ratio
	for _, t := range a.threads {
		probe, kernel := less(t.last.probe, t.first.probe), less(t.last.kernel, t.first.kernel)
		off := max(probe, kernel) - min(probe, kernel)
		if off == 0 || max(probe, kernel) < uint64(auditLeast) {
			continue
		}
		worst = max(worst, ratio(off, max(kernel, uint64(auditLeast))))
	}
	return worst
}
