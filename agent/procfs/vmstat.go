package procfs

import (
	"fmt"
	"strconv"
	"strings"
)

// Swapping is what the host has read from and written to swap space since
// boot, in pages.
type Swapping struct{ PagesIn, PagesOut uint64 }

// Swapping reads /proc/vmstat. A kernel without CONFIG_SWAP has swapped
// nothing.
func (r Reader) Swapping() (Swapping, error) {
	const path = procRoot + "vmstat"
	text, err := r.read(path, 256<<10)
	if err != nil {
		return Swapping{}, err
	}
	s, err := parseVMStat(text)
	if err != nil {
		return Swapping{}, malformed(path, err.Error())
	}
	return s, nil
}

func parseVMStat(text string) (s Swapping, err error) {
	lines := 0
	for line := range strings.Lines(text) {
		key, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			return Swapping{}, fmt.Errorf("line %q, want NAME COUNT", clip(line))
		}
		lines++
		var into *uint64
		switch key {
		case "pswpin":
			into = &s.PagesIn
		case "pswpout":
			into = &s.PagesOut
		default:
			continue
		}
		if *into, err = strconv.ParseUint(rest, 10, 64); err != nil {
			return Swapping{}, fmt.Errorf("%s is %q, want a count", key, clip(rest))
		}
	}
	if lines == 0 {
		return Swapping{}, fmt.Errorf("empty")
	}
	return s, nil
}
