package procfs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Memory is the host's memory.
type Memory struct {
	TotalBytes     int64 // MemTotal
	AvailableBytes int64 // MemAvailable: the kernel's estimate of what can be had without swapping
}

// Memory reads /proc/meminfo.
func (r Reader) Memory() (Memory, error) {
	const path = procRoot + "meminfo"
	text, err := r.read(path, 64<<10)
	if err != nil {
		return Memory{}, err
	}
	m, err := parseMeminfo(text)
	if err != nil {
		return Memory{}, malformed(path, err.Error())
	}
	return m, nil
}

func parseMeminfo(text string) (Memory, error) {
	m := Memory{TotalBytes: -1, AvailableBytes: -1}
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		var into *int64
		switch key {
		case "MemTotal":
			into = &m.TotalBytes
		case "MemAvailable":
			into = &m.AvailableBytes
		default:
			continue
		}
		digits, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		kib, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil || kib > math.MaxInt64>>10 {
			return Memory{}, fmt.Errorf("%s is %q, want a count of kB", key, strings.TrimSpace(rest))
		}
		*into = int64(kib << 10)
	}
	switch {
	case m.TotalBytes <= 0:
		return Memory{}, fmt.Errorf("no MemTotal")
	case m.AvailableBytes < 0:
		return Memory{}, fmt.Errorf("no MemAvailable")
	case m.AvailableBytes > m.TotalBytes:
		return Memory{}, fmt.Errorf("MemAvailable %d bytes exceeds MemTotal %d", m.AvailableBytes, m.TotalBytes)
	}
	return m, nil
}
