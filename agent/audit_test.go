package agent

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// keep feeds an auditor a reading a second of one vCPU and returns what it
// says at the end.
func keep(seconds int, at func(s int) VCPUReading) cluster.Ratio {
	var a auditor
	for s := 1; s <= seconds; s++ {
		a.add(Reading{At: time.Duration(s) * time.Second, VMs: map[string]VMReading{
			vmID(1): {Since: time.Unix(1, 0), VCPUs: []VCPUReading{at(s)}},
		}})
	}
	return a.worst()
}

func TestBooksBalance(t *testing.T) {
	even := func(s int) VCPUReading {
		// Every other reading was torn: a wait ended in its midst.
		torn := uint64(s%2) * 7 * ms
		return VCPUReading{TID: 9, WaitNS: 500*ms*uint64(s) + torn, AuditNS: 800*ms + 500*ms*uint64(s), Audited: s%2 == 0}
	}
	if off := keep(300, even); off != 0 {
		t.Errorf("off by %v", off)
	}
}

// A probe that misses one wait in a hundred is found out within seconds, and
// forgiven two minutes after it has stopped.
func TestBooksThatDoNotBalance(t *testing.T) {
	lossy := func(until int) func(int) VCPUReading {
		return func(s int) VCPUReading {
			lost := 5 * ms * uint64(min(s, until))
			return VCPUReading{TID: 9, WaitNS: 500*ms*uint64(s) - lost, AuditNS: 500 * ms * uint64(s), Audited: true}
		}
	}
	for _, seconds := range []int{7, 60, 200} {
		if off := keep(seconds, lossy(1000)); off != 10_000 {
			t.Errorf("after %d s: off by %v, want 1 %%", seconds, off)
		}
	}
	if off := keep(30+130, lossy(30)); off != 0 {
		t.Errorf("130 s after the last lost wait: still off by %v", off)
	}
	if off := keep(40, lossy(30)); off == 0 {
		t.Error("10 s after the last lost wait: forgotten")
	}
}

// A probe that sees nothing at all is off by the whole.
func TestBlindProbeIsFoundOut(t *testing.T) {
	if off := keep(20, func(s int) VCPUReading { return VCPUReading{TID: 9, AuditNS: 100 * ms * uint64(s), Audited: true} }); off != cluster.Whole {
		t.Errorf("off by %v, want 100 %%", off)
	}
}

// A wait that the kernel ended without telling is made good at the next
// switch: one look that falls in between proves nothing, even with waits of a
// tenth of a second.
func TestWaitThatIsMadeGood(t *testing.T) {
	for late := range 40 {
		off := keep(40, func(s int) VCPUReading {
			c := VCPUReading{TID: 9, WaitNS: 100 * ms * uint64(s), AuditNS: 100 * ms * uint64(s), Audited: true}
			if s == late && s > 1 {
				c.WaitNS -= 100 * ms
			}
			return c
		})
		if off != 0 {
			t.Errorf("a wait untold at second %d: off by %v", late, off)
		}
	}
}

// Too short a wait, an unaudited reading and a new epoch prove nothing.
func TestBooksThatSayNothing(t *testing.T) {
	for name, at := range map[string]func(s int) VCPUReading{
		"short waits": func(s int) VCPUReading { return VCPUReading{TID: 9, AuditNS: ms * uint64(s), Audited: true} },
		"never clean": func(s int) VCPUReading { return VCPUReading{TID: 9, AuditNS: 500 * ms * uint64(s)} },
		"a new thread every second": func(s int) VCPUReading {
			return VCPUReading{TID: s, AuditNS: 500 * ms * uint64(s), Audited: true}
		},
	} {
		if off := keep(50, at); off != 0 {
			t.Errorf("%s: off by %v", name, off)
		}
	}
}
