package main

import (
	"context"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// openAPI opens the port and the socket for operators.
func (h *host) openAPI() (*api.Server, error) {
	var local api.Local
	if h.agent != nil {
		local = counters{h.agent}
	}
	return api.Listen(api.Config{
		Replica: h.node, Local: local, Self: h.self, Name: h.cfg.Host.Name, Version: version,
		Listen: h.cfg.Listen.API, Socket: h.cfg.Socket, ServerTLS: h.tls.ServerConfig, ClientTLS: h.tls.ClientConfig,
		Logger: h.log,
	})
}

// counters is the agent as the API asks it.
type counters struct{ agent *agent.Agent }

// VMs reads the counters of this host's VMs now.
func (c counters) VMs(context.Context) ([]api.LocalVM, error) {
	list, err := c.agent.Counters()
	if err != nil {
		return nil, err
	}
	out := make([]api.LocalVM, 0, len(list))
	for _, v := range list {
		out = append(out, api.LocalVM{
			UUID: v.VM, Name: v.Name, Threads: v.Threads, RunNS: v.RunNS, WaitNS: v.WaitNS, Waits: v.Waits,
			Source: string(v.Source), Since: v.Since, SampledAt: v.SampledAt,
		})
	}
	return out, nil
}
