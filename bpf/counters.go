package bpf

import "time"

// Counters of one thread or of several. None of them ever falls.
type Counters struct {
	RunNS   uint64 // completed runs
	WaitNS  uint64 // completed waits: runnable, not running
	Waits   uint64 // how many; as schedstat's third field counts
	Latency Histogram
}

func (c *Counters) add(o Counters) {
	c.RunNS += o.RunNS
	c.WaitNS += o.WaitNS
	c.Waits += o.Waits
	c.Latency = c.Latency.Add(o.Latency)
}

// Reading is every counter at one moment.
type Reading struct {
	VMs map[string]VM
	// Absurd counts events whose difference could not be, Foreign those of
	// threads whose id had passed to another process; both were left out.
	Absurd, Foreign uint64
	// Missed waits ended in a switch that the kernel did not call the probe for.
	// They are in all sums and counts; of their lengths only the mean with the
	// next wait's is known, and Latency counts them with that.
	Missed uint64
}

// VM is one VM's counters.
type VM struct {
	Since   time.Time // when tracking began: the epoch of the counters
	VCPUs   []VCPU    // by vCPU number, those that are online
	Others  Counters  // the VM's other threads, ended ones included
	Retired Counters  // vCPU threads that ended, or were unplugged
}

// VCPU is one vCPU's counters.
type VCPU struct {
	Number int
	TID    int
	Counters
}

// Total is what all vCPU threads of the VM ran and waited since tracking began.
func (v VM) Total() Counters {
	sum := v.Retired
	for _, c := range v.VCPUs {
		sum.add(c.Counters)
	}
	return sum
}
