package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// maxSize bounds a size: no host has a pebibyte.
const maxSize = cluster.Bytes(1) << 50

// ParseSize reads an amount such as 4GiB or 512MiB: a whole number and a
// binary unit, exact to the byte.
func ParseSize(text string) (cluster.Bytes, error) {
	digits := strings.TrimRight(text, "KMGTiB")
	shift, ok := map[string]int{"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[text[len(digits):]]
	if !ok {
		return 0, fmt.Errorf("%.40q has no unit of B, KiB, MiB, GiB, TiB", text)
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a whole number with a unit", text)
	}
	if n > uint64(maxSize)>>shift {
		return 0, fmt.Errorf("%.40q is more than 1024TiB", text)
	}
	return cluster.Bytes(n << shift), nil
}

// writeSize writes a size as the file takes it, exactly.
func writeSize(n cluster.Bytes) string {
	for _, u := range []struct {
		name string
		size cluster.Bytes
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(int64(n/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(n), 10) + "B"
}
