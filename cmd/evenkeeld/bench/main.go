// Bench measures what the control plane costs, how fast it is, and how long a
// fleet is without a leader:
//
//	go run ./cmd/evenkeeld/bench [-quick] [-only load|failover] [-losses 100]
//
// Three voters are processes of their own, with Raft's files on a real disk and
// mutual TLS between them; one more process plays all the hosts, each with a
// certificate and a stream of its own. Failovers by a frozen disk need root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	quick := flag.Bool("quick", false, "short trials and few losses: shows that it works, not what it costs")
	only := flag.String("only", "", "load or failover; both if not given")
	losses := flag.Int("losses", 100, "leader losses of each kind")
	dir := flag.String("dir", "", "where the voters' files go, a real disk; a temporary folder if not given")
	job := flag.String("voter", "", "be a voter (it starts itself so)")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var err error
	if *job != "" {
		err = beVoter(ctx, *job)
	} else {
		err = bench(ctx, *dir, *only, *quick, *losses)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, dir, only string, quick bool, losses int) (err error) {
	if only != "" && only != "load" && only != "failover" {
		return fmt.Errorf("-only is %q, must be load or failover", only)
	}
	dir, err = os.MkdirTemp(dir, "evenkeel-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if quick {
		losses = min(losses, 2)
	}
	var aims aims
	if only != "failover" {
		if err := measureLoad(ctx, dir, quick, &aims); err != nil {
			return err
		}
	}
	if only != "load" {
		if err := measureFailovers(ctx, dir, losses, &aims); err != nil {
			return err
		}
	}
	aims.print()
	return nil
}
