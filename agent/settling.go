package agent

import (
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// tick is the unit of procfs.Ticks.
const tick = 10 * time.Millisecond

// arrivals remembers when the QEMU process of each VM began: with the VM's
// boot, or with the migration that brought it here.
type arrivals struct {
	proc  procfs.Reader
	began map[string]arrival // by VM's UUID
}

type arrival struct {
	pid int
	at  time.Duration // CLOCK_BOOTTIME
}

// update takes the present guests; a process whose file cannot be read is
// asked again.
func (a *arrivals) update(guests []Guest) {
	began := make(map[string]arrival, len(guests))
	for _, g := range guests {
		if known, ok := a.began[g.UUID]; ok && known.pid == g.PID {
			began[g.UUID] = known
			continue
		}
		if g.PID <= 0 {
			continue
		}
		if process, err := a.proc.Process(g.PID); err == nil {
			began[g.UUID] = arrival{g.PID, time.Duration(process.StartTime) * tick}
		}
	}
	a.began = began
}

// settling says whether a VM has booted or come within the last while. One
// whose beginning is unknown has not settled.
func (a *arrivals) settling(vm string, now, while time.Duration) bool {
	if while <= 0 {
		return false
	}
	known, ok := a.began[vm]
	return !ok || now-known.at < while
}
