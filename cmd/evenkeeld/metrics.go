package main

import (
	"context"

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
	if h.agent != nil {
		local = counters{h.agent}
	}
	s, err := metrics.Listen(metrics.Config{
		Listen: h.cfg.Metrics, Replica: h.node, Local: local, CertExpires: h.tls.NotAfter,
		Member: h.self.MemberID, Version: version, Logger: h.log.With("part", "metrics"),
	})
	if err == nil {
		err = s.Run(ctx)
	}
	if err != nil {
		h.log.Error("there is no /metrics and no /healthz; set listen.metrics", "err", err)
	}
}
