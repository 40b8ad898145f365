package whatif

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Report is what came of a Run.
type Report struct {
	From, To cluster.Time // State.Now of the first and the last entry that was played; 0: none was
	Entries  int
	Index    uint64 // of the last entry
	Record   Column
	Lanes    []Column
	Model    Model
}

// Column is the record, or a lane.
type Column struct {
	Name     string
	Mode     cluster.Mode     // at the end
	Settings cluster.Settings // at the end
	Figures
	Evaluations int // of a lane: how often its leader decided
	Moves       []Move
}

// Figures are the sums of a column.
type Figures struct {
	Moved, Recommended, Nothing int // decisions by result; repeated ones count once

	Steal    Span // Σ over VMs: how long a vCPU of it waited, on average of its vCPUs
	VMTime   Span // Σ over VMs: how long there were figures of it
	Modelled Span // of VMTime: on hosts with other VMs than in the record

	// An overload begins when a host suffers more than the enter threshold of
	// then, and ends when it suffers less than the exit threshold.
	Overloads   int
	Overloaded  Span // Σ over hosts: above the enter threshold
	Answered    int  // overloads in which a decision wanted a VM off the host
	DelayMedian time.Duration
	DelayWorst  time.Duration
}

// StealPerHour is how long a vCPU waits in an hour, on average over VMs, in
// seconds.
func (f Figures) StealPerHour() float64 { return perHour(f.Steal, f.VMTime) }

func perHour(part, whole Span) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole) * 3600
}

// Move is a move that was ordered.
type Move struct {
	ID             string // the lane's own numbers, but for the record
	VM, VMName     string
	Source, Target string // names
	At             cluster.Time
	State          cluster.MoveState // at the end
	Reason         string

	source, target string // ids
}

// Model says how good the model is on hosts as they really were: what it says
// that VMs wait for others there, beside what was measured.
type Model struct {
	VMTime             Span
	Measured, Modelled Span
}

// MeasuredPerHour and ModelledPerHour are seconds per VM and hour.
func (m Model) MeasuredPerHour() float64 { return perHour(m.Measured, m.VMTime) }

// ModelledPerHour is the model's word on the same VMs and times.
func (m Model) ModelledPerHour() float64 { return perHour(m.Modelled, m.VMTime) }

// take compares the model with what was measured. Each beat counts for as long
// as it promised to stand.
func (m *Model) take(beats []beat) {
	for _, b := range beats {
		load := b.last.Load
		if load.Source == cluster.SourceNone || load.Inventory != b.host.Inventory.Revision {
			continue
		}
		var guests []guest
		for _, vm := range b.host.Inventory.VMs {
			if l, ok := load.VM(vm.Slot); ok && !vm.Incoming && vm.VCPUs > 0 {
				guests = append(guests, guest{vm, l, b.host.SharesOf(vm.Slot), true})
			}
		}
		for i, v := range share(load, guests).VMs {
			m.VMTime += span(load.NextIn)
			m.Measured += stolen(guests[i].load.Contention, load.NextIn)
			m.Modelled += stolen(v.Contention, load.NextIn)
		}
	}
}

// Report sums up what was played so far.
func (r *Run) Report() Report {
	r.settle()
	out := r.out
	if r.played {
		out.To, out.Index = r.rec.Now, r.rec.Index
	}
	out.Record = r.record.column("record", r.rec)
	for _, l := range r.lanes {
		out.Lanes = append(out.Lanes, l.column(l.Name, l.state))
	}
	return out
}

// Pair is a move and its like in another column.
type Pair struct{ A, B Move }

// likeWithin is how far apart two columns may order a move for it to count as
// the same.
const likeWithin = 30 * time.Minute

// Compare matches the moves of two columns: the same VM to the same host within
// half an hour of each other, nearest first. It returns which are in both, and
// which in one only, each in the order of the first column's, or the second's.
func Compare(a, b Column) (both []Pair, onlyA, onlyB []Move) {
	taken := make([]bool, len(b.Moves))
	for _, m := range a.Moves {
		best := -1
		for i, n := range b.Moves {
			if taken[i] || n.VM != m.VM || n.target != m.target || apart(m, n) > likeWithin {
				continue
			}
			if best < 0 || apart(m, n) < apart(m, b.Moves[best]) {
				best = i
			}
		}
		if best < 0 {
			onlyA = append(onlyA, m)
			continue
		}
		taken[best] = true
		both = append(both, Pair{m, b.Moves[best]})
	}
	for i, n := range b.Moves {
		if !taken[i] {
			onlyB = append(onlyB, n)
		}
	}
	return both, onlyA, onlyB
}

func apart(a, b Move) time.Duration { return a.At.Sub(b.At).Abs() }
