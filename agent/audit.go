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
	since       time.Time // epoch of the probe's counter
	first, next books
	last        [3]books // newest first
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
const auditLeast = time.Second

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
	previous := t.last[0]
	t.last = [3]books{b, t.last[0], t.last[1]}
	switch {
	case previous.at == 0 || b.probe < previous.probe || b.kernel < previous.kernel:
		t.first, t.next, t.last = b, books{}, [3]books{b}
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
		worst = max(worst, t.off())
	}
	return worst
}

// off is the least error of the last three looks. Now and then the kernel ends
// a wait without telling the probe, which makes it good at the thread's next
// switch; what the probe loses for good stays in all three.
func (t *audit) off() cluster.Ratio {
	least := cluster.Whole
	for _, b := range t.last {
		probe, kernel := less(b.probe, t.first.probe), less(b.kernel, t.first.kernel)
		if b.at <= t.first.at || max(probe, kernel) < uint64(auditLeast) {
			return 0
		}
		least = min(least, ratio(max(probe, kernel)-min(probe, kernel), max(kernel, uint64(auditLeast))))
	}
	return least
}
