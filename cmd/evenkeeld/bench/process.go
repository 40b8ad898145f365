package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what this process has taken since its start.
type usage struct {
	CPU      time.Duration `json:"cpu"`
	Peak     int64         `json:"peak"`     // bytes, largest resident size
	Resident int64         `json:"resident"` // bytes
	Written  int64         `json:"written"`  // bytes that went to block devices, as the kernel counts them
}

func ownUsage() (usage, error) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return usage{}, err
	}
	u := usage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Peak: r.Maxrss << 10}
	var err error
	if u.Written, err = field("/proc/self/io", "write_bytes:", 1); err != nil {
		return u, err
	}
	u.Resident, err = field("/proc/self/status", "VmRSS:", 1<<10)
	return u, err
}

// field reads a number from a file of lines "name number ...".
func field(path, name string, unit int64) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == name {
			n, err := strconv.ParseInt(words[1], 10, 64)
			return n * unit, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}
