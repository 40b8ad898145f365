package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// loss is a way to lose a leader, and to bring the member back.
type loss struct {
	name   string
	strike func(p *process) error
	heal   func(p *process) error
	disk   bool // needs a file system of its own for each voter's files
}

func lossKinds() []loss {
	resume := func(p *process) error { return p.cmd.Process.Signal(syscall.SIGCONT) }
	return []loss{
		{"killed (SIGKILL)", (*process).kill, (*process).start, false},
		{"frozen (SIGSTOP)", func(p *process) error { return p.cmd.Process.Signal(syscall.SIGSTOP) }, resume, false},
		{"stopped in good order", (*process).stop, (*process).start, false},
		{"disk frozen", func(p *process) error { return freeze(p.job.Raft) }, func(p *process) error { return thaw(p.job.Raft) }, true},
	}
}

// sideBySide is how many clusters lose leaders at once: they are idle nearly
// all the time.
const sideBySide = 4

func measureFailovers(ctx context.Context, dir string, losses int, cutOnly bool, aims *aims) error {
	var rows [][]string
	for k, kind := range lossKinds() {
		if cutOnly {
			break
		}
		fmt.Fprintf(os.Stderr, "leader %s: %d times ...\n", kind.name, losses)
		times, err := apart(losses, func(c, mine int) ([]time.Duration, error) {
			return kind.inOne(ctx, filepath.Join(dir, fmt.Sprint("loss", k), fmt.Sprint(c)), mine)
		})
		if err != nil {
			return fmt.Errorf("leader %s: %w", kind.name, err)
		}
		rows = append(rows, failoverRow(kind.name, times, aims))
	}
	more, err := measurePartitions(ctx, dir, losses, aims)
	if err != nil {
		return err
	}
	rows = append(rows, more...)
	table("Failover: from the loss until another member leads and has committed in its term",
		[]string{"leader", "losses", "p50", "p90", "p99", "worst"}, rows)
	return nil
}

func failoverRow(name string, times []time.Duration, aims *aims) []string {
	p99 := quantile(times, 0.99)
	aims.add("leader "+name+": new one <= 5 s at p99", seconds(p99), p99 <= 5*time.Second, "voters whose timers end together elect again")
	return []string{name, fmt.Sprint(len(times)), seconds(quantile(times, 0.5)), seconds(quantile(times, 0.9)), seconds(p99), seconds(quantile(times, 1))}
}

// apart deals losses out over several clusters side by side.
func apart(losses int, in func(cluster, losses int) ([]time.Duration, error)) ([]time.Duration, error) {
	var mu sync.Mutex
	var times []time.Duration
	var errs []error
	var work sync.WaitGroup
	clusters := min(sideBySide, losses)
	for c := range clusters {
		mine := losses / clusters
		if c < losses%clusters {
			mine++
		}
		work.Go(func() {
			got, err := in(c, mine)
			mu.Lock()
			defer mu.Unlock()
			times, errs = append(times, got...), append(errs, err)
		})
	}
	work.Wait()
	return times, errors.Join(errs...)
}

func (k loss) inOne(ctx context.Context, dir string, losses int) (times []time.Duration, err error) {
	s, err := newSite(dir, nil)
	if err != nil {
		return nil, err
	}
	if k.disk {
		for _, p := range s.members {
			unmount, err := mountDisk(p.job.Raft)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, unmount()) }()
		}
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	leader, _, err := s.leader(ctx, time.Time{}, nil)
	if err != nil {
		return nil, err
	}
	for range losses {
		if err := rest(ctx); err != nil {
			return times, err
		}
		struck := time.Now()
		if err := k.strike(leader); err != nil {
			return times, err
		}
		next, at, err := s.leader(ctx, struck, leader)
		if e := k.heal(leader); err == nil {
			err = e
		}
		if err != nil {
			return times, err
		}
		times = append(times, at.Sub(struck))
		leader = next
	}
	return times, nil
}

// rest lets the members come together again.
func rest(ctx context.Context) error {
	select {
	case <-time.After(3 * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
