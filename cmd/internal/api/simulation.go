package api

import (
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/whatif"
)

// Simulation is the recorded past beside what would have come of it under
// other settings. The command computes it; no method does.
type Simulation struct {
	Head
	Member   string             `json:"member"`        // whose record it is
	First    Time               `json:"record_begins"` // the member remembers from then on
	Asked    Time               `json:"asked_from"`
	From     Time               `json:"from"` // what was played
	To       Time               `json:"to"`
	Complete bool               `json:"complete"` // the record covers what was asked for
	Gaps     []RecordGap        `json:"gaps"`     // after each, every column but the record begins anew from the record
	Entries  int                `json:"entries"`  // of the log, that were played
	Columns  []SimulationColumn `json:"columns"`  // record: what happened; then: the model under the settings of then; what-if
	Changes  string             `json:"changes"`  // of mode and settings in what-if, in words; "" if there is no such column
	// The real moves beside those of what-if: the same VM to the same host within
	// half an hour counts as the same. Without a column what-if, those of then.
	AsWell  []SimulatedMove `json:"as_well"`
	NotMade []SimulatedMove `json:"not_made"` // real ones that would not have been
	Added   []SimulatedMove `json:"added"`    // that would have been in addition
	Control SimulationCheck `json:"control"`  // the same of then: a model that fits makes the real moves and no others
	Model   SimulationModel `json:"model"`
}

// SimulationColumn is the record, or one way to have decided.
type SimulationColumn struct {
	Name        string         `json:"name"`
	Mode        cluster.Mode   `json:"mode"`        // at the end
	Settings    map[string]any `json:"settings"`    // at the end
	Evaluations *int           `json:"evaluations"` // how often the leader's code decided; null of the record, which folds them
	Moved       int            `json:"moved"`       // decisions that ordered moves
	Recommended int            `json:"recommended"` // decisions that only recommended; repeated ones count once
	Nothing     int            `json:"nothing"`     // decisions not to move; repeated ones count once
	Moves       int            `json:"moves"`       // that were ordered
	Done        int            `json:"done"`        // of them, that ended well
	// How long a vCPU waited, in seconds per hour, on average over VMs.
	StealSecondsPerVMHour float64 `json:"steal_seconds_per_vm_hour"`
	VMHours               float64 `json:"vm_hours"`           // for which there are figures
	EstimatedVMHours      float64 `json:"estimated_vm_hours"` // of them, on hosts with other VMs than in the record: figures are modelled there
	// An overload begins when a host suffers more than the enter threshold of
	// then, and ends when it suffers less than the exit threshold of then.
	Overloads       int      `json:"overloads"`
	OverloadSeconds float64  `json:"overload_seconds"`     // above the enter threshold, summed over hosts
	Answered        int      `json:"answered"`             // overloads in which a decision moved or recommended to move a VM off the host
	DelayMedian     *float64 `json:"delay_median_seconds"` // from an overload to that decision; null: there was none
	DelayWorst      *float64 `json:"delay_worst_seconds"`
}

// SimulatedMove is a move of the record or of a column.
type SimulatedMove struct {
	ID     string            `json:"id"` // of the real move; "" of one that was never made
	VM     string            `json:"vm"` // name
	VMUUID string            `json:"vm_uuid"`
	Source string            `json:"source"`
	Target string            `json:"target"`
	RealAt Time              `json:"real_at"` // when it was ordered; null if it was not
	At     Time              `json:"at"`      // when it would have been; null if it would not
	State  cluster.MoveState `json:"state"`   // how it ended, or would have
	Reason string            `json:"reason"`
}

// SimulationCheck compares the moves of a column with the real ones.
type SimulationCheck struct {
	AsWell  int `json:"as_well"`
	NotMade int `json:"not_made"`
	Added   int `json:"added"`
}

// SimulationModel is how good the estimates are: on hosts as they really were,
// what is modelled beside what was measured. Seconds that a vCPU waited for
// others, per hour, on average over VMs.
type SimulationModel struct {
	MeasuredSecondsPerVMHour float64 `json:"measured_seconds_per_vm_hour"`
	ModelledSecondsPerVMHour float64 `json:"modelled_seconds_per_vm_hour"`
}

