package main

import (
	"context"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/metrics"
)

// tellMetrics serves the read-only port until ctx ends. Without it the daemon
// goes on: that nobody can watch it is no reason to leave VMs alone.
func (h *host) tellMetrics(ctx context.Context) {
	if h.cfg.Metrics == "" {
		return
	}
	var local api.Local
	var libvirt func() bool
	var used func() []metrics.Probe
	if h.agent != nil {
		local = counters{h.agent}
		used = func() []metrics.Probe { return probes(h.agent.Probes()) }
		libvirt = func() bool { return h.agent.Live().Connected }
	}
	s, err := metrics.Listen(metrics.Config{
		Listen: h.cfg.Metrics, Replica: h.node, Local: local, Libvirt: libvirt, Probes: used, CertExpires: h.tls.NotAfter, Webhooks: h.hooks.Webhooks,
		Member: h.self.MemberID, Version: version, Logger: h.log.With("part", "metrics"),
	})
	if err == nil {
		err = s.Run(ctx)
	}
	if err != nil {
		h.log.Error("there is no /metrics and no /healthz; set listen.metrics", "err", err)
	}
}

// probes are the agent's as the metrics show them. Each timed run stands for
// all that share its turn: an estimate by the mean would fall now and then.
func probes(used []agent.ProbeUse) []metrics.Probe {
	out := make([]metrics.Probe, len(used))
	for i, u := range used {
		out[i] = metrics.Probe{Name: u.Probe, Runs: u.Cost.Runs, Missed: u.Cost.Missed, Time: time.Duration(u.Cost.TimedNS * bpf.TimedOneIn), Lost: u.Lost}
	}
	return out
}
