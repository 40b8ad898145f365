// Command demand makes up a fleet with all rules on, has the planner decide
// about it, and prints what that took:
//
//	go run ./scheduler/bench/demand -hosts 1000 -vms 30000
//
// Rules on are affinity, anti-affinity, spread, pins, classes, demands set by
// hand, the failover reserve and all budgets. Planned is one host's relief, what
// the leader decides when one host in ten suffers, and with -moves what an
// operator asks for the whole fleet.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "demand:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("demand", flag.ContinueOnError)
	flags.SetOutput(stderr)
	hosts := flags.Int("hosts", 100, "hosts")
	vms := flags.Int("vms", 10_000, "VMs")
	times := flags.Int("times", 5, "how often to plan; printed is the median")
	moves := flags.Int("moves", 0, "also plan at most so many moves for the whole fleet")
	profile := flags.String("cpuprofile", "", "write a profile of the planning to a file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *hosts < 2 || *vms < *hosts || *times < 1 || *moves < 0 || flags.NArg() > 0 {
		return errors.New("give at least 2 -hosts, as many -vms and one of -times")
	}
	var fleets [2]cluster.State // in which one host suffers, and one in ten
	for i, suffering := range []int{1, max(*hosts/10, 1)} {
		s, err := newFleet(*hosts, *vms, suffering)
		if err != nil {
			return err
		}
		fleets[i] = s
	}
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for i, name := range []string{"relief", "decided"} {
		in := scheduler.Input{State: fleets[i]}
		measure(stdout, name, *times, func() scheduler.Result { return scheduler.Plan(in) })
	}
	if *moves > 0 {
		in := scheduler.Input{State: fleets[1], Seed: 1, Workers: 1, Iterations: fleetIterations}
		measure(stdout, "fleet", 1, func() scheduler.Result { return scheduler.Balance(in, *moves, nil).Result })
	}
	return nil
}

// fleetIterations is the budget that an operator's plan has.
const fleetIterations = 2_000_000

// measure plans some times, and prints one line of figures.
func measure(out io.Writer, name string, times int, plan func() scheduler.Result) {
	var took, cpu []time.Duration
	var r scheduler.Result
	var before, after runtime.MemStats
	for range times {
		runtime.GC()
		runtime.ReadMemStats(&before)
		begin, busy := time.Now(), used()
		r = plan()
		took, cpu = append(took, time.Since(begin)), append(cpu, used()-busy)
		runtime.ReadMemStats(&after)
	}
	slices.Sort(took)
	slices.Sort(cpu)
	fmt.Fprintf(out, "%s seconds %.6f cpu %.6f moves %d candidates %d allocations %d bytes %d heap %d %s\n", name, took[times/2].Seconds(), cpu[times/2].Seconds(), len(r.Moves), r.Iterations,
		after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc, before.HeapAlloc, r.Text)
}

// used is the CPU time of the process, the collector's included: what a plan
// takes where others have their part in the CPU, too.
func used() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
