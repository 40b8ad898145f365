package procfs

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of /proc's tick counts: 100 a second on every Linux
// architecture that Go supports, whatever the kernel's own HZ.
const userHZ = 100

// CPUTimes is how one CPU spent its time since boot. UserNS and NiceNS hold
// no guest time here: the kernel counts GuestNS inside UserNS and GuestNiceNS
// inside NiceNS, and that is undone so that the parts may be summed.
type CPUTimes struct {
	CPU                      int
	UserNS, NiceNS, SystemNS uint64
	IdleNS, IOWaitNS         uint64
	IRQNS, SoftIRQNS         uint64
	StealNS                  uint64 // taken by the hypervisor below, if this host is a VM itself
	GuestNS, GuestNiceNS     uint64
}

// BusyNS is the time in which the CPU ran anything at all.
func (t CPUTimes) BusyNS() uint64 {
	return t.UserNS + t.NiceNS + t.SystemNS + t.IRQNS + t.SoftIRQNS + t.GuestNS + t.GuestNiceNS
}

// TotalNS is all time accounted to the CPU. IdleNS and IOWaitNS are not
// monotonic on every kernel: take differences with care.
func (t CPUTimes) TotalNS() uint64 { return t.BusyNS() + t.IdleNS + t.IOWaitNS + t.StealNS }

// CPUTimes reads /proc/stat, one element for each online CPU, ascending.
func (r Reader) CPUTimes() ([]CPUTimes, error) {
	const path = procRoot + "stat"
	text, err := r.read(path, maxTable)
	if err != nil {
		return nil, err
	}
	times, err := parseCPUTimes(text)
	if err != nil {
		return nil, malformed(path, err.Error())
	}
	return times, nil
}

func parseCPUTimes(text string) ([]CPUTimes, error) {
	var times []CPUTimes
	for line := range strings.Lines(text) {
		number, isCPU := strings.CutPrefix(line, "cpu")
		if !isCPU || strings.HasPrefix(number, " ") { // "cpu " is the sum of all
			continue
		}
		t, err := parseCPULine(strings.Fields(number))
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", clip(line), err)
		}
		if n := len(times); n > 0 && times[n-1].CPU >= t.CPU {
			return nil, fmt.Errorf("cpu%d follows cpu%d", t.CPU, times[n-1].CPU)
		}
		times = append(times, t)
	}
	if len(times) == 0 {
		return nil, errors.New("no cpuN line")
	}
	return times, nil
}

func parseCPULine(fields []string) (CPUTimes, error) {
	const columns = 10 // user nice system idle iowait irq softirq steal guest guest_nice
	if len(fields) < 1+columns {
		return CPUTimes{}, fmt.Errorf("%d columns, want %d", max(0, len(fields)-1), columns)
	}
	cpu, ok := parseCPU(fields[0])
	if !ok {
		return CPUTimes{}, fmt.Errorf("CPU number %q", fields[0])
	}
	var ns [columns]uint64
	for i := range ns {
		ticks, err := strconv.ParseUint(fields[1+i], 10, 64)
		// A tick count whose sum over the columns could overflow in ns is absurd: 58 years a column.
		if err != nil || ticks > math.MaxUint64/columns/tickNS {
			return CPUTimes{}, fmt.Errorf("column %d is %q", 1+i, fields[1+i])
		}
		ns[i] = ticks * tickNS
	}
	return CPUTimes{
		CPU:    cpu,
		UserNS: less(ns[0], ns[8]), NiceNS: less(ns[1], ns[9]), SystemNS: ns[2],
		IdleNS: ns[3], IOWaitNS: ns[4],
		IRQNS: ns[5], SoftIRQNS: ns[6],
		StealNS: ns[7],
		GuestNS: ns[8], GuestNiceNS: ns[9],
	}, nil
}

const tickNS = uint64(time.Second / userHZ)

// less subtracts without going below zero: guest is added to its own counter
// and to user in two steps, so a read between them may see more guest than user.
func less(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}

// clip keeps an error readable whatever was in the file.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return strings.TrimSuffix(s, "\n")
}