// Simulated puts a report into the words of the API. The record's own column
// is the first; the last lane is the one that its moves are compared with.
func Simulated(r whatif.Report, span RecordSpan, gaps []RecordGap) *Simulation {
	out := &Simulation{
		Head:   Head{APIVersion: Version, Kind: "Simulation", Now: span.Last, Index: r.Index},
		Member: span.Member, First: span.First, Asked: span.From, From: timeOf(r.From), To: timeOf(r.To), Gaps: some(gaps), Entries: r.Entries,
		Complete: !span.First.After(span.From.Time) && len(gaps) == 0,
		AsWell:   []SimulatedMove{}, NotMade: []SimulatedMove{}, Added: []SimulatedMove{},
		Columns: []SimulationColumn{columnOf(r.Record, nil)},
		Model:   SimulationModel{hundredths(r.Model.MeasuredPerHour()), hundredths(r.Model.ModelledPerHour())},
	}
	for _, l := range r.Lanes {
		out.Columns = append(out.Columns, columnOf(l, &l.Evaluations))
	}
	both, gone, more := whatif.Compare(r.Record, r.Lanes[0])
	out.Control = SimulationCheck{len(both), len(gone), len(more)}
	last := r.Lanes[len(r.Lanes)-1]
	both, gone, more = whatif.Compare(r.Record, last)
	for _, p := range both {
		m := simulated(p.A, p.A.At, p.B.At)
		m.State = p.B.State
		out.AsWell = append(out.AsWell, m)
	}
	for _, m := range gone {
		out.NotMade = append(out.NotMade, simulated(m, m.At, 0))
	}
	for _, m := range more {
		m.ID = ""
		out.Added = append(out.Added, simulated(m, 0, m.At))
	}
	if len(r.Lanes) > 1 {
		out.Changes = changesOf(r.Lanes[0], last)
	}
	return out
}

func columnOf(c whatif.Column, evaluations *int) SimulationColumn {
	out := SimulationColumn{
		Name: c.Name, Mode: c.Mode, Settings: settingsOf(c.Settings), Evaluations: evaluations,
		Moved: c.Moved, Recommended: c.Recommended, Nothing: c.Nothing, Moves: len(c.Moves),
		StealSecondsPerVMHour: hundredths(c.StealPerHour()), VMHours: hundredths(c.VMTime.Seconds() / 3600), EstimatedVMHours: hundredths(c.Modelled.Seconds() / 3600),
		Overloads: c.Overloads, OverloadSeconds: hundredths(c.Overloaded.Seconds()), Answered: c.Answered,
	}
	for _, m := range c.Moves {
		if m.State == cluster.MoveDone {
			out.Done++
		}
	}
	if c.Answered > 0 {
		median, worst := seconds(c.DelayMedian), seconds(c.DelayWorst)
		out.DelayMedian, out.DelayWorst = &median, &worst
	}
	return out
}

func simulated(m whatif.Move, realAt, at cluster.Time) SimulatedMove {
	return SimulatedMove{
		ID: m.ID, VM: m.VMName, VMUUID: m.VM, Source: m.Source, Target: m.Target, RealAt: timeOf(realAt), At: timeOf(at), State: m.State, Reason: m.Reason,
	}
}

// changesOf says what a lane was told to do otherwise, as it is at the end.
func changesOf(then, other whatif.Column) string {
	switch settings := changesBetween(then.Settings, other.Settings); {
	case then.Mode == other.Mode:
		return settings
	case then.Settings == other.Settings:
		return fmt.Sprintf("mode %s -> %s", then.Mode, other.Mode)
	default:
		return fmt.Sprintf("mode %s -> %s, %s", then.Mode, other.Mode, settings)
	}
}

// hundredths rounds: estimates are not known to the last bit.
func hundredths(f float64) float64 { return float64(int64(f*100+0.5)) / 100 }

// Turn returns settings with changes as `evenkeel policy set` takes them.
func Turn(set cluster.Settings, changes map[string]string) (cluster.Settings, error) {
	set, err := turn(set, changes)
	var wire *connect.Error
	if errors.As(err, &wire) {
		return set, errors.New(wire.Message())
	}
	return set, err
}
