// Package heartbeat is the guests' sign of life: one line a second on the
// serial console, which the lab keeps in one file per guest however often the
// guest is migrated.
//
//	ek-heartbeat boot=6b9f...-... n=17 t=17003 work=48211
//
// The numbers say whether a beat is missing, the boot id whether the guest was
// restarted, the guest's own clock how long it stood still, and the work how
// much it got done.
package heartbeat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Prefix begins every heartbeat line; other lines on the console are the
// kernel's.
const Prefix = "ek-heartbeat "

// MaxLine bounds a line, in bytes.
const MaxLine = 256

// Interval is how often a guest beats.
const Interval = time.Second

// maxFigure bounds every number: 2^53 is 285,000 years of milliseconds, and
// still exact in JSON readers that know only doubles.
const maxFigure = 1 << 53

// Heartbeat is one line.
type Heartbeat struct {
	Boot string        `json:"boot"`     // the guest kernel's boot id, a UUID
	N    uint64        `json:"n"`        // number since boot, from 1
	Up   time.Duration `json:"guest_ns"` // the guest's CLOCK_MONOTONIC, in whole milliseconds
	Work uint64        `json:"work"`     // finished units of work since boot, all vCPUs
}

// String is the line without its newline, the inverse of Parse.
func (h Heartbeat) String() string {
	return fmt.Sprintf("%sboot=%s n=%d t=%d work=%d", Prefix, h.Boot, h.N, h.Up.Milliseconds(), h.Work)
}

// ErrNoHeartbeat marks a console line that is none.
var ErrNoHeartbeat = errors.New("not a heartbeat line")

// Parse reads one line (a trailing carriage return is the terminal's).
func Parse(line string) (Heartbeat, error) {
	line = strings.TrimSuffix(line, "\r")
	rest, ok := strings.CutPrefix(line, Prefix)
	if !ok {
		return Heartbeat{}, ErrNoHeartbeat
	}
	if len(line) > MaxLine {
		return Heartbeat{}, fmt.Errorf("heartbeat has %d bytes, at most %d are allowed", len(line), MaxLine)
	}
	fields := strings.Split(rest, " ")
	keys := []string{"boot=", "n=", "t=", "work="}
	if len(fields) != len(keys) {
		return Heartbeat{}, fmt.Errorf("heartbeat %q has %d fields, want boot, n, t and work", line, len(fields))
	}
	for i, key := range keys {
		value, found := strings.CutPrefix(fields[i], key)
		if !found {
			return Heartbeat{}, fmt.Errorf("heartbeat %q: field %d is not %s", line, i+1, key)
		}
		fields[i] = value
	}
	return fromFields(fields)
}

func fromFields(fields []string) (Heartbeat, error) {
	if !isUUID(fields[0]) {
		return Heartbeat{}, fmt.Errorf("heartbeat: boot id %q is not a lower-case UUID", fields[0])
	}
	var figures [3]uint64
	for i, name := range []string{"n", "t", "work"} {
		text := fields[i+1]
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil || v > maxFigure || strconv.FormatUint(v, 10) != text {
			return Heartbeat{}, fmt.Errorf("heartbeat: %s=%q is not a plain number up to %d", name, text, uint64(maxFigure))
		}
		figures[i] = v
	}
	if figures[0] == 0 {
		return Heartbeat{}, errors.New("heartbeat: n=0, numbers begin at 1")
	}
	// A Duration holds 292 years.
	if figures[1] > uint64((1<<63-1)/time.Millisecond) {
		return Heartbeat{}, fmt.Errorf("heartbeat: t=%d ms is longer than any guest runs", figures[1])
	}
	return Heartbeat{
		Boot: fields[0],
		N:    figures[0],
		Up:   time.Duration(figures[1]) * time.Millisecond,
		Work: figures[2],
	}, nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f'
		if dash != (s[i] == '-') || !dash && !hex {
			return false
		}
	}
	return true
}
