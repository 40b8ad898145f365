package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// order lets the leader order a move every second while it leads, once it was
// told to: the next VM of the next pair of hosts.
func (v *voter) order(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !v.orders.Load() {
			continue
		}
		if err := v.orderOne(ctx, n); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "bench: order:", err)
		}
	}
}

func (v *voter) orderOne(ctx context.Context, n int) error {
	state, index := v.node.State()
	var hosts []cluster.Host
	for _, h := range state.Hosts() {
		if h.Fresh(state.Now) && len(h.Inventory.VMs) > 0 {
			hosts = append(hosts, h)
		}
	}
	if _, live := state.InFlight(""); len(hosts) < 2 || live >= state.Settings.PerCluster {
		return nil // they have not all come yet, or those before are still on their way
	}
	source, target := hosts[2*n%len(hosts)], hosts[(2*n+1)%len(hosts)]
	_, err := v.node.Propose(ctx, cluster.Command{ID: uuid.NewString(), Actor: cluster.Actor{Kind: cluster.KindWitness, ID: v.self.MemberID}, Body: cluster.Decide{
		Decision: cluster.Decision{ID: state.NextDecisionID(), Result: cluster.ResultMoved, Index: index, Trigger: cluster.TriggerOperator},
		Orders: []cluster.Order{{
			ID: state.NextMoveID(0), VM: source.Inventory.VMs[n/len(hosts)%len(source.Inventory.VMs)].UUID, Source: source.ID, Target: target.ID,
			Trigger: cluster.TriggerOperator, Term: state.Term, DecidedOn: index,
			Deadline: state.Now.Add(time.Minute), StartWindow: time.Minute, Budget: time.Minute,
		}},
	}})
	return err
}

// answer does what an agent does with a view: the target reserves, the source
// claims. Then it gives the move back, so that the next can be ordered.
func (a *playedAgent) answer(ctx context.Context, view cluster.View) {
	for _, m := range view.Moves {
		switch {
		case m.State == cluster.MoveOrdered && m.Target == a.host.id && m.ReservedAt == 0:
			a.once(ctx, m.ID+" reserve", cluster.Reserve{Move: m.ID})
		case m.State == cluster.MoveOrdered && m.Source == a.host.id && m.ReservedAt != 0:
			a.once(ctx, m.ID+" claim", cluster.Claim{Move: m.ID, Incarnation: 1})
			a.once(ctx, m.ID+" release", cluster.Release{Move: m.ID, Text: "a bench"})
		}
	}
}

// once proposes a command unless this agent already has.
func (a *playedAgent) once(ctx context.Context, id string, body cluster.Body) {
	if a.done[id] {
		return
	}
	a.done[id] = true
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := a.uplink.Propose(ctx, cluster.Command{ID: uuid.NewString(), Body: body}); err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %s: %v\n", a.host.member().Name, id, err)
	}
}
