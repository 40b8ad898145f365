// Package sim plays a scripted fleet against the planner: the same
// [scheduler.Plan] and the same State.Apply as in a real fleet, over hosts
// that are simulated. [Parse] reads a scenario, [Run] plays it under one
// policy, [Compare] under several from the same seed, and [Outcome] says what
// came of it. How VMs share a CPU is simulated tick by tick and owes nothing to
// the planner's model, so that it can prove the model wrong.
package sim

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Scenario is a fleet and what happens to it.
type Scenario struct {
	Name string
	For  time.Duration // how long it lasts
	// Tick is the grain in which work is shared, 0: a tenth of a second. With a
	// second agents speak once in a window, and weeks take minutes.
	Tick     time.Duration
	Seed     uint64
	Settings cluster.Settings
	Hosts    []Host
	VMs      []VM
	Events   []Event       // in the order of their times
	Failures cluster.Ratio // share of migrations that break off
	Fleets   []Fleet       // made when the scenario is loaded, see Load
	Overlays []Overlay     // on VMs with a trace
	Expect   []Expect
}

// Host is a simulated hypervisor.
type Host struct {
	Name     string
	CPUs     cluster.MilliCPU
	Memory   cluster.Bytes
	Overhead cluster.MilliCPU       // what the host does for itself, served first
	Link     cluster.BytesPerSecond // shared by the migrations that use it
}

// VM is a simulated VM.
type VM struct {
	Name   string
	On     string // host at the start
	VCPUs  int
	Memory cluster.Bytes
	Dirty  cluster.BytesPerSecond // memory written while it runs
	Shares cluster.Shares         // of each of its vCPUs; 0: the usual ones
	Work
	Trace *Trace // in place of Work; nil: none
}

// Work is what a VM has to do.
type Work struct {
	// CPU is the work that arrives per time. As much as there are vCPUs means
	// that it never sleeps.
	CPU cluster.MilliCPU
	// Burst is the period in which that work comes in one burst; 0: evenly.
	Burst time.Duration
}

// Event changes something at a time.
type Event struct {
	At     time.Duration
	VM     string                 // whose work changes, or
	Work   Work                   //
	Silent string                 // the host whose agent falls silent,
	For    time.Duration          // for as long. Its VMs and migrations go on. Or
	Slow   string                 // the host whose link changes,
	Link   cluster.BytesPerSecond // to this
}

// Bounds of a scenario.
const (
	maxFor   = 31 * 24 * time.Hour
	maxHosts = 1000
	maxVMs   = 20_000
)
