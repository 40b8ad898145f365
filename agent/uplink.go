package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Uplink is the agent's line to the leader.
type Uplink interface {
	// Publish hands a load snapshot over; a newer one replaces it if it could
	// not be sent yet. It never blocks.
	Publish(cluster.Snapshot)
	// Views delivers what the leader says of this host; a newer view replaces
	// one that was not read yet.
	Views() <-chan cluster.View
	// Propose commits a command. A *cluster.Refusal is the State's answer;
	// any other error leaves open whether the command was committed.
	Propose(ctx context.Context, c cluster.Command) (index uint64, err error)
}

// commit proposes until the State has answered, yes or no, or ctx ends. The
// command keeps its id, so that a retry after a lost answer changes nothing.
func commit(ctx context.Context, up Uplink, body cluster.Body) error {
	c := cluster.Command{ID: uuid.NewString(), Body: body}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, err := up.Propose(ctx, c)
		if err == nil || cluster.RefusalOf(err) != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: outcome not known: %w", c.Kind(), errors.Join(context.Cause(ctx), err))
		case <-time.After(pause):
		}
	}
}
