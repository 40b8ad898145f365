package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A filter says why a move may not be, or nil. Filters know nothing of how
// good a move would be; State.Apply holds the same rules against the present.
type (
	fleetFilter  func(f *fleet) *cluster.Refusal
	sourceFilter func(f *fleet, source *host, v *vm) *cluster.Refusal
	targetFilter func(f *fleet, v *vm, target *host) *cluster.Refusal
)

var fleetFilters = []fleetFilter{limitCluster, budgets}

var sourceFilters = []sourceFilter{limitSource, liveMove, onePlace, running, foreignJob, diskLock, cooldown, sourcePath}

var targetFilters = []targetFilter{knownTarget, targetPath, limitTarget, memoryFits}

func no(code cluster.Code, format string, args ...any) *cluster.Refusal {
	return &cluster.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

func limitCluster(f *fleet) *cluster.Refusal {
	_, n := f.state.InFlight("")
	if n+f.steps >= f.set.PerCluster {
		return no(cluster.CodeLimitCluster, "%d of %d moves in flight", n+f.steps, f.set.PerCluster)
	}
	return nil
}

func budgets(f *fleet) *cluster.Refusal {
	if n := f.state.OrderedSince(f.now.Add(-time.Hour)) + f.steps; n >= f.set.PerHour {
		return no(cluster.CodeBudget, "%d of %d moves this hour", n, f.set.PerHour)
	}
	if n := f.state.OrderedSince(f.now.Add(-24*time.Hour)) + f.steps; n >= f.set.PerDay {
		return no(cluster.CodeBudget, "%d of %d moves this day", n, f.set.PerDay)
	}
	return nil
}

func limitSource(f *fleet, source *host, _ *vm) *cluster.Refusal {
	if source.inFlight >= f.set.PerHost {
		return no(cluster.CodeLimitHost, "%s has %d of %d moves in flight", source.name, source.inFlight, f.set.PerHost)
	}
	return nil
}

func liveMove(f *fleet, _ *host, v *vm) *cluster.Refusal {
	m, ok := f.state.LiveMove(v.uuid)
	switch {
	case !ok:
		return nil
	case m.State == cluster.MoveUnknown:
		return no(cluster.CodeQuarantined, "the outcome of %s is unknown", m.ID)
	}
	return no(cluster.CodeMoveInFlight, "%s is %s", m.ID, m.State)
}

func onePlace(f *fleet, source *host, v *vm) *cluster.Refusal {
	p, _ := f.state.Place(v.uuid)
	switch {
	case !slices.Contains(p.Hosts, source.id):
		return no(cluster.CodeUnknownVM, "it is no longer on %s", source.name)
	case len(p.Hosts) > 1:
		return no(cluster.CodeDuplicateVM, "%d hosts report it", len(p.Hosts))
	}
	return nil
}

func running(_ *fleet, _ *host, v *vm) *cluster.Refusal {
	if v.facts.Run != cluster.RunRunning {
		return no(cluster.CodeNotRunning, "it is %s", v.facts.Run)
	}
	return nil
}

func foreignJob(_ *fleet, _ *host, v *vm) *cluster.Refusal {
	if v.facts.Migrating {
		return no(cluster.CodeMoveInFlight, "it has a migration job that is not ours")
	}
	return nil
}

func diskLock(f *fleet, _ *host, v *vm) *cluster.Refusal {
	if v.facts.Lock != cluster.LockLockable && !f.set.AllowUnlocked {
		return no(cluster.CodeNoDiskLock, "no disk lock keeps a second copy from running")
	}
	return nil
}

func cooldown(f *fleet, _ *host, v *vm) *cluster.Refusal {
	p, _ := f.state.Place(v.uuid)
	if age := f.now.Sub(p.Moved); p.Moved != 0 && age < f.set.Cooldown {
		return no(cluster.CodeCooldown, "it moved %v ago, cooldown is %v", age.Round(time.Second), f.set.Cooldown)
	}
	return nil
}

func sourcePath(_ *fleet, source *host, _ *vm) *cluster.Refusal { return path(source) }

func targetPath(_ *fleet, _ *vm, target *host) *cluster.Refusal { return path(target) }

func path(h *host) *cluster.Refusal {
	if h.member.MigrationPeerURI == "" || h.member.MigrationURI == "" {
		return no(cluster.CodeNoMigrationPath, "%s announces no address for migrations", h.name)
	}
	return nil
}

func knownTarget(_ *fleet, _ *vm, target *host) *cluster.Refusal {
	if target.unknown != nil {
		return no(target.unknown.Code, "%s: %s", target.name, target.unknown.Text)
	}
	if n := len(target.dark); n > 0 {
		return no(cluster.CodeStaleSnapshot, "%s: %d VMs there have not been measured yet", target.name, n)
	}
	return nil
}

func limitTarget(f *fleet, _ *vm, target *host) *cluster.Refusal {
	if target.inFlight >= f.set.PerHost {
		return no(cluster.CodeLimitHost, "%s has %d of %d moves in flight", target.name, target.inFlight, f.set.PerHost)
	}
	return nil
}

func memoryFits(_ *fleet, v *vm, target *host) *cluster.Refusal {
	if need := target.memory + v.facts.MaxMemory + cluster.VMOverhead; need > target.load.Memory {
		return no(cluster.CodeNoHeadroom, "%v needed on %s, %v there for VMs", need, target.name, target.load.Memory)
	}
	return nil
}

// mayMove runs the filters that do not depend on the target.
func (f *fleet) mayMove(source *host, v *vm) *cluster.Refusal {
	for _, filter := range sourceFilters {
		if r := filter(f, source, v); r != nil {
			return r
		}
	}
	return nil
}

// mayGo runs the filters of a target.
func (f *fleet) mayGo(v *vm, target *host) *cluster.Refusal {
	for _, filter := range targetFilters {
		if r := filter(f, v, target); r != nil {
			return r
		}
	}
	return nil
}

// open runs the filters that hold for the whole fleet.
func (f *fleet) open() *cluster.Refusal {
	for _, filter := range fleetFilters {
		if r := filter(f); r != nil {
			return r
		}
	}
	return nil
}
