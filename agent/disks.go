package agent

import (
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/bpf"
)

// BlockMeter counts the VMs' block I/O in the kernel.
type BlockMeter interface {
	// Follow makes these the VMs that are counted.
	Follow(guests []Guest) error
	Read() (bpf.BlockReading, error)
	Close() error
}

// ProbeBlockMeter counts with the eBPF block probe.
type ProbeBlockMeter struct {
	block  *bpf.Block
	charge func(pid int) (cgroup uint64) // whom a process's I/O is charged to, 0 unknown
}

// OpenProbeBlockMeter loads the probe; charge tells the id of the cgroup that
// a process's block I/O is charged to, 0 if it is unknown.
func OpenProbeBlockMeter(charge func(pid int) uint64) (*ProbeBlockMeter, error) {
	block, err := bpf.OpenBlock(bpf.BlockOptions{})
	if err != nil {
		return nil, err
	}
	return &ProbeBlockMeter{block, charge}, nil
}

// Close takes the probe out of the kernel.
func (p *ProbeBlockMeter) Close() error { return p.block.Close() }

// Read gives the counters of every VM that is followed.
func (p *ProbeBlockMeter) Read() (bpf.BlockReading, error) { return p.block.Read() }

// Follow makes these the VMs that are counted.
func (p *ProbeBlockMeter) Follow(guests []Guest) error {
	here := make(map[string]bool, len(guests))
	var errs []error
	for _, g := range guests {
		if g.PID <= 0 {
			continue
		}
		here[g.UUID] = true
		if err := p.block.Track(bpf.BlockTarget{VM: g.UUID, PID: g.PID, Cgroup: p.charge(g.PID)}); err != nil {
			errs = append(errs, fmt.Errorf("block I/O of VM %s: %w", g.Name, err))
		}
	}
	for _, vm := range p.block.Tracked() {
		if !here[vm] {
			p.block.Untrack(vm)
		}
	}
	return errors.Join(errs...)
}
