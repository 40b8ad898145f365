// Package bpf measures in the kernel how long the threads of VMs run and how
// long they are runnable but do not run. Open [Probes], Track the threads of
// each VM, Read the counters whenever they are wanted:
//
//	p, err := bpf.Open(bpf.Options{})
//	err = p.Track(bpf.Target{VM: uuid, PID: pid, Threads: threads})
//	reading, err := p.Read()
//
// A program on sched_switch reads the scheduler's own accounts, so the sums are
// the kernel's, to the nanosecond; what it adds is the distribution, and from a
// book of who ran on each CPU the causes and culprits of the waits. DESIGN.md
// has the reasons.
package bpf
