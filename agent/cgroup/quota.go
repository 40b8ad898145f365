package cgroup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Quota is how much CPU time a group may use in each period. Zero is no limit.
type Quota struct{ QuotaNS, PeriodNS uint64 }

// Limited says whether there is a limit.
func (q Quota) Limited() bool { return q.QuotaNS > 0 && q.PeriodNS > 0 }

// MilliCPU is the limit in thousandths of a CPU, rounded down; at least 1, so
// that it cannot be taken for none. Meaningless without a limit.
func (q Quota) MilliCPU() int64 {
	hi, lo := bits.Mul64(q.QuotaNS, 1000)
	if q.PeriodNS == 0 || hi >= q.PeriodNS {
		return math.MaxInt64
	}
	n, _ := bits.Div64(hi, lo, q.PeriodNS)
	return int64(max(1, min(n, math.MaxInt64)))
}

// Throttle is how a group's quota has held it back since it was made.
type Throttle struct {
	Known     bool
	Periods   uint64 // in which the group wanted to run
	Throttled uint64 // of which it used up its quota
	// TimeNS is summed over the CPUs on which the group was held back. It
	// counts this group's own quota only, not that of groups above or below.
	TimeNS uint64
}

const maxFile = 16 << 10

// read reads a group's file. A group that is removed between open and read
// answers ENODEV, as one that never was.
func read[T any](r Reader, path string, parse func(string) (T, error)) (none T, err error) {
	f, err := r.proc.FS().Open(path)
	if err != nil {
		return none, fmt.Errorf("read /%s: %w", path, bare(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return none, fmt.Errorf("read /%s: %w", path, bare(err))
	}
	if len(data) > maxFile {
		return none, fmt.Errorf("read /%s: larger than %d bytes", path, maxFile)
	}
	v, err := parse(string(data))
	if err != nil {
		return none, fmt.Errorf("parse /%s: %w", path, err)
	}
	return v, nil
}

func bare(err error) error {
	if errors.Is(err, errRemoved) {
		return fs.ErrNotExist
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// maxMicroseconds is more than the kernel takes for a quota (2^44 ns), and far
// from where nanoseconds overflow.
const maxMicroseconds = 1 << 50

func microseconds(s string) (ns uint64, err error) {
	us, err := strconv.ParseUint(s, 10, 64)
	if err != nil || us > maxMicroseconds {
		return 0, fmt.Errorf("%q, want a count of microseconds", clip(s))
	}
	return us * 1000, nil
}

func parseMicroseconds(text string) (ns uint64, err error) {
	ns, err = microseconds(strings.TrimSpace(text))
	if err == nil && ns == 0 {
		err = errors.New("a period of 0")
	}
	return ns, err
}

// parseQuotaV1 reads v1's quota, -1 for none, which is 0 here.
func parseQuotaV1(text string) (ns uint64, err error) {
	text = strings.TrimSpace(text)
	if text == "-1" {
		return 0, nil
	}
	return parseMicroseconds(text)
}

// parseMax reads v2's "max 100000" or "50000 100000".
func parseMax(text string) (Quota, error) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return Quota{}, fmt.Errorf("%q, want QUOTA PERIOD", clip(text))
	}
	period, err := parseMicroseconds(fields[1])
	if err != nil || fields[0] == "max" {
		return Quota{}, err
	}
	quota, err := parseMicroseconds(fields[0])
	if err != nil {
		return Quota{}, err
	}
	return Quota{quota, period}, nil
}

// parseThrottle reads cpu.stat: throttled_time is v1's in ns, throttled_usec
// v2's. Without the controller v2 tells use only: then nothing is known.
func parseThrottle(text string) (t Throttle, err error) {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			return Throttle{}, fmt.Errorf("line %q, want NAME COUNT", clip(line))
		}
		switch key {
		case "nr_periods":
			t.Periods, err = strconv.ParseUint(value, 10, 64)
		case "nr_throttled":
			t.Throttled, err = strconv.ParseUint(value, 10, 64)
		case "throttled_time":
			t.TimeNS, err = strconv.ParseUint(value, 10, 64)
			t.Known = true
		case "throttled_usec":
			t.TimeNS, err = microseconds(value)
			t.Known = true
		}
		if err != nil {
			return Throttle{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	return t, nil
}

// clip keeps an error readable whatever was in the file.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return strings.TrimSuffix(s, "\n")
}
