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
	hostFilter   func(f *fleet, target *host) *cluster.Refusal
	targetFilter func(f *fleet, v *vm, target *host) *cluster.Refusal
)

// All filters, in the order in which they are asked; the first that refuses
// gives its reason. They hold for the whole fleet, for a VM wherever it goes,
// for a target whatever comes, and for a VM and a target. Those of automatic moves alone hold evenkeel back
// where a person's word is enough.
var (
	fleetFilters  = []fleetFilter{another, limitCluster}
	vmFilters     = []vmFilter{liveMove, onePlace, running, foreignJob, diskLock, backOff, limitSource, sourceHeld, sourcePath, mayLeave, ruleStays}
	hostFilters   = []hostFilter{known, cordoned, targetHeld, targetPath, limitTarget}
	targetFilters = []targetFilter{memoryFits, runsThere, disksFit, ruleForbids}

	autoFleetFilters  = []fleetFilter{clockSkew, alone, budgets}
	autoVMFilters     = []vmFilter{vmPaused, sourcePaused, selected, ownMode, ownQuiet, spent, tooLarge, cooldown, madeWorse}
	autoHostFilters   = []hostFilter{targetPaused, targetSelected, measured, settled, madeWorseThere}
	autoTargetFilters = []targetFilter{described, comesBack, disksReturn, canary}
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

func foreignJob(f *fleet, _ *host, v *vm) *cluster.Refusal {
	if v.facts.Migrating {
		return no(cluster.CodeMoveInFlight, "%s", f.state.JobOf(v.facts))
	}
	return nil
}

func diskLock(f *fleet, _ *host, v *vm) *cluster.Refusal {
	if !v.facts.Guarded(v.copies) && !f.set.MovesUnlocked() {
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
	switch {
	case !ok || f.state.Now.Sub(m.EndedAt) >= f.patience(m):
	case m.WhyCode == cluster.CodeHypervisorBlocked:
		return no(m.WhyCode, "%s: %v ago (%s) %s", v.name, age(f.state.Now, m.EndedAt), m.ID, m.Why)
	default:
		return no(cluster.CodeCooldown, "%s: its move %s ended %s %v ago", v.name, m.ID, m.State, age(f.state.Now, m.EndedAt))
	}
	return nil
}

// patience is how long a move that came to nothing keeps its VM from another
// one: one that touched the VM, or that a person took back, as long as one
// that went well; one that was never begun as long as its order stood. What
// libvirt or QEMU lets go nowhere it will not let go the next minute.
func (f *fleet) patience(m cluster.Move) time.Duration {
	if m.WhyCode == cluster.CodeHypervisorBlocked {
		return blockedFor
	}
	switch m.State {
	case cluster.MoveFailed, cluster.MoveAborted, cluster.MoveCancelled:
		return f.set.Cooldown
	}
	return f.set.ClaimWithin
}

// blockedFor is how long a VM is left alone that its hypervisor lets go nowhere,
// unless a person moves it: till somebody has looked, and not for ever.
const blockedFor = 6 * time.Hour

func limitSource(f *fleet, source *host, _ *vm) *cluster.Refusal { return limit(f, source) }

func limitTarget(f *fleet, target *host) *cluster.Refusal { return limit(f, target) }

func limit(f *fleet, h *host) *cluster.Refusal {
	if h.inFlight >= f.set.PerHost {
		return no(cluster.CodeLimitHost, "%s has %d of %d moves in flight", h.name, h.inFlight, f.set.PerHost)
	}
	return nil
}

// tooLarge keeps evenkeel from VMs that a person should move.
func tooLarge(f *fleet, _ *host, v *vm) *cluster.Refusal {
	if most := f.set.LargestVM; most != 0 && v.facts.MaxMemory > most {
		return no(cluster.CodeTooLarge, "%s has %v of memory, largest_vm is %v", v.name, v.facts.MaxMemory, most)
	}
	return nil
}

// ownQuiet leaves a VM where it is in its own quiet hours.
func ownQuiet(f *fleet, _ *host, v *vm) *cluster.Refusal { return f.state.VMHush(v.uuid, v.name) }

// madeWorse keeps a VM whose last move made things worse: the model did not
// know something about it, and knows no more now.
func madeWorse(f *fleet, _ *host, v *vm) *cluster.Refusal {
	if m, ok := f.worse[v.uuid]; ok {
		return no(cluster.CodeHeldBack, "%s: its move %s made things worse %v ago", v.name, m.ID, age(f.state.Now, m.VerifiedAt))
	}
	return nil
}

// madeWorseThere keeps VMs from a target for a while to which the last move
// made things worse.
func madeWorseThere(f *fleet, target *host) *cluster.Refusal {
	m, ok := f.worseTo[target.id]
	if ok && f.state.Now.Sub(m.VerifiedAt) < f.set.Cooldown {
		return no(cluster.CodeHeldBack, "the last move to %s, %s, made things worse %v ago", target.name, m.ID, age(f.state.Now, m.VerifiedAt))
	}
	return nil
}

func sourceHeld(_ *fleet, source *host, _ *vm) *cluster.Refusal { return held(source) }

func targetHeld(_ *fleet, target *host) *cluster.Refusal { return held(target) }

// held keeps VMs where they are on a host that was told so by a file of its own.
func held(h *host) *cluster.Refusal {
	if h.member.Hold != "" {
		return no(cluster.CodeHeld, "%s is held: %s", h.name, h.member.Hold)
	}
	return nil
}

func sourcePath(_ *fleet, source *host, _ *vm) *cluster.Refusal { return path(source) }

func targetPath(_ *fleet, target *host) *cluster.Refusal { return path(target) }

func path(h *host) *cluster.Refusal {
	if h.member.MigrationPeerURI == "" || h.member.MigrationURI == "" {
		return no(cluster.CodeNoMigrationPath, "%s announces no address for migrations", h.name)
	}
	return nil
}

func known(_ *fleet, target *host) *cluster.Refusal { return target.unknown }

// cordoned keeps VMs from a host that an operator closed.
func cordoned(f *fleet, target *host) *cluster.Refusal {
	if c, ok := f.state.Cordoned(target.id); ok {
		return no(cluster.CodeCordoned, "%s was cordoned by %s", target.name, short(c.By))
	}
	return nil
}

// measured asks that a target's VMs all have figures: what is not known is not
// idle.
func measured(_ *fleet, target *host) *cluster.Refusal {
	if n := len(target.dark); n > 0 {
		return no(cluster.CodePoorQuality, "%s: %d of its VMs have not been measured, %s among them", target.name, n, short(target.dark[0].Name))
	}
	return nil
}

// settled asks that a target's figures show what is there now: a window that
// began before the last move there ended knows its VMs only in part.
func settled(_ *fleet, target *host) *cluster.Refusal {
	if !target.state.Settled() {
		return no(cluster.CodeDisturbed, "the window of %s still carries a move", target.name)
	}
	return nil
}

func memoryFits(f *fleet, v *vm, target *host) *cluster.Refusal {
	return to(v, target, f.set.Admit(target.memory.Plus(v.charge), target.load.Memory))
}

// mayMove runs the filters that do not depend on the target.
func (f *fleet) mayMove(source *host, v *vm) *cluster.Refusal {
	return first(vmFilters, autoVMFilters, f.asked, func(filter vmFilter) *cluster.Refusal { return filter(f, source, v) })
}

// takes runs the filters of a target, whatever VM would come.
func (f *fleet) takes(target *host) *cluster.Refusal {
	return first(hostFilters, autoHostFilters, f.asked, func(filter hostFilter) *cluster.Refusal { return filter(f, target) })
}

// mayGo runs the filters of a VM and a target. What no move may overlook comes
// before what holds back only automatic ones: it is the reason that will last.
func (f *fleet) mayGo(v *vm, target *host) *cluster.Refusal {
	onPair := func(filter targetFilter) *cluster.Refusal { return filter(f, v, target) }
	gate := f.gate(target)
	r := gate.all
	if r == nil {
		r = first(targetFilters, nil, true, onPair)
	}
	if r == nil {
		r = gate.auto
	}
	if r == nil {
		r = first(nil, autoTargetFilters, f.asked, onPair)
	}
	return r
}

// gate is what a target's own filters say, whatever VM would come. They are asked
// once, and again after a step that touches the host: a plan holds every VM of
// its sources against every target.
func (f *fleet) gate(target *host) *fit {
	if target.gate == nil {
		onHost := func(filter hostFilter) *cluster.Refusal { return filter(f, target) }
		target.gate = &fit{all: first(hostFilters, nil, true, onHost), auto: first(nil, autoHostFilters, f.asked, onHost)}
	}
	return target.gate
}

// closed runs the filters that hold for the whole fleet.
func (f *fleet) closed() *cluster.Refusal {
	return first(fleetFilters, autoFleetFilters, f.asked, func(filter fleetFilter) *cluster.Refusal { return filter(f) })
}

// first is the first refusal: of all filters, and unless an operator asked for
// the moves of those for automatic ones.
func first[F any](all, auto []F, asked bool, run func(F) *cluster.Refusal) *cluster.Refusal {
	for _, filter := range all {
		if r := run(filter); r != nil {
			return r
		}
	}
	if asked {
		return nil
	}
	for _, filter := range auto {
		if r := run(filter); r != nil {
			return r
		}
	}
	return nil
}
