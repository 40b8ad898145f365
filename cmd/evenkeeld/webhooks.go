package main

import (
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/webhook"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// notifier delivers events to the receivers in agent.yaml while this member
// leads.
func (h *host) notifier() *webhook.Notifier {
	return webhook.New(webhook.Config{
		Webhooks: h.cfg.Webhooks, Events: h.events, Replica: h.node, Self: h.actor(), Cluster: h.cfg.Cluster.ID, Version: version,
		Now: time.Now, Logger: h.log.With("part", "webhook"),
	})
}

// actor is this member when it speaks as the leader.
func (h *host) actor() cluster.Actor {
	return cluster.Actor{Kind: h.self.Kind, ID: h.self.MemberID, Name: h.cfg.Host.Name}
}
