package cluster

// Standing is how many hosts the fleet may lose before VMs find no room.
type Standing struct {
	Asked  int // the setting failover_hosts
	Stands int // losses that leave room for all, at most MaxFailover
	// Known says that there was anything to look at: two hosts, and one that
	// gives room.
	Known bool
	// Of the losses that are asked for, or of single hosts if none are: the
	// worst, the memory that it lacks, and if none what it leaves.
	Worst        string
	Lacks, Spare Bytes
	// The same of whole zones, "" if there are none.
	WorstZone string
	ZoneLacks Bytes
}

// Lost says that the reserve which is asked for is not there.
func (r Standing) Lost() bool { return r.Known && r.Asked > 0 && r.Lacks > 0 }

// Standing looks at the losses of one host, of two, and so on until one is not
// stood.
func (s State) Standing() Standing {
	r := Standing{Asked: s.Settings.FailoverHosts}
	f := s.failover(max(r.Asked, 1))
	if f.k < 1 {
		r.alone(f)
		return r
	}
	for k := 1; k <= min(MaxFailover, len(f.takers)-1); k++ {
		f.stand(k)
		if f.worst[lossOfHosts].lacks > 0 {
			break
		}
		r.Stands = k
	}
	f.stand(min(max(r.Asked, 1), len(f.takers)-1))
	hosts, zone := f.worst[lossOfHosts], f.worst[lossOfZone]
	r.Known, r.Worst, r.Lacks, r.Spare = true, hosts.name, hosts.lacks, hosts.spare
	r.WorstZone, r.ZoneLacks = zone.name, zone.lacks
	return r
}

// stand assesses the loss of so many hosts.
func (f *Failover) stand(k int) {
	f.k = k
	f.draw()
	f.assess()
}

// alone is how a fleet stands of which one host gives room: if that fails, its
// VMs find none. Of a fleet of one, or of which nobody is heard, nothing is said.
func (r *Standing) alone(f *Failover) {
	if len(f.takers) != 1 || len(f.hosts) < 2 {
		return
	}
	h := f.hosts[f.takers[0]]
	r.Known, r.Worst, r.Lacks = true, h.name, h.used
}
