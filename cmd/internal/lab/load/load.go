// Package load is the language in which a scenario tells a guest how busy to
// be, spoken by the lab (which checks it) and by the guest's init (which obeys
// it):
//
//	cpu:100                        all vCPUs busy, for good
//	cpu:30@60s,cpu:100             30 % for a minute, then all
//	cpu:100@20s,cpu:10@20s         for ever in turn: the last phase has an end too
//	cpu:20+dirty:16                and 16 MiB of memory dirtied a second
package load

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of a schedule. It travels on the guest's kernel command line, which
// holds 2048 bytes on x86.
const (
	MaxBytes    = 512
	MaxPhases   = 32
	MaxDirtyMiB = 4096
	MaxPhase    = 24 * time.Hour
	MinPhase    = time.Second
)

// Phase is one stretch of steady load.
type Phase struct {
	CPUPercent  int           // share of every vCPU that is kept busy, 0..100
	DirtyMiBSec int           // memory dirtied, MiB per second
	For         time.Duration // zero: for good
}

// Schedule is what a guest does over its life, starting at its boot. If the
// last phase ends, the schedule begins again.
type Schedule []Phase

// Parse reads a schedule. The empty string is an idle guest.
func Parse(s string) (Schedule, error) {
	if s == "" {
		return Schedule{{}}, nil
	}
	if len(s) > MaxBytes {
		return nil, fmt.Errorf("load schedule has %d bytes, at most %d fit on the guest's kernel command line", len(s), MaxBytes)
	}
	parts := strings.Split(s, ",")
	if len(parts) > MaxPhases {
		return nil, fmt.Errorf("load schedule has %d phases, at most %d are allowed", len(parts), MaxPhases)
	}
	schedule := make(Schedule, 0, len(parts))
	for i, part := range parts {
		phase, err := parsePhase(part)
		if err != nil {
			return nil, fmt.Errorf("load schedule, phase %d %q: %w", i+1, part, err)
		}
		if phase.For == 0 && i < len(parts)-1 {
			return nil, fmt.Errorf("load schedule, phase %d %q: only the last phase may lack an end, write for instance %s@30s", i+1, part, part)
		}
		schedule = append(schedule, phase)
	}
	return schedule, nil
}

func parsePhase(s string) (Phase, error) {
	var p Phase
	figures, length, timed := strings.Cut(s, "@")
	if timed {
		d, err := time.ParseDuration(length)
		if err != nil || d < MinPhase || d > MaxPhase {
			return Phase{}, fmt.Errorf("length %q must be a duration from %v to %v, such as 30s", length, MinPhase, MaxPhase)
		}
		p.For = d
	}
	seen := map[string]bool{}
	for item := range strings.SplitSeq(figures, "+") {
		key, value, _ := strings.Cut(item, ":")
		if seen[key] {
			return Phase{}, fmt.Errorf("%q is named twice", key)
		}
		seen[key] = true
		if err := p.set(key, value); err != nil {
			return Phase{}, err
		}
	}
	return p, nil
}

func (p *Phase) set(key, value string) error {
	limits := map[string]struct {
		field *int
		max   int
		unit  string
	}{
		"cpu":   {&p.CPUPercent, 100, "% of every vCPU"},
		"dirty": {&p.DirtyMiBSec, MaxDirtyMiB, "MiB/s"},
	}
	l, ok := limits[key]
	if !ok {
		return fmt.Errorf("unknown load %q, use cpu:PERCENT and dirty:MIB", key)
	}
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n > uint64(l.max) {
		return fmt.Errorf("%s:%s must be a whole number from 0 to %d (%s)", key, value, l.max, l.unit)
	}
	*l.field = int(n)
	return nil
}

// String is the inverse of Parse.
func (s Schedule) String() string {
	phases := make([]string, 0, len(s))
	for _, p := range s {
		text := fmt.Sprintf("cpu:%d", p.CPUPercent)
		if p.DirtyMiBSec > 0 {
			text += fmt.Sprintf("+dirty:%d", p.DirtyMiBSec)
		}
		if p.For > 0 {
			text += "@" + p.For.String()
		}
		phases = append(phases, text)
	}
	return strings.Join(phases, ",")
}

// At is the phase that rules when the guest has been up this long.
func (s Schedule) At(up time.Duration) Phase {
	if len(s) == 0 {
		return Phase{}
	}
	if s[len(s)-1].For > 0 {
		up %= s.length()
	}
	for _, p := range s {
		if p.For == 0 || up < p.For {
			return p
		}
		up -= p.For
	}
	return s[len(s)-1]
}

func (s Schedule) length() time.Duration {
	var sum time.Duration
	for _, p := range s {
		sum += p.For
	}
	return sum
}
