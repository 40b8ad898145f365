package scheduler

import (
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// alone lets nothing begin by itself beside a canary, one that flies or one of
// this plan.
func alone(f *fleet) *cluster.Refusal {
	if f.canary {
		return no(cluster.CodeCanary, "this plan's first step is the first move on its path, and is made alone")
	}
	return f.state.Alone()
}

// canary holds a move against what earlier ones have shown of its path.
func canary(f *fleet, v *vm, target *host) *cluster.Refusal {
	networks := f.networks(v)
	if len(networks) == 0 {
		return nil
	}
	return to(v, target, f.state.Canary(f.trialsKnown(), v.home.id, target.id, networks, f.inFlight))
}

// networks are those of a VM, read once of equal needs.
func (f *fleet) networks(v *vm) []string {
	if v.need == nil || len(v.need.Links) == 0 {
		return nil
	}
	known, ok := f.fitting.networks[v.need]
	if !ok {
		known = v.need.Networks()
		f.fitting.networks[v.need] = known
	}
	return known
}

// trialsKnown are the State's, looked up once.
func (f *fleet) trialsKnown() map[cluster.Path]cluster.Trial {
	if f.trials == nil {
		f.trials = f.state.Trials()
	}
	return f.trials
}

// tests says whether a move is the first on its path.
func (f *fleet) tests(c candidate) bool {
	networks := f.networks(c.vm)
	return len(networks) > 0 && f.state.Tests(f.trialsKnown(), c.source.id, c.target.id, networks)
}
