// Package diskrun is what a lab's guest prints on its serial console after each
// run of its disk's load (package load): what its own kernel counted of its
// disk. To whoever measures the guest from outside, that is the truth.
package diskrun

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Run is one run.
type Run struct {
	N            uint64        // 1 for the first
	Began, Ended time.Duration // on the guest's clock since its boot
	Did          Account       // between the two
}

// Account is what a kernel counted of a disk's requests.
type Account struct {
	Reads, ReadBytes   uint64
	Writes, WriteBytes uint64 // with data
	Flushes            uint64
}

const prefix = "ek-disk "

// String is the line that is printed.
func (r Run) String() string {
	return fmt.Sprintf("%sn=%d began=%d ended=%d reads=%d read_bytes=%d writes=%d write_bytes=%d flushes=%d", prefix,
		r.N, r.Began, r.Ended, r.Did.Reads, r.Did.ReadBytes, r.Did.Writes, r.Did.WriteBytes, r.Did.Flushes)
}

// ErrNoRun says that a line tells of no run.
var ErrNoRun = errors.New("no disk run")

// Parse reads a line.
func Parse(line string) (Run, error) {
	line = strings.TrimRight(line, "\r\n")
	if !strings.HasPrefix(line, prefix) {
		return Run{}, ErrNoRun
	}
	var r Run
	_, err := fmt.Sscanf(line, prefix+"n=%d began=%d ended=%d reads=%d read_bytes=%d writes=%d write_bytes=%d flushes=%d",
		&r.N, &r.Began, &r.Ended, &r.Did.Reads, &r.Did.ReadBytes, &r.Did.Writes, &r.Did.WriteBytes, &r.Did.Flushes)
	switch {
	case err != nil:
		return Run{}, fmt.Errorf("disk run %.100q: %w", line, err)
	case r.String() != line:
		return Run{}, fmt.Errorf("disk run %.100q: want it as %q", line, r)
	case r.N == 0 || r.Began < 0 || r.Ended < r.Began:
		return Run{}, fmt.Errorf("disk run %.100q: number or times cannot be", line)
	}
	return r, nil
}

// maxLog bounds what is read of a serial log: some weeks of heartbeats.
const maxLog = 256 << 20

// ReadFile finds the runs in a serial log. A last line without its newline is
// still being written and is left alone.
func ReadFile(path string) ([]Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLog))
	if err != nil {
		return nil, fmt.Errorf("serial log %s: %w", path, err)
	}
	var runs []Run
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if !strings.HasSuffix(line, "\n") {
			break
		}
		run, err := Parse(line)
		if errors.Is(err, ErrNoRun) {
			continue
		}
		if err != nil {
			return runs, fmt.Errorf("serial log %s, line %d: %w", path, number, err)
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// ParseStat reads /sys/block/DEVICE/stat; the kernel's
// Documentation/block/stat.rst has its fields. A flush is there a write without
// data besides.
func ParseStat(text string) (Account, error) {
	var f [17]uint64
	into := make([]any, len(f))
	for i := range f {
		into[i] = &f[i]
	}
	if _, err := fmt.Sscan(text, into...); err != nil {
		return Account{}, fmt.Errorf("stat %.200q: %w, want 17 numbers", text, err)
	}
	const reads, readSectors, writes, writeSectors, flushes = 0, 2, 4, 6, 15
	if f[flushes] > f[writes] {
		return Account{}, fmt.Errorf("stat %.200q: more flushes than writes", text)
	}
	return Account{
		Reads: f[reads], ReadBytes: f[readSectors] * 512,
		Writes: f[writes] - f[flushes], WriteBytes: f[writeSectors] * 512, Flushes: f[flushes],
	}, nil
}

// Sub is what came since an earlier account of the same disk.
func (a Account) Sub(o Account) Account {
	return Account{a.Reads - o.Reads, a.ReadBytes - o.ReadBytes, a.Writes - o.Writes, a.WriteBytes - o.WriteBytes, a.Flushes - o.Flushes}
}
