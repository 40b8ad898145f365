package procfs

// Capacity is what the CPUs that VMs may use amount to.
type Capacity struct {
	CPUs  int
	Cores int   // of which the CPUs are threads
	Speed Speed // of the lowest of the CPUs
}

// SMT says whether some of the CPUs share a core.
func (c Capacity) SMT() bool { return c.Cores < c.CPUs }

// Capacity reads that of the given CPUs (see [Reader.GuestCPUs]).
func (r Reader) Capacity(cpus CPUs) (Capacity, error) {
	cores, err := r.Cores(cpus)
	if err != nil || len(cpus) == 0 {
		return Capacity{}, err
	}
	speed, err := r.Speed(cpus[0])
	return Capacity{len(cpus), len(cores), speed}, err
}
