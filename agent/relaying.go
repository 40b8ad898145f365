package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/agent/relay"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Relay is this host's relay ([relay.Control]), a process of its own.
type Relay interface {
	// Receive lets the source's relay in for one move.
	Receive(ctx context.Context, p relay.Passage) error
	// Send opens a move's sockets at the source.
	Send(ctx context.Context, p relay.Passage) (relay.Route, error)
	// End closes what was opened for a move.
	End(ctx context.Context, move string) error
	// List tells what is open.
	List(ctx context.Context) ([]relay.Passage, error)
}

// admit has this host's relay let the source in, if VMs come to it that way.
func (x *Executor) admit(ctx context.Context, m cluster.Move) *cluster.Refusal {
	if x.cfg.Relay == nil {
		return nil
	}
	err := x.cfg.Relay.Receive(ctx, relay.Passage{Move: m.ID, VM: m.VM, Peer: m.Source})
	if err != nil {
		return &cluster.Refusal{Code: cluster.CodeNotReady, Text: fmt.Sprintf("the target's relay: %v", err)}
	}
	x.passed(m.ID, true)
	return nil
}

// route is how libvirt gets the VM to the target.
func (x *Executor) route(ctx context.Context, m cluster.Move, target cluster.Member) (relay.Route, error) {
	address, dir, ok := relay.ParseURI(target.MigrationPeerURI)
	if !ok {
		return relay.Route{PeerURI: target.MigrationPeerURI, MigrateURI: target.MigrationURI}, nil // libvirt judges it
	}
	if x.cfg.Relay == nil {
		return relay.Route{}, fmt.Errorf("%s receives VMs by relay, this host has none: set migration.transport: relay in its agent.yaml, too", target.Name)
	}
	r, err := x.cfg.Relay.Send(ctx, relay.Passage{Move: m.ID, VM: m.VM, Peer: target.ID, Address: address})
	if err != nil {
		return relay.Route{}, err
	}
	x.passed(m.ID, true)
	if own := x.cfg.RelayDir; own != dir {
		return relay.Route{}, fmt.Errorf("relays' sockets are in %s here and in %.200s on %s; libvirt needs one path at both ends: write the same `socket` into both agent.yaml", own, dir, target.Name)
	}
	return r, nil
}

// passed notes that the relay has a move's passage open, or no longer.
func (x *Executor) passed(move string, open bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if open {
		x.passages[move] = true
	} else {
		delete(x.passages, move)
	}
}

// closePassages ends the passages of moves that are over. The first time it
// asks the relay: the moves may have ended while this daemon was away.
func (x *Executor) closePassages(ctx context.Context, live map[string]bool) {
	if x.cfg.Relay == nil {
		return
	}
	x.mu.Lock()
	asked := x.passages != nil
	if !asked {
		x.passages = map[string]bool{}
	}
	var over []string
	for move := range x.passages {
		if !live[move] {
			over = append(over, move)
		}
	}
	x.mu.Unlock()
	if !asked {
		x.wg.Go(func() { x.findPassages(ctx) })
	}
	for _, move := range over {
		x.passed(move, false)
		x.wg.Go(func() { x.endPassage(ctx, move) })
	}
}

// findPassages learns what an earlier daemon left open.
func (x *Executor) findPassages(ctx context.Context) {
	for ctx.Err() == nil {
		open, err := x.cfg.Relay.List(ctx)
		if err == nil {
			for _, p := range open {
				x.passed(p.Move, true)
			}
			return
		}
		x.log.Warn("the relay does not say what is open", "err", err)
		_ = pause(ctx, 10*time.Second)
	}
}

func (x *Executor) endPassage(ctx context.Context, move string) {
	if err := x.cfg.Relay.End(ctx, move); err != nil {
		x.log.Warn("passage of an ended move stays open", "move", move, "err", err)
		_ = pause(ctx, 5*time.Second)
		x.passed(move, true) // the next view has another try
	}
}
