package load

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a disk's load. The largest request is one that a guest's kernel
// does not split.
const (
	MaxDiskJobs    = 8
	MaxDiskCount   = 100_000
	MinDiskRequest = 512
	MaxDiskRequest = 128 << 10
)

// Disk is a finite run of direct I/O that a guest repeats:
//
//	read:4096x200,write:16384x100@45s    200 reads of 4 KiB, then 100 writes of 16 KiB, begun every 45 s
//	flush:4096x20@1m                     20 times a write and the flush of it
//	chain:512x1@1s                       a record of package chain a second, and the flush of it
//
// The zero value is none.
type Disk struct {
	Jobs  []DiskJob
	Every time.Duration // from one run's beginning to the next; the first is that long after boot
}

// DiskJob is one kind of requests, done one after another.
type DiskJob struct {
	Op           string // read, write, flush: a write and the flush of it; or chain: the same, in a chain
	RequestBytes int
	Count        int
}

// ParseDisk reads a disk's load. The empty string is an idle disk.
func ParseDisk(s string) (Disk, error) {
	if s == "" {
		return Disk{}, nil
	}
	if len(s) > MaxBytes {
		return Disk{}, fmt.Errorf("disk load has %d bytes, at most %d fit on the guest's kernel command line", len(s), MaxBytes)
	}
	text, every, ok := strings.Cut(s, "@")
	d := Disk{}
	var err error
	if d.Every, err = time.ParseDuration(every); !ok || err != nil || d.Every < MinPhase || d.Every > MaxPhase {
		return Disk{}, fmt.Errorf("disk load %q must end in how often it is done, from %v to %v, such as @30s", s, MinPhase, MaxPhase)
	}
	parts := strings.Split(text, ",")
	if len(parts) > MaxDiskJobs {
		return Disk{}, fmt.Errorf("disk load has %d jobs, at most %d are allowed", len(parts), MaxDiskJobs)
	}
	for i, part := range parts {
		job, err := parseDiskJob(part)
		if err != nil {
			return Disk{}, fmt.Errorf("disk load, job %d %q: %w", i+1, part, err)
		}
		d.Jobs = append(d.Jobs, job)
	}
	return d, nil
}

func parseDiskJob(s string) (DiskJob, error) {
	op, rest, _ := strings.Cut(s, ":")
	size, count, ok := strings.Cut(rest, "x")
	if !ok || !slices.Contains([]string{"read", "write", "flush", "chain"}, op) {
		return DiskJob{}, errors.New("want read, write, flush or chain with size and count, such as read:4096x200")
	}
	bytes, err := strconv.ParseUint(size, 10, 32)
	if err != nil || bytes < MinDiskRequest || bytes > MaxDiskRequest || bytes%MinDiskRequest != 0 {
		return DiskJob{}, fmt.Errorf("size %q must be a multiple of %d from %d to %d bytes", size, MinDiskRequest, MinDiskRequest, MaxDiskRequest)
	}
	n, err := strconv.ParseUint(count, 10, 32)
	if err != nil || n < 1 || n > MaxDiskCount {
		return DiskJob{}, fmt.Errorf("count %q must be a whole number from 1 to %d", count, MaxDiskCount)
	}
	return DiskJob{Op: op, RequestBytes: int(bytes), Count: int(n)}, nil
}

// String is the inverse of ParseDisk.
func (d Disk) String() string {
	if len(d.Jobs) == 0 {
		return ""
	}
	jobs := make([]string, len(d.Jobs))
	for i, j := range d.Jobs {
		jobs[i] = fmt.Sprintf("%s:%dx%d", j.Op, j.RequestBytes, j.Count)
	}
	return strings.Join(jobs, ",") + "@" + d.Every.String()
}

// Offset is where a job's i-th request begins on a disk of so many bytes: no
// two that follow each other are neighbours, which a kernel would merge.
func (j DiskJob) Offset(i int, diskBytes int64) int64 {
	size := int64(j.RequestBytes)
	return int64(i) * 2 % (diskBytes / size) * size
}
