// Bench measures what one hypervisor's daemon costs, with all that it causes in
// libvirtd and QEMU, on a fleet of the lab's:
//
//	make build && go run ./cmd/internal/lab/bench [-quick]      (root)
//
// Idle guests sit on hv1. Its daemon runs and is frozen in turn; what libvirtd
// and the main threads of the QEMUs use more while it runs is its doing. A
// daemon without VMs, hv2's, tells what all that does not grow with VMs takes:
// Raft, the uplink, the API.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func main() {
	quick := flag.Bool("quick", false, "few guests and seconds: shows that it works, not what it costs")
	bin := flag.String("bin", "bin", "folder of evenkeeld, evenkeel and evenkeel-guest")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	b := bench{guests: 12, rounds: 5, each: 20 * time.Second}
	if *quick {
		b = bench{guests: 3, rounds: 2, each: 10 * time.Second}
	}
	if err := b.run(ctx, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// The aim: this many VMs may take this share of one core.
const (
	aimVMs    = 100
	aimOfCore = 0.005
)

type bench struct {
	guests, rounds int
	each           time.Duration // of a phase
}

func (b bench) run(ctx context.Context, bin string) (err error) {
	dir, err := os.MkdirTemp("", "evenkeel-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	l, err := lab.Up(ctx, b.scenario(), lab.Options{
		Name: fmt.Sprintf("bench-%d", os.Getpid()), StateDir: filepath.Join(dir, "lab"), BinDir: bin,
		Progress: func(step string) { fmt.Fprintln(os.Stderr, "lab:", step) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	var running, frozen []usage
	for range b.rounds {
		u, err := b.phase(ctx, l, nil)
		if err != nil {
			return err
		}
		running = append(running, u)
		if u, err = b.phase(ctx, l, []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}); err != nil {
			return err
		}
		frozen = append(frozen, u)
	}
	b.print(running, frozen)
	return nil
}

func (b bench) scenario() lab.Scenario {
	s := lab.Scenario{
		Description: "idle guests on hv1",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 8)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 8)}},
		Witness:     true, Mode: "off",
	}
	for i := range b.guests {
		s.Guests = append(s.Guests, lab.Guest{Name: fmt.Sprintf("idle%d", i+1), On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB)})
	}
	return s
}

// usage is CPU time in ns that some threads used, as shares of one CPU.
type usage struct{ agent, bare, libvirtd, qemu float64 }

// phase measures for a while, with hv1's daemon frozen if signals say so.
func (b bench) phase(ctx context.Context, l *lab.Lab, signals []syscall.Signal) (usage, error) {
	if signals != nil {
		if err := l.SignalAgent(ctx, "hv1", signals[0]); err != nil {
			return usage{}, err
		}
		defer func() { _ = l.SignalAgent(context.WithoutCancel(ctx), "hv1", signals[1]) }()
	}
	if err := sleep(ctx, 2*time.Second); err != nil { // what was under way ends
		return usage{}, err
	}
	before, err := used(l)
	if err != nil {
		return usage{}, err
	}
	began := time.Now()
	if err := sleep(ctx, b.each); err != nil {
		return usage{}, err
	}
	after, err := used(l)
	span := float64(time.Since(began))
	return usage{
		(after.agent - before.agent) / span, (after.bare - before.bare) / span,
		(after.libvirtd - before.libvirtd) / span, (after.qemu - before.qemu) / span,
	}, err
}

func used(l *lab.Lab) (u usage, err error) {
	for _, h := range l.Hosts() {
		switch h.Name {
		case "hv1":
			u.agent = add(&err, filepath.Join(proc(h.Agent.PID), "task", "*"))
			u.libvirtd = add(&err, filepath.Join(proc(h.Libvirtd.PID), "task", "*"))
		case "hv2":
			u.bare = add(&err, filepath.Join(proc(h.Agent.PID), "task", "*"))
		}
	}
	for _, g := range l.Guests() {
		pid, e := l.QEMUPID(g.On, g.Name)
		err = errors.Join(err, e)
		u.qemu += add(&err, proc(pid)) // the main thread answers the monitor
	}
	return u, err
}

func proc(pid int) string { return fmt.Sprintf("/proc/%d", pid) }

// add sums up what threads have run, by their schedstat, in ns.
func add(err *error, threads string) (sum float64) {
	dirs, e := filepath.Glob(threads)
	if e != nil || len(dirs) == 0 {
		*err = errors.Join(*err, e, fmt.Errorf("no threads %s", threads))
	}
	for _, dir := range dirs {
		text, e := os.ReadFile(filepath.Join(dir, "schedstat"))
		if errors.Is(e, os.ErrNotExist) || errors.Is(e, syscall.ESRCH) {
			continue // it ended
		}
		var ns float64
		if _, scan := fmt.Sscan(string(text), &ns); e != nil || scan != nil {
			*err = errors.Join(*err, e, scan)
		}
		sum += ns
	}
	return sum
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// print tells medians in thousandths of a CPU, and what they come to for many
// VMs: the daemon grows with them; questions to libvirt are asked the less
// often the more VMs there are, so that what they cause stays as it is.
func (b bench) print(running, frozen []usage) {
	median := func(list []usage, of func(usage) float64) float64 {
		var all []float64
		for _, u := range list {
			all = append(all, 1000*of(u))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	agent, bare := median(running, agentOf), median(running, bareOf)
	libvirtd := median(running, func(u usage) float64 { return u.libvirtd }) - median(frozen, func(u usage) float64 { return u.libvirtd })
	qemu := median(running, func(u usage) float64 { return u.qemu }) - median(frozen, func(u usage) float64 { return u.qemu })
	perVM := (agent - bare) / float64(b.guests)
	fmt.Printf("%d idle guests, %d rounds of %v, medians, thousandths of a CPU\n", b.guests, b.rounds, b.each)
	fmt.Printf("  daemon with them      %7.2f\n", agent)
	fmt.Printf("  daemon without any    %7.2f\n", bare)
	fmt.Printf("  caused in libvirtd    %7.2f\n", libvirtd)
	fmt.Printf("  caused in the QEMUs   %7.2f\n", qemu)
	fmt.Printf("  daemon, for each VM   %7.3f\n", perVM)
	whole := aimVMs * (perVM + (max(libvirtd, 0)+max(qemu, 0))/float64(b.guests)) / 1000
	verdict := "no (the daemon's reading of each VM every second is most of it, see its line)"
	switch {
	case least(running, agentOf) <= most(running, bareOf):
		verdict = "says nothing: rounds with guests and without overlap, the machine is too busy"
	case whole < aimOfCore:
		verdict = "yes"
	}
	fmt.Printf("aim: %d VMs below %.1f %% of a core; extrapolated %.2f %% (and %.2f %% for Raft and the rest): met %s\n",
		aimVMs, 100*aimOfCore, 100*whole, bare/10, verdict)
}

func agentOf(u usage) float64 { return u.agent }
func bareOf(u usage) float64  { return u.bare }

func least(list []usage, of func(usage) float64) float64 {
	return of(slices.MinFunc(list, func(a, b usage) int { return cmp.Compare(of(a), of(b)) }))
}

func most(list []usage, of func(usage) float64) float64 {
	return of(slices.MaxFunc(list, func(a, b usage) int { return cmp.Compare(of(a), of(b)) }))
}
