package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	lab "github.com/evenkeel/evenkeel/cmd/internal/lab/voters"
)

// cuts are the ways to cut a leader off: real daemons in network namespaces of
// their own, whose packets are dropped (root).
func cuts() []struct {
	name string
	cut  lab.Cut
} {
	return []struct {
		name string
		cut  lab.Cut
	}{{"cut off both ways", lab.Both}, {"deaf", lab.Deaf}, {"mute", lab.Mute}}
}

// measurePartitions loses so many leaders by each cut.
func measurePartitions(ctx context.Context, dir string, losses int, aims *aims) (rows [][]string, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("leaders are cut off in network namespaces: that takes root")
	}
	bin := filepath.Join(dir, "bin")
	build := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "github.com/evenkeel/evenkeel/cmd/evenkeeld", "github.com/evenkeel/evenkeel/cmd/evenkeel")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	for _, kind := range cuts() {
		fmt.Fprintf(os.Stderr, "leader %s: %d times ...\n", kind.name, losses)
		times, err := apart(losses, func(_, mine int) ([]time.Duration, error) { return partition(ctx, bin, kind.cut, mine) })
		if err != nil {
			return rows, fmt.Errorf("leader %s: %w", kind.name, err)
		}
		rows = append(rows, failoverRow(kind.name, times, aims))
	}
	return rows, nil
}

// partition cuts so many leaders of one cluster off.
func partition(ctx context.Context, bin string, cut lab.Cut, losses int) (times []time.Duration, err error) {
	dir, err := os.MkdirTemp("", "ekb") // short: it holds sockets
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := lab.New(dir, bin, lab.Plain, lab.Plain, lab.Plain)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Start(); err != nil {
		return nil, err
	}
	if _, _, err := newLeader(ctx, s, time.Time{}, nil); err != nil {
		return nil, err
	}
	for range losses {
		if err := rest(ctx); err != nil {
			return times, err
		}
		// Members that come together again may elect once more meanwhile.
		leader, _, err := newLeader(ctx, s, time.Time{}, nil)
		if err != nil {
			return times, err
		}
		struck := time.Now()
		if err := leader.Cut(cut); err != nil {
			return times, err
		}
		_, at, err := newLeader(ctx, s, struck, leader)
		if e := leader.Mend(); err == nil {
			err = e
		}
		if err != nil {
			return times, err
		}
		times = append(times, at.Sub(struck))
	}
	return times, nil
}

// newLeader waits for another member than lost that has said after a moment that
// it leads, the last one to say so: it has committed in its term by then.
func newLeader(ctx context.Context, s *lab.Site, after time.Time, lost *lab.Member) (*lab.Member, time.Time, error) {
	limit := time.After(time.Minute)
	for {
		var leader *lab.Member
		last := after
		for _, m := range s.Members {
			if at, ok := ledSince(m.Log(), last); ok && m != lost {
				leader, last = m, at
			}
		}
		if leader != nil {
			return leader, last, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-limit:
			var logs strings.Builder
			for _, m := range s.Members {
				lines := strings.Split(strings.TrimSpace(m.Log()), "\n")
				fmt.Fprintf(&logs, "\n%s:\n%s", m.Name, strings.Join(lines[max(0, len(lines)-12):], "\n"))
			}
			return nil, time.Time{}, fmt.Errorf("nobody leads within a minute;%s", logs.String())
		case <-ctx.Done():
			return nil, time.Time{}, ctx.Err()
		}
	}
}

// ledSince finds in a daemon's log when it last began to lead.
func ledSince(log string, after time.Time) (at time.Time, ok bool) {
	for line := range strings.Lines(log) {
		text, found := strings.CutPrefix(line, "time=")
		if !found || !strings.Contains(line, `msg="this member leads" `) {
			continue
		}
		stamp, _, _ := strings.Cut(text, " ")
		if when, err := time.Parse(time.RFC3339Nano, stamp); err == nil && when.After(after) {
			at, ok = when, true
		}
	}
	return at, ok
}
