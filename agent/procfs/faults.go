package procfs

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Footprint is what a process holds of the host's memory.
type Footprint struct {
	ResidentBytes int64 // VmRSS: in RAM, shared pages included
	SwappedBytes  int64 // VmSwap: in swap space, shared memory not included
}

// Footprint reads /proc/PID/status. A kernel thread and a process that is
// ending have none, which is an error.
func (r Reader) Footprint(pid int) (Footprint, error) {
	path := pidPath(pid, "status")
	text, err := r.read(path, maxStatus)
	if err != nil {
		return Footprint{}, err
	}
	f, err := parseFootprint(text)
	if err != nil {
		return Footprint{}, malformed(path, err.Error())
	}
	return f, nil
}

// maxStatus bounds /proc/PID/status: its lists of CPUs and groups grow.
const maxStatus = 64 << 10

func parseFootprint(text string) (Footprint, error) {
	f := Footprint{ResidentBytes: -1} // VmSwap is missing without CONFIG_SWAP: none is then swapped
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		var into *int64
		switch key {
		case "VmRSS":
			into = &f.ResidentBytes
		case "VmSwap":
			into = &f.SwappedBytes
		default:
			continue
		}
		digits, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		kib, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil || kib > math.MaxInt64>>10 {
			return Footprint{}, fmt.Errorf("%s is %q, want a count of kB", key, clip(strings.TrimSpace(rest)))
		}
		*into = int64(kib << 10)
	}
	if f.ResidentBytes < 0 {
		return Footprint{}, errors.New("no VmRSS: a kernel thread, or a process that is ending")
	}
	return f, nil
}

// MajorFaults is how often threads of the process waited for a page to come
// from disk since it began: for QEMU, how often the host had taken a page of
// the guest's. Ended threads count.
func (r Reader) MajorFaults(pid int) (uint64, error) {
	path := pidPath(pid, "stat")
	text, err := r.read(path, maxSmall)
	if err != nil {
		return 0, err
	}
	n, err := parseMajorFaults(text)
	if err != nil {
		return 0, malformed(path, err.Error())
	}
	return n, nil
}

func parseMajorFaults(text string) (uint64, error) {
	if _, err := parseStat(text); err != nil {
		return 0, err
	}
	const field = 12 - 3 // counted from the state, which is field 3
	text = strings.Fields(text[strings.LastIndexByte(text, ')')+1:])[field]
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("major faults %q", clip(text))
	}
	return n, nil
}

// Switches is how often a thread has left its CPU.
type Switches struct {
	Voluntary   uint64 // it waited for something: slept
	Involuntary uint64 // it was made to leave
}

// Switches reads them of one thread.
func (r Reader) Switches(pid, tid int) (Switches, error) {
	path := taskPath(pid, tid, "status")
	text, err := r.read(path, maxStatus)
	if err != nil {
		return Switches{}, err
	}
	s, err := parseSwitches(text)
	if err != nil {
		return Switches{}, malformed(path, err.Error())
	}
	return s, nil
}

func parseSwitches(text string) (s Switches, err error) {
	seen := 0
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		var into *uint64
		switch key {
		case "voluntary_ctxt_switches":
			into = &s.Voluntary
		case "nonvoluntary_ctxt_switches":
			into = &s.Involuntary
		default:
			continue
		}
		if *into, err = strconv.ParseUint(strings.TrimSpace(rest), 10, 64); err != nil {
			return Switches{}, fmt.Errorf("%s is %q, want a count", key, clip(strings.TrimSpace(rest)))
		}
		seen++
	}
	if seen != 2 {
		return Switches{}, fmt.Errorf("%d lines of context switches, want 2", seen)
	}
	return s, nil
}
