// Command weeks plays simulated weeks of the PlanetLab and Bitbrains traces, on
// fleets loaded at 60, 75 and 90 %, under every policy, and prints what they
// come to beside the bound and the aims (aims.go).
//
//	go run ./scheduler/bench/weeks [-quick] [-data ../shared/data/traces]
//
// A week of all takes an hour or two of one core, a day (-quick) a seventh.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/sim"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "weeks:", err)
		}
		os.Exit(1)
	}
}

// weeks are what is to be played.
type weeks struct {
	data     string
	traces   []string
	loads    []int
	policies []string
	hosts    int
	vms      int
	length   time.Duration
	seed     uint64
	settings string
	log      io.Writer // is told of each run that is over
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("weeks", flag.ContinueOnError)
	flags.SetOutput(stderr)
	w := weeks{log: stderr}
	quick := flags.Bool("quick", false, "a day in place of a week")
	traces := flags.String("traces", "planetlab,bitbrains", "traces to play")
	loads := flags.String("loads", "60,75,90", "loads of the fleets, in percent")
	policies := flags.String("policies", "bound,foresight,demand,half-difference,pairwise-random,threshold,hbal-like,off", "policies to play")
	flags.StringVar(&w.data, "data", "../shared/data/traces", "folder of the traces")
	flags.IntVar(&w.hosts, "hosts", 20, "hosts of each fleet")
	flags.IntVar(&w.vms, "vms", 300, "VMs of each fleet")
	flags.DurationVar(&w.length, "for", 7*24*time.Hour, "how long a fleet is played")
	flags.Uint64Var(&w.seed, "seed", 1, "seed of the fleets")
	flags.StringVar(&w.settings, "set", "profile=steady per_hour=60 per_day=1000 per_cluster=4 largest_vm=1024GiB longest_move=0s", "settings")
	profile := flags.String("cpuprofile", "", "write a profile of the CPU time to a file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *quick {
		w.length = min(w.length, 24*time.Hour)
	}
	w.traces, w.policies = strings.Split(*traces, ","), strings.Split(*policies, ",")
	for _, l := range strings.Split(*loads, ",") {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 || n > 100 {
			return fmt.Errorf("load %q is no percentage", l)
		}
		w.loads = append(w.loads, n)
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
	return w.play(stdout)
}

// scenario is a fleet of traces at a load: minutes of bursts, boots in the
// morning and backups at night come on top.
func (w weeks) scenario(traces string, load int) (sim.Scenario, error) {
	text := fmt.Sprintf(`for %v
seed %d
tick 1s
set %s
failures 1%%
traces %s path=%s hosts=%d vms=%d load=%d%%
overlay bursts every=6h for=1m spread=5h vms=30%% cpu=70%%
overlay boots at=8h every=24h for=3m spread=10m vms=10%% cpu=90%%
overlay backups at=1h every=24h for=20m spread=3h vms=40%% cpu=50%%
`, w.length, w.seed, w.settings, traces, traces, w.hosts, w.vms, load)
	s, err := sim.Parse(fmt.Sprintf("%s at %d %%", traces, load), text)
	if err != nil {
		return s, err
	}
	return s.Load(func(folder string) (fs.FS, error) {
		dir := filepath.Join(w.data, map[string]string{"planetlab": "planetlab", "bitbrains": "bitbrains-rnd"}[folder])
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("%w; name the folder of the traces with -data", err)
		}
		return os.DirFS(dir), nil
	})
}

// play plays a fleet after the other, and prints of each how the policies
// compare, and what is met of the aims.
func (w weeks) play(out io.Writer) error {
	for _, traces := range w.traces {
		for _, load := range w.loads {
			s, err := w.scenario(traces, load)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "== %s: %d hosts of %.1f CPUs, %d VMs, %v, seed %d\n", s.Name, len(s.Hosts), s.Hosts[0].CPUs.CPUs(), len(s.VMs), s.For, s.Seed)
			outcomes, err := w.compare(s)
			if err != nil {
				return err
			}
			if err := sim.Compared(out, outcomes); err != nil {
				return err
			}
			if err := printAims(out, judge(outcomes)); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare plays a fleet under each policy, as many at once as there are CPUs
// for it: no run knows of another.
func (w weeks) compare(s sim.Scenario) ([]sim.Outcome, error) {
	outcomes, failed := make([]sim.Outcome, len(w.policies)), make([]error, len(w.policies))
	next := make(chan int)
	var players sync.WaitGroup
	var logging sync.Mutex
	for range min(runtime.GOMAXPROCS(0), len(w.policies)) {
		players.Go(func() {
			for i := range next {
				begun := time.Now()
				outcomes[i], failed[i] = sim.Run(s, w.policies[i])
				logging.Lock()
				fmt.Fprintf(w.log, "%s, %s: played in %v\n", s.Name, w.policies[i], time.Since(begun).Round(100*time.Millisecond))
				logging.Unlock()
			}
		})
	}
	for i := range w.policies {
		next <- i
	}
	close(next)
	players.Wait()
	return outcomes, errors.Join(failed...)
}
