package cluster

import (
	"strconv"
	"strings"
)

// CPUSet lists host CPUs as kernels do, rising and without overlap: "0-3,8". ""
// stands for all of a host.
type CPUSet string

// maxCPUNumber bounds the numbers of CPUs.
const maxCPUNumber = 1 << 14

// span is a run of CPUs, both ends included.
type span struct{ first, last int }

// spans reads the list; false if it is none.
func (c CPUSet) spans() (out []span, ok bool) {
	if len(c) > maxWordBytes {
		return nil, false
	}
	next := 0
	for part := range strings.SplitSeq(string(c), ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		s := span{int(first), int(last)}
		if err != nil || err2 != nil || s.first < next || s.last < s.first || s.last >= maxCPUNumber {
			return nil, false
		}
		next, out = s.last+1, append(out, s)
	}
	return out, true
}

// Count is how many CPUs there are in it; 0 for all of a host.
func (c CPUSet) Count() (n int) {
	spans, _ := c.spans()
	for _, s := range spans {
		n += s.last - s.first + 1
	}
	return n
}

// Within says whether all its CPUs are in another set.
func (c CPUSet) Within(other CPUSet) bool {
	if other == "" || c == other {
		return true
	}
	inner, ok := c.spans()
	outer, ok2 := other.spans()
	for _, s := range inner {
		for len(outer) > 0 && outer[0].last < s.last {
			outer = outer[1:]
		}
		if len(outer) == 0 || s.first < outer[0].first {
			return false
		}
	}
	return ok && ok2
}

func (c CPUSet) check() error {
	if _, ok := c.spans(); c != "" && !ok {
		return refuse(CodeAbsurdFigure, "CPU set %.60q, want N or N-M, rising, each below %d", string(c), maxCPUNumber)
	}
	return nil
}
