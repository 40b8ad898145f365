package main

import (
	"context"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/libvirt"
)

// guestStats asks libvirt as the agent asks.
func guestStats(h *libvirt.Host) func(ctx context.Context) (map[string]agent.GuestStats, error) {
	return func(ctx context.Context) (map[string]agent.GuestStats, error) {
		all, err := h.VMStats(ctx)
		if err != nil {
			return nil, err
		}
		out := make(map[string]agent.GuestStats, len(all))
		for id, s := range all {
			g := agent.GuestStats{Network: len(s.NICs) > 0}
			if s.Balloon != nil {
				g.BalloonBytes = s.Balloon.CurrentBytes
			}
			for _, n := range s.NICs {
				g.Network = g.Network && n.Known
				g.ReceivedBytes += n.RxBytes
				g.SentBytes += n.TxBytes
			}
			out[id] = g
		}
		return out, nil
	}
}
