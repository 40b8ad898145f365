package procfs

import (
	"fmt"
	"strconv"
	"strings"
)

// Schedstat is a thread's account with the scheduler since it began.
type Schedstat struct {
	RunNS      uint64 // time on a CPU
	WaitNS     uint64 // time runnable but not running: the kernel's run_delay
	Timeslices uint64 // times it was given a CPU
}

// Schedstat reads one thread's run time, wait and time slices. The wait is
// what KVM publishes to the guest as steal.
func (r Reader) Schedstat(pid, tid int) (Schedstat, error) {
	path := taskPath(pid, tid, "schedstat")
	text, err := r.read(path, maxSmall)
	if err != nil {
		return Schedstat{}, err
	}
	s, err := parseSchedstat(text)
	if err != nil {
		return Schedstat{}, malformed(path, err.Error())
	}
	return s, nil
}

func parseSchedstat(text string) (Schedstat, error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return Schedstat{}, fmt.Errorf("%d fields, want 3 (run, wait, time slices)", len(fields))
	}
	var n [3]uint64
	for i, f := range fields {
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return Schedstat{}, fmt.Errorf("field %d is %q, not a count", i+1, f)
		}
		n[i] = v
	}
	return Schedstat{RunNS: n[0], WaitNS: n[1], Timeslices: n[2]}, nil
}
