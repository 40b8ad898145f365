// Bench measures what the agent's sampling costs on a host of many VMs:
//
//	go run ./agent/bench [-quick]      (root)
//
// The VMs are processes with threads named and waking like an idle guest's; the
// meter that follows and reads them once a second is the agent's own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/procfs"
)

// The aim: so many VMs sampled every second may take this share of one core.
const (
	aimVMs    = 100
	aimOfCore = 0.005
)

func main() {
	quick := flag.Bool("quick", false, "few VMs and seconds: shows that it works, not what it costs")
	vms := flag.Int("vms", 0, "how many VMs; 0 measures 10, 100 and 500, one after another")
	hertz := flag.Int("hertz", 10, "how often each vCPU wakes up in a second: an idle Linux guest's does 4 to 10 times")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the sampling to this file; needs -vms")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	t := trial{hertz: *hertz, seconds: 20, profile: *profile}
	sizes := []int{10, 100, 500}
	if *vms != 0 {
		sizes = []int{*vms}
	}
	if *quick {
		t.seconds, sizes = 5, []int{min(sizes[0], 10)}
	}
	if err := runAll(ctx, os.Stdout, sizes, t); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// trial is what is to be measured.
type trial struct {
	vms, hertz, seconds int
	profile             string // file for a CPU profile, "" for none
	binary              string // of a guest
}

// check refuses what cannot be measured.
func (t trial) check(sizes []int) error {
	switch {
	case t.hertz < 1 || t.hertz > 1000:
		return fmt.Errorf("-hertz is %d, must lie between 1 and 1000", t.hertz)
	case sizes[0] < 1 || sizes[0] > 1000:
		return fmt.Errorf("-vms is %d, must lie between 1 and 1000", sizes[0])
	case t.profile != "" && len(sizes) > 1:
		return errors.New("-cpuprofile is of one number of VMs: say which with -vms")
	}
	return nil
}

// runAll measures fleets of several sizes, one after another.
func runAll(ctx context.Context, out io.Writer, sizes []int, t trial) (err error) {
	if err := t.check(sizes); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "evenkeel-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if t.binary, err = compile(ctx, dir); err != nil {
		return err
	}
	for _, vms := range sizes {
		t.vms = vms
		if err := run(ctx, out, t); err != nil {
			return fmt.Errorf("%d VMs: %w", vms, err)
		}
	}
	return nil
}

func run(ctx context.Context, out io.Writer, t trial) error {
	meter, err := agent.OpenProbeMeter(procfs.Host(), uptime)
	if err != nil {
		return err
	}
	defer meter.Close()
	all, err := startFleet(t.binary, t.vms, t.hertz)
	if err != nil {
		return err
	}
	defer all.stop()
	s := sampler{meter: meter, guests: all.guests}
	for range 3 { // takes everybody in, and settles
		if err := s.sample(ctx); err != nil {
			return err
		}
	}
	if t.profile != "" {
		f, err := os.Create(t.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	before, first, ran := own(), s.last, time.Now()
	for range t.seconds {
		if err := s.sample(ctx); err != nil {
			return err
		}
	}
	took, wall := own()-before, time.Since(ran)
	return s.show(out, first, took, wall, t.hertz)
}

// sampler does once a second what the agent does.
type sampler struct {
	meter  *agent.ProbeMeter
	guests []agent.Guest
	last   agent.Reading
	taken  int // samples so far
}

func (s *sampler) sample(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
	}
	if err := s.meter.Follow(s.guests); err != nil {
		return err
	}
	read := s.meter.Read
	if s.taken%int(agent.CulpritsEvery/time.Second) == 0 {
		read = s.meter.ReadCulprits
	}
	s.taken++
	r, err := read()
	s.last = r
	return err
}

// show prints the figures, after a look whether there was anything to measure.
func (s *sampler) show(out io.Writer, first agent.Reading, took, wall time.Duration, hertz int) error {
	vcpus, silent := 0, 0
	for id, vm := range s.last.VMs {
		vcpus += len(vm.VCPUs)
		if vm.Waits == first.VMs[id].Waits {
			silent++
		}
	}
	if len(s.last.VMs) != len(s.guests) || silent > 0 {
		return fmt.Errorf("%d of %d VMs were measured, %d of them show no wait: what it cost says nothing", len(s.last.VMs), len(s.guests), silent)
	}
	cost := s.last.Cost.Sub(first.Cost)
	user, kernel := share(took, wall), cost.TotalNS()/float64(wall.Nanoseconds())
	fmt.Fprintf(out, "\nagent: %d VMs, %d vCPUs waking %d times a second, sampled every second for %.0f s\n", len(s.guests), vcpus, hertz, wall.Seconds())
	fmt.Fprintf(out, "  following and reading   %.4f %% of a core (%.2f ms a sample)\n", 100*user, 1e3*took.Seconds()/wall.Seconds())
	fmt.Fprintf(out, "  the probe in the kernel %.4f %% of a core (%d runs, %.0f ns each by its own timing)\n", 100*kernel, cost.Runs, cost.PerRunNS())
	met := "no (each VM's counters, and the threads that woke, are read every second; the probe is in it)"
	switch {
	case len(s.guests) != aimVMs:
		met = "says nothing, the aim is for another number of VMs"
	case user+kernel <= aimOfCore:
		met = "yes"
	}
	fmt.Fprintf(out, "  aim <= %.2g %% of a core for %d VMs: measured %.4f %%, met: %s (calls to libvirt not included)\n", 100*aimOfCore, aimVMs, 100*(user+kernel), met)
	return nil
}

func share(part, whole time.Duration) float64 { return part.Seconds() / whole.Seconds() }

// own is the time that this process has run.
func own() time.Duration { return clock(unix.CLOCK_PROCESS_CPUTIME_ID) }

func uptime() time.Duration { return clock(unix.CLOCK_BOOTTIME) }

func clock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic(fmt.Sprintf("clock %d: %v", id, err)) // both exist since Linux 2.6.39
	}
	return time.Duration(t.Nano())
}
