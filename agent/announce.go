package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Announce tells the State of a member that is no hypervisor, whenever the
// leader's view does not know its present start, until ctx ends.
func Announce(ctx context.Context, up Uplink, member cluster.Member, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case v, ok := <-up.Views():
			if !ok {
				return
			}
			if v.Announced != member.Incarnation {
				announce(ctx, up, v.Cluster, member, log)
			}
		}
	}
}

func announce(ctx context.Context, up Uplink, id string, member cluster.Member, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := commit(ctx, up, cluster.Announce{Cluster: id, Member: member}); err != nil {
		log.Warn("announcement", "err", err)
	}
}
