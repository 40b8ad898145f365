package scheduler

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// vmPaused keeps evenkeel from a VM that an operator paused.
func vmPaused(f *fleet, _ *host, v *vm) *cluster.Refusal {
	return f.state.PausedPart("", v.uuid, v.name)
}

func sourcePaused(f *fleet, source *host, _ *vm) *cluster.Refusal {
	return f.state.PausedPart(source.id, "", source.name)
}

func targetPaused(f *fleet, target *host) *cluster.Refusal {
	return f.state.PausedPart(target.id, "", target.name)
}
