package main

import (
	"context"
	"encoding/hex"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
)

// openAPI opens the port and the socket for operators.
func (h *host) openAPI() (*api.Server, error) {
	var local api.Local
	if h.agent != nil {
		local = counters{h.agent}
	}
	return api.Listen(api.Config{
		Replica: h.node, Journal: h.recollect(), Events: h.events, Definitions: h.definitions, Webhooks: h.hooks.Webhooks, Members: members{h}, Revoked: h.node.Revoked, CertExpires: h.tls.NotAfter, Local: local, Self: h.self, Name: h.cfg.Host.Name, Version: version,
		Listen: h.cfg.Listen.API, Socket: h.cfg.Socket, Roles: &h.cfg.Roles, ServerTLS: h.tls.ServerConfig, ClientTLS: h.tls.ClientConfig,
		Logger: h.log,
	})
}

// members is the cluster's membership as the API changes it.
type members struct{ *host }

// CanSign implements api.Membership.
func (m members) CanSign(ctx context.Context) error { return m.port.CanSign(ctx) }

// Fingerprint implements api.Membership.
func (m members) Fingerprint() (string, error) {
	sum, err := certs.CAFingerprint(m.cfg.TLS.CA)
	return hex.EncodeToString(sum[:]), err
}

// Meet implements api.Membership.
func (m members) Meet() []string { return m.node.Meet() }

// TransferTo implements api.Membership.
func (m members) TransferTo(ctx context.Context, member string) error {
	return m.node.TransferTo(ctx, member)
}

// counters is the agent as the API asks it.
type counters struct{ agent *agent.Agent }

// causes names the parts of a wait; empty where none are known.
func causes(v agent.Counters) map[string]uint64 {
	out := map[string]uint64{}
	if !v.Source.Causes() {
		return out
	}
	for c, ns := range v.Causes {
		out[bpf.Cause(c).String()] = ns
	}
	return out
}

// behind is what a VM waited behind each other VM.
func behind(v agent.Counters) map[string]uint64 {
	out := map[string]uint64{}
	for _, c := range v.Culprits {
		if c.VM != "" {
			out[c.VM] = c.WaitNS
		}
	}
	return out
}

// byRole names what the VM's threads ran and waited by what they do; empty
// where the source knows no roles.
func byRole(v agent.Counters) (run, wait map[string]uint64) {
	run, wait = map[string]uint64{}, map[string]uint64{}
	if !v.Source.Distribution() {
		return run, wait
	}
	for role, r := range v.Roles {
		name := bpf.Role(role).String()
		run[name], wait[name] = r.RunNS, r.WaitNS
	}
	return run, wait
}

// blocks are a VM's block counters by operation, nil where the kernel counts
// none.
func blocks(v agent.Counters) *api.BlockCounters {
	if v.Block == nil {
		return nil
	}
	out := &api.BlockCounters{
		By: v.Block.By.String(), Epoch: api.Time{Time: v.Block.Since.UTC()},
		Requests: map[string]uint64{}, Bytes: map[string]uint64{}, Errors: map[string]uint64{}, QueueNS: map[string]uint64{}, DeviceNS: map[string]uint64{},
	}
	for op, c := range v.Block.Ops {
		name := bpf.Operation(op).String()
		out.Requests[name], out.Bytes[name], out.Errors[name] = c.Requests, c.Bytes, c.Errors
		out.QueueNS[name], out.DeviceNS[name] = c.QueueNS, c.DeviceNS
	}
	return out
}

// VMs reads the counters of this host's VMs now.
func (c counters) VMs(context.Context) ([]api.LocalVM, error) {
	list, err := c.agent.Counters()
	if err != nil {
		return nil, err
	}
	out := make([]api.LocalVM, 0, len(list))
	for _, v := range list {
		run, wait := byRole(v)
		out = append(out, api.LocalVM{
			UUID: v.VM, Name: v.Name, Threads: v.Threads, RunNS: v.RunNS, WaitNS: v.WaitNS, Waits: v.Waits,
			CauseNS: causes(v), BehindNS: behind(v), RoleRunNS: run, RoleWaitNS: wait, Source: string(v.Source), Since: v.Since, SampledAt: v.SampledAt,
			Block: blocks(v),
		})
	}
	return out, nil
}
