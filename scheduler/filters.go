package scheduler

import (
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A filter says why a move may not be, or nil. Filters know nothing of how
// good a move would be; State.Apply holds the same rules against the present.
type (
	fleetFilter  func(f *fleet) *cluster.Refusal
	vmFilter     func(f *fleet, source *host, v *vm) *cluster.Refusal
	targetFilter func(f *fleet, v *vm, target *host) *cluster.Refusal
)

// All filters, in the order in which they are asked; the first that refuses
// gives its reason. They hold for the whole fleet, for a VM wherever it goes,
// and for a VM and a target.
var (
	fleetFilters  = []fleetFilter{another, clockSkew, limitCluster, budgets}
	vmFilters     = []vmFilter{liveMove, onePlace, running, foreignJob, diskLock, cooldown, backOff, limitSource, sourcePath}
	targetFilters = []targetFilter{known, measured, settled, targetPath, limitTarget, memoryFits}
)

func another(f *fleet) *cluster.Refusal {
	if len(f.hosts) < 2 {
		return no(cluster.CodeNoTarget, "there is no other hypervisor")
	}
	return nil
}

func clockSkew(f *fleet) *cluster.Refusal {
	if skew := f.state.Skew(); skew > cluster.MaxSkew || skew < -cluster.MaxSkew {
		return no(cluster.CodeClockSkew, "the leader's clock is %v off the median of the hosts'", skew.Round(time.Millisecond))
	}
	return nil
}

func limitCluster(f *fleet) *cluster.Refusal {
	if f.inFlight >= f.set.PerCluster {
		return no(cluster.CodeLimitCluster, "%d of %d moves in flight", f.inFlight, f.set.PerCluster)
	}
	return nil
}

func budgets(f *fleet) *cluster.Refusal {
	if n := f.state.OrderedSince(f.state.Now.Add(-time.Hour)) + f.planned; n >= f.set.PerHour {
		return no(cluster.CodeBudget, "%d of %d moves this hour", n, f.set.PerHour)
	}
	if n := f.state.OrderedSince(f.state.Now.Add(-24*time.Hour)) + f.planned; n >= f.set.PerDay {
		return no(cluster.CodeBudget, "%d of %d moves this day", n, f.set.PerDay)
	}
	return nil
}

func liveMove(f *fleet, _ *host, v *vm) *cluster.Refusal {
	m, ok := f.state.LiveMove(v.uuid)
	switch {
	case ok && m.State == cluster.MoveUnknown:
		return no(cluster.CodeQuarantined, "%s: the outcome of %s is unknown", v.name, m.ID)
	case ok:
		return no(cluster.CodeMoveInFlight, "%s: %s is %s", v.name, m.ID, m.State)
	case v.arriving:
		return no(cluster.CodeMoveInFlight, "%s is moved by this plan already", v.name)
	}
	return nil
}

func onePlace(f *fleet, source *host, v *vm) *cluster.Refusal {
	p, _ := f.state.Place(v.uuid)
	switch {
	case !slices.Contains(p.Hosts, source.id):
		return no(cluster.CodeUnknownVM, "%s is no longer on %s", v.name, source.name)
	case len(p.Hosts) > 1:
		return no(cluster.CodeDuplicateVM, "%s is reported by %d hosts", v.name, len(p.Hosts))
	}
	return nil
}

func running(_ *fleet, _ *host, v *vm) *cluster.Refusal {
	if v.facts.Run != cluster.RunRunning {
		return no(cluster.CodeNotRunning, "%s is %s", v.name, v.facts.Run)
	}
	return nil
}

func foreignJob(_ *fleet, _ *host, v *vm) *cluster.Refusal {
	if v.facts.Migrating {
		return no(cluster.CodeMoveInFlight, "%s has a migration job that is not ours", v.name)
	}
	return nil
}

func diskLock(f *fleet, _ *host, v *vm) *cluster.Refusal {
	if v.facts.Lock != cluster.LockLockable && !f.set.AllowUnlocked {
		return no(cluster.CodeNoDiskLock, "%s: no disk lock keeps a second copy from running", v.name)
	}
	return nil
}

// cooldown keeps a VM that was moved where it is. Each further move within a
// day doubles the time: whatever makes the planner change its mind about a VM,
// the VM does not go to and fro with it.
func cooldown(f *fleet, _ *host, v *vm) *cluster.Refusal {
	p, _ := f.state.Place(v.uuid)
	// The place of a VM that nobody reported for a moment was forgotten.
	moved := max(p.Moved, f.movedAt[v.uuid])
	if moved == 0 {
		return nil
	}
	moves := f.moved[v.uuid]
	rest := f.set.Cooldown << min(max(moves-1, 0), maxDoublings)
	switch {
	case f.state.Now.Sub(moved) >= rest:
		return nil
	case moves > 1:
		return no(cluster.CodeCooldown, "%s moved %v ago, cooldown is %v after %d moves within a day", v.name, age(f.state.Now, moved), rest, moves)
	}
	return no(cluster.CodeCooldown, "%s moved %v ago, cooldown is %v", v.name, age(f.state.Now, moved), rest)
}

// maxDoublings bounds the cooldown to 32 times what is set.
const maxDoublings = 5

// backOff keeps a VM where it is for a while after a move of it has come to
// nothing: what stopped it is likely still there, and its neighbours may do.
func backOff(f *fleet, _ *host, v *vm) *cluster.Refusal {
	m, ok := f.stopped[v.uuid]
	if ok && f.state.Now.Sub(m.EndedAt) < f.patience(m) {
		return no(cluster.CodeCooldown, "%s: its move %s ended %s %v ago", v.name, m.ID, m.State, age(f.state.Now, m.EndedAt))
	}
	return nil
}

// patience is how long a move that came to nothing keeps its VM from another
// one: one that touched the VM, or that a person took back, as long as one
// that went well; one that was never begun as long as its order stood.
func (f *fleet) patience(m cluster.Move) time.Duration {
	switch m.State {
	case cluster.MoveFailed, cluster.MoveAborted, cluster.MoveCancelled:
		return f.set.Cooldown
	}
	return f.set.ClaimWithin
}

func limitSource(f *fleet, source *host, _ *vm) *cluster.Refusal { return limit(f, source) }

func limitTarget(f *fleet, _ *vm, target *host) *cluster.Refusal { return limit(f, target) }

func limit(f *fleet, h *host) *cluster.Refusal {
	if h.inFlight >= f.set.PerHost {
		return no(cluster.CodeLimitHost, "%s has %d of %d moves in flight", h.name, h.inFlight, f.set.PerHost)
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

func known(_ *fleet, _ *vm, target *host) *cluster.Refusal { return target.unknown }

// measured asks that a target's VMs all have figures: what is not known is not
// idle.
func measured(_ *fleet, _ *vm, target *host) *cluster.Refusal {
	if n := len(target.dark); n > 0 {
		return no(cluster.CodePoorQuality, "%s: %d of its VMs have not been measured, %s among them", target.name, n, short(target.dark[0].Name))
	}
	return nil
}

// settled asks that a target's figures show what is there now: a window that
// began before the last move there ended knows its VMs only in part.
func settled(_ *fleet, _ *vm, target *host) *cluster.Refusal {
	if !target.state.Settled() {
		return no(cluster.CodeDisturbed, "the window of %s still carries a move", target.name)
	}
	return nil
}

func memoryFits(_ *fleet, v *vm, target *host) *cluster.Refusal {
	if need := target.memory + v.facts.MaxMemory + cluster.VMOverhead; need > target.load.Memory {
		return no(cluster.CodeNoHeadroom, "%s to %s: %v needed there, %v there for VMs", v.name, target.name, need, target.load.Memory)
	}
	return nil
}

// mayMove runs the filters that do not depend on the target.
func (f *fleet) mayMove(source *host, v *vm) *cluster.Refusal {
	for _, filter := range vmFilters {
		if r := filter(f, source, v); r != nil {
			return r
		}
	}
	return nil
}

// mayGo runs the filters of a VM and a target.
func (f *fleet) mayGo(v *vm, target *host) *cluster.Refusal {
	for _, filter := range targetFilters {
		if r := filter(f, v, target); r != nil {
			return r
		}
	}
	return nil
}

// closed runs the filters that hold for the whole fleet.
func (f *fleet) closed() *cluster.Refusal {
	for _, filter := range fleetFilters {
		if r := filter(f); r != nil {
			return r
		}
	}
	return nil
}
