package agent

import "github.com/evenkeel/evenkeel/bpf"

// The probes by the names that metrics show.
const (
	ProbeRunQueue = "runqueue"
	ProbeBlock    = "block"
)

// ProbeUse is what a probe has used of the host, and what it could not use
// itself, since it was loaded; one that was taken out and loaded again begins
// anew.
type ProbeUse struct {
	Probe string
	Cost  bpf.Cost
	Lost  uint64 // events
}

// Probes tells of the probes that are in the kernel, as of the last time that
// they were read.
func (a *Agent) Probes() []ProbeUse {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []ProbeUse
	if a.sampled.Probe != "" && a.cfg.Meter.Source().Distribution() {
		out = append(out, a.sampled)
	}
	if a.blocks.Probe != "" {
		out = append(out, a.blocks)
	}
	return out
}
