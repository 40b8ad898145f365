// Bench measures what the control plane costs, how fast it is, and how long a
// fleet is without a leader:
//
//	go run ./cmd/evenkeeld/bench [-quick] [-only load|failover|cut] [-losses 100] [-hosts 10,1000] [-for 2m] [-cpuprofile FOLDER]
//
// Three voters are processes of their own, with Raft's files on a real disk and
// mutual TLS between them; one more process plays all the hosts, each with a
// certificate and a stream of its own. Leaders are cut off as real daemons in
// network namespaces; that, and frozen disks, takes root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	quick := flag.Bool("quick", false, "short trials and few losses: shows that it works, not what it costs")
	only := flag.String("only", "", "load, failover, or cut (failovers of leaders that are cut off); all if not given")
	losses := flag.Int("losses", 100, "leader losses of each kind")
	dir := flag.String("dir", "", "where the voters' files go, a real disk; a temporary folder if not given")
	hosts := flag.String("hosts", "", "load: only fleets of so many hosts, several by commas; all, and the naive shape, if not given")
	last := flag.Duration("for", 0, "load: how long each is measured")
	profiles := flag.String("cpuprofile", "", "load: a folder for the voters' CPU profiles")
	job := flag.String("voter", "", "be a voter (it starts itself so)")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var err error
	if *job != "" {
		err = beVoter(ctx, *job)
	} else {
		var list []trial
		if list, err = trials(*quick, *hosts, *last); err == nil {
			err = bench(ctx, *dir, *only, list, *profiles, few(*losses, *quick))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, dir, only string, load []trial, profiles string, losses int) (err error) {
	if !slices.Contains([]string{"", "load", "failover", "cut"}, only) {
		return fmt.Errorf("-only is %q, must be load, failover or cut", only)
	}
	dir, err = os.MkdirTemp(dir, "evenkeel-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var aims aims
	if only == "" || only == "load" {
		if err := measureLoad(ctx, dir, load, profiles, &aims); err != nil {
			return err
		}
	}
	if only != "load" {
		if err := measureFailovers(ctx, dir, losses, only == "cut", &aims); err != nil {
			return err
		}
	}
	aims.print()
	return nil
}

// few is how many losses there are: a short trial has few.
func few(n int, quick bool) int {
	if quick {
		return min(n, 2)
	}
	return n
}
