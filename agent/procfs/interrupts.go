package procfs

// InterruptNS is the time since boot in which interrupts and softirqs held the
// given CPUs. A thread that they interrupt is not waiting for the kernel: it
// is in no run queue, and its time is missing from its run time all the same
// where the kernel accounts for interrupts (CONFIG_IRQ_TIME_ACCOUNTING).
func InterruptNS(times []CPUTimes, cpus CPUs) (ns uint64) {
	for _, t := range times {
		if cpus.Has(t.CPU) {
			ns += t.IRQNS + t.SoftIRQNS
		}
	}
	return ns
}
