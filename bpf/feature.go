package bpf

import (
	"fmt"
	"slices"
)

// Features says what the probe measures on this kernel, found by asking the
// kernel's type information, never its version.
func (p *Probes) Features() []Feature { return slices.Clone(p.features) }

// SetLevel changes how much the probe finds out, while it runs.
func (p *Probes) SetLevel(l Level) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l >= levels {
		return fmt.Errorf("probe: level %d does not exist; use exact, sampled or sums", l)
	}
	p.level = l
	return nil
}
