package scheduler

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// selected keeps evenkeel from VMs and hosts that mode auto is not for. Moves
// of them may be looked for where they are only to be recommended.
func selected(f *fleet, source *host, v *vm) *cluster.Refusal {
	if f.advise {
		return nil
	}
	if r := f.state.VMSelected(v.uuid, v.facts.Name); r != nil {
		return r
	}
	return f.state.HostSelected(source.id)
}

func targetSelected(f *fleet, target *host) *cluster.Refusal {
	if f.advise {
		return nil
	}
	return f.state.HostSelected(target.id)
}
