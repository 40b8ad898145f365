//go:build linux

// Command guest is /init of the lab's guests: it keeps the guest's vCPUs busy
// and its memory dirty to the schedule in ek.load= of the kernel command line
// (package load), and says so once a second on the serial console (package
// heartbeat). If ek.disk= is there, it works its disk and says what came of it
// (package diskrun). It is the only program in the guest. Build it static:
//
//	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -buildid=' -o bin/evenkeel-guest ./cmd/internal/lab/guest
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/diskrun"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/heartbeat"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/load"
)

func main() {
	err := run()
	// An init that returns panics the kernel. The error stays on the console,
	// where the lab shows it.
	fmt.Printf("ek-init: %v\n", err)
	for {
		time.Sleep(time.Hour)
	}
}

func run() error {
	if err := mount(); err != nil {
		return err
	}
	console, err := os.OpenFile("/dev/ttyS0", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	os.Stdout = console
	arguments, err := readArguments()
	if err != nil {
		return err
	}
	schedule, err := load.Parse(arguments["ek.load"])
	if err != nil {
		return err
	}
	if err := startDisk(arguments["ek.disk"], console); err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	// Each worker below holds a thread that hardly ever sleeps. With one P
	// for each and some to spare, the guest's kernel alone decides who runs,
	// and the heartbeat never waits for Go's scheduler.
	vcpus := runtime.NumCPU()
	runtime.GOMAXPROCS(vcpus + 4)
	go func() { fmt.Printf("ek-init: %v\n", emptyTLB()) }()
	workers := &workers{schedule: schedule}
	workers.start(vcpus)
	return beat(console, strings.TrimSpace(string(boot)), workers)
}

func mount() error {
	for _, m := range []struct{ fstype, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"},
	} {
		if err := unix.Mount(m.fstype, m.target, m.fstype, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// readArguments are the words KEY=VALUE on the kernel's command line.
func readArguments() (map[string]string, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil, err
	}
	arguments := map[string]string{}
	for word := range strings.FieldsSeq(string(line)) {
		if key, value, ok := strings.Cut(word, "="); ok {
			arguments[key] = value
		}
	}
	return arguments, nil
}

// startDisk works the guest's disk, if it is told to, for as long as it lives.
func startDisk(text string, console *os.File) error {
	l, err := load.ParseDisk(text)
	if err != nil || len(l.Jobs) == 0 {
		return err
	}
	d, err := openDisk(l)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	go func() {
		err := d.work(func(r diskrun.Run) error {
			_, err := console.WriteString(r.String() + "\n")
			return err
		})
		fmt.Printf("ek-init: %v\n", err)
	}()
	return nil
}

// beat prints a heartbeat a second, at whole seconds from the first: a late
// beat does not make the next one late.
func beat(console *os.File, boot string, w *workers) error {
	next := uptime()
	for n := uint64(1); ; n++ {
		line := heartbeat.Heartbeat{Boot: boot, N: n, Up: uptime(), Work: w.done.Load()}.String()
		// One write, so that the kernel's own messages stay off the line.
		if _, err := console.WriteString(line + "\n"); err != nil {
			return err
		}
		next += heartbeat.Interval
		time.Sleep(next - uptime())
	}
}

// uptime is CLOCK_MONOTONIC, which in a guest stands still while it is stopped
// for the switch-over of a migration only if its clock source does.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // cannot fail for a clock that every Linux has
	}
	return time.Duration(ts.Nano())
}
