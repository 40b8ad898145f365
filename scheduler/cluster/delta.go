package cluster

// amend makes a snapshot that lists only what changed whole, from what the
// State has of its host. Nothing else could stand for the base: only the
// newest committed snapshot of this start will do.
func (s *Snapshot) amend(host *Host, name string) error {
	if s.Base != 0 {
		last, ok := host.Last()
		switch {
		case !ok || s.Base != host.Seq:
			return refuse(CodeStaleBase, "host %s: snapshot %d amends %d, the newest is %d", name, s.Sequence, s.Base, host.Seq)
		case s.Inventory != nil || s.Load.Inventory != last.Load.Inventory:
			return refuse(CodeStaleBase, "host %s: snapshot %d amends figures of another set of VMs", name, s.Sequence)
		}
		s.Load.VMs = merge(last.Load.VMs, s.Load.VMs)
		if len(s.Load.VMs) > MaxVMsPerHost {
			return refuse(CodeTooMany, "host %s: figures of %d VMs, at most %d", name, len(s.Load.VMs), MaxVMsPerHost)
		}
		s.Base = 0
	}
	if d := s.Details; d != nil && d.Base != 0 {
		whole := *d
		switch {
		case host.Details == nil || d.Base != host.DetailsSeq:
			return refuse(CodeStaleBase, "host %s: details amend those of snapshot %d, the newest are of %d", name, d.Base, host.DetailsSeq)
		case d.Inventory != host.Details.Inventory:
			return refuse(CodeStaleBase, "host %s: details amend those of another set of VMs", name)
		}
		whole.Base, whole.VMs = 0, mergeDetails(host.Details.VMs, d.VMs)
		if len(whole.VMs) > MaxVMsPerHost {
			return refuse(CodeTooMany, "host %s: details of %d VMs, at most %d", name, len(whole.VMs), MaxVMsPerHost)
		}
		s.Details = &whole
	}
	return nil
}

// mergeDetails lays changed details over others.
func mergeDetails(base, news []Detail) []Detail {
	if len(news) == 0 {
		return base
	}
	out := make([]Detail, 0, max(len(base), len(news)))
	for _, d := range news {
		for len(base) > 0 && base[0].Slot < d.Slot {
			out = append(out, base[0])
			base = base[1:]
		}
		if len(base) > 0 && base[0].Slot == d.Slot {
			base = base[1:]
		}
		out = append(out, d)
	}
	return append(out, base...)
}
