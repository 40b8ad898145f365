package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// done is how a command ended.
type done struct {
	out       string
	wall, cpu time.Duration
	peak      int64 // bytes of memory, at most; 0 where the system does not say
}

// command runs a program and returns what it printed.
func (b *bench) command(name string, args ...string) (done, error) {
	var stdout, stderr bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	begin := time.Now()
	if err := c.Run(); err != nil {
		return done{}, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	d := done{out: stdout.String(), wall: time.Since(begin), cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime()}
	if use, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		d.peak = use.Maxrss * 1024
	}
	return d, nil
}

// ours runs one of the small commands beside this one, built once.
func (b *bench) ours(name string, args ...string) (done, error) {
	if b.built == nil {
		b.built = map[string]string{}
	}
	if b.built[name] == "" {
		file := filepath.Join(b.dir, name)
		if _, err := b.command("go", "build", "-o", file, "github.com/evenkeel/evenkeel/scheduler/bench/"+name); err != nil {
			return done{}, err
		}
		b.built[name] = file
	}
	return b.command(b.built[name], args...)
}

// seconds is a duration of searching, a tenth if all is to be quick.
func (b *bench) seconds(n float64) time.Duration {
	if b.quick {
		n /= 10
	}
	return time.Duration(n * float64(time.Second))
}
