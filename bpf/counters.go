package bpf

import "time"

// Counters of one thread or of several. None of them ever falls.
type Counters struct {
	RunNS   uint64 // completed runs
	WaitNS  uint64 // completed waits: runnable, not running
	Waits   uint64 // how many; as schedstat's third field counts
	Latency Histogram
	Causes  Split // what the waits were spent on; sums to WaitNS exactly
}

func (c *Counters) add(o Counters) {
	c.RunNS += o.RunNS
	c.WaitNS += o.WaitNS
	c.Waits += o.Waits
	c.Latency = c.Latency.Add(o.Latency)
	for i, ns := range o.Causes {
		c.Causes[i] += ns
	}
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
	Level  Level // as of now
	Cost   Cost
}

// VM is one VM's counters.
type VM struct {
	Since   time.Time // when tracking began: the epoch of the counters
	VCPUs   []VCPU    // by vCPU number, those that are online
	Others  Counters  // the VM's other threads, ended ones included: Σ Roles but vCPUs
	Retired Counters  // vCPU threads that ended, or were unplugged
	// Roles holds all threads' counters by role, ended ones included. A thread
	// whose role becomes known later leaves with the old one what it counted.
	Roles [Roles]Counters
	// Culprits are whom the vCPU threads waited behind since the epoch, largest
	// first: all other VMs, and host tasks as far as single waits behind them
	// took over a millisecond. At most MaxCulprits. Only ReadCulprits lists them.
	Culprits []Culprit
}

// MaxCulprits bounds VM.Culprits.
const MaxCulprits = 64

// VCPU is one vCPU's counters.
type VCPU struct {
	Number int
	TID    int
	Counters
	// What has not ended: one of the two is zero. Counter and open part together
	// never fall for one thread.
	OpenRunNS, OpenWaitNS uint64
	// OpenQuotaNS is the part of OpenWaitNS that is throttling as of now, 0 where
	// the kernel does not say.
	OpenQuotaNS uint64
}

// Total is what all vCPU threads of the VM ran and waited since tracking began.
func (v VM) Total() Counters {
	sum := v.Retired
	for _, c := range v.VCPUs {
		sum.add(c.Counters)
	}
	return sum
}
