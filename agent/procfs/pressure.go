package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoPressure means that this kernel gives no pressure figures (built
// without PSI, or booted with psi=0). It is not the same as no pressure.
var ErrNoPressure = errors.New("no pressure stall information: boot with psi=1")

// Resource is what tasks can be stalled on.
type Resource string

// The resources that /proc/pressure knows.
const (
	ResourceCPU    Resource = "cpu"
	ResourceMemory Resource = "memory"
	ResourceIO     Resource = "io"
)

// Pressure is the stall on one resource.
type Pressure struct {
	Some    Stall // at least one task was stalled
	Full    Stall // all non-idle tasks were stalled at once
	HasFull bool  // kernels before 5.13 give no full line for the CPU
}

// Stall is one line of a pressure file.
type Stall struct {
	Avg10, Avg60, Avg300 float64 // share of time, 0 to 1
	TotalNS              uint64  // since boot
}

// Pressure reads a resource's pressure; ErrNoPressure where there is none,
// which only reading can tell (with psi=0 the files exist).
func (r Reader) Pressure(res Resource) (Pressure, error) {
	path := procRoot + "pressure/" + string(res)
	text, err := r.read(path, maxSmall)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EOPNOTSUPP) {
		return Pressure{}, ErrNoPressure
	}
	if err != nil {
		return Pressure{}, err
	}
	p, err := parsePressure(text)
	if err != nil {
		return Pressure{}, malformed(path, err.Error())
	}
	return p, nil
}

func parsePressure(text string) (Pressure, error) {
	var p Pressure
	hasSome := false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 5 {
			return Pressure{}, fmt.Errorf("line %q has %d fields, want 5", clip(line), len(fields))
		}
		s, err := parseStall(fields[1:])
		if err != nil {
			return Pressure{}, fmt.Errorf("line %q: %w", clip(line), err)
		}
		switch fields[0] {
		case "some":
			p.Some, hasSome = s, true
		case "full":
			p.Full, p.HasFull = s, true
		default:
			return Pressure{}, fmt.Errorf("line %q is neither some nor full", clip(line))
		}
	}
	if !hasSome {
		return Pressure{}, errors.New("no some line")
	}
	return p, nil
}

func parseStall(fields []string) (Stall, error) {
	var s Stall
	for i, into := range []*float64{&s.Avg10, &s.Avg60, &s.Avg300} {
		key := [...]string{"avg10=", "avg60=", "avg300="}[i]
		text, ok := strings.CutPrefix(fields[i], key)
		percent, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil || math.IsNaN(percent) || percent < 0 || percent > 100 {
			return Stall{}, fmt.Errorf("%q, want %sN with N from 0 to 100", fields[i], key)
		}
		*into = percent / 100
	}
	text, ok := strings.CutPrefix(fields[3], "total=")
	us, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil || us > math.MaxUint64/uint64(time.Microsecond) {
		return Stall{}, fmt.Errorf("%q, want total=N in microseconds", fields[3])
	}
	s.TotalNS = us * uint64(time.Microsecond)
	return s, nil
}
