package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// playNaively is a host of the naive shape: an entry of its own every second,
// with every figure in it. It runs in the leader, so the naive shape pays for
// no streams and no TLS between hosts and leader.
func (v *voter) playNaively(ctx context.Context, i int) {
	h := newHost(i, v.job.VMs)
	select {
	case <-time.After(rand.N(time.Second)):
	case <-ctx.Done():
		return
	}
	propose := func(c cluster.Command) {
		c.Actor = cluster.Actor{Kind: cluster.KindAgent, ID: h.id}
		if _, err := v.node.Propose(ctx, c); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
	propose(cluster.Command{ID: uuid.NewString(), Body: cluster.Announce{Cluster: v.job.Cluster, Member: h.member()}})
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		snap := h.beat(time.Second)
		snap.Details = h.details()
		if h.seq == 1 {
			snap.Inventory = h.inventory()
		}
		propose(cluster.Command{Body: cluster.Snapshots{Batch: []cluster.Snapshot{snap}}})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
