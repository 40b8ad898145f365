package api

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Move is an order and what became of it.
type Move struct {
	ID       string            `json:"id"`
	VM       string            `json:"vm"` // name
	VMUUID   string            `json:"vm_uuid"`
	Source   string            `json:"source"` // host's name
	Target   string            `json:"target"`
	State    cluster.MoveState `json:"state"`    // ordered, claimed, running, done, failed, aborted, unknown, vetoed, expired, cancelled or released
	Verdict  cluster.Verdict   `json:"verdict"`  // better, same, worse or suspect; "" until measured
	Reason   string            `json:"reason"`   // why it was ordered
	Trigger  cluster.Trigger   `json:"trigger"`  // auto or operator
	Decision string            `json:"decision"` // id of the decision that ordered it

	OrderedAt Time `json:"ordered_at"`
	StartedAt Time `json:"started_at"` // just before libvirt was called
	EndedAt   Time `json:"ended_at"`   // when the outcome was known, or known to be unknown
	Deadline  Time `json:"deadline"`   // the source may claim it until then

	DowntimeMS *float64 `json:"downtime_ms"` // null: not known
	Predicted  Effect   `json:"predicted"`
	Measured   *Effect  `json:"measured"` // null until verified
	// The most that its migration may send, 0 for no limit, and where that comes
	// from: policy, source-link or target-link (half of it).
	LimitBytesPerSecond int64           `json:"limit_bytes_per_second"`
	LimitBy             cluster.LimitBy `json:"limit_by"`

	// The networks that both hosts must have, and whether the move is the first
	// between them over one of these.
	Networks []string `json:"networks"`
	Canary   bool     `json:"canary"`

	Progress Progress `json:"progress"`
	// What each end saw after the job had ended, null until it said so.
	AtSource *Evidence `json:"at_source"`
	AtTarget *Evidence `json:"at_target"`
	// Autostart is what became of its mark to be started with its host: owed to
	// the target, kept there, or lost; "" if it had none.
	Autostart cluster.Autostart `json:"autostart"`

	Why        string       `json:"why"`      // how it ended, in words
	WhyCode    cluster.Code `json:"why_code"` // "" if no refusal
	Report     string       `json:"report"`   // libvirt's error at the source
	AbortAsked bool         `json:"abort_asked"`
	ResolvedBy string       `json:"resolved_by"` // the operator whose word ended it
	Term       uint64       `json:"term"`        // of the leader that ordered it
	Index      uint64       `json:"index"`       // of the log's entry that ordered it
}

// Evidence is what one end saw of the VM after the job had ended.
type Evidence struct {
	Presence cluster.Presence `json:"presence"` // running, paused, absent or other
	Process  bool             `json:"process"`  // a QEMU process exists
	At       Time             `json:"at"`
}

func evidenceOf(e *cluster.Evidence) *Evidence {
	if e == nil {
		return nil
	}
	return &Evidence{e.Presence, e.Process, timeOf(e.At)}
}

// Progress of a migration job. Zero figures: nothing was reported yet.
type Progress struct {
	TotalBytes              int64   `json:"total_bytes"`
	ProcessedBytes          int64   `json:"processed_bytes"`
	RemainingBytes          int64   `json:"remaining_bytes"`
	DirtyBytesPerSecond     int64   `json:"dirty_bytes_per_second"`     // what the VM writes
	BandwidthBytesPerSecond int64   `json:"bandwidth_bytes_per_second"` // what is sent
	Iteration               int64   `json:"iteration"`                  // of pre-copy
	ThrottleRatio           float64 `json:"throttle_ratio"`             // by how much auto-converge slows the VM's vCPUs
	Ratio                   float64 `json:"ratio"`                      // share of the total that is not remaining
}

func progressOf(p cluster.Progress) Progress {
	out := Progress{
		TotalBytes: int64(p.Total), ProcessedBytes: int64(p.Processed), RemainingBytes: int64(p.Remaining),
		DirtyBytesPerSecond: int64(p.DirtyRate), BandwidthBytesPerSecond: int64(p.Bandwidth), Iteration: p.Iteration, ThrottleRatio: float64(p.Throttle) / 100,
	}
	if p.Total > 0 {
		out.Ratio = min(max(1-float64(p.Remaining)/float64(p.Total), 0), 1)
	}
	return out
}

func moveOf(s cluster.State, m cluster.Move) Move {
	out := Move{
		ID: m.ID, VM: m.VMName, VMUUID: m.VM, Source: s.HostName(m.Source), Target: s.HostName(m.Target),
		State: m.State, Verdict: m.Verdict, Reason: m.Reason, Trigger: m.Trigger, Decision: m.Decision,
		OrderedAt: timeOf(m.OrderedAt), StartedAt: timeOf(m.StartedAt), EndedAt: timeOf(m.EndedAt), Deadline: timeOf(m.Deadline),
		Predicted: effectOf(m.Predicted), Progress: progressOf(m.Progress), LimitBytesPerSecond: int64(m.Limit.Rate), LimitBy: m.Limit.By,
		AtSource: evidenceOf(m.AtSource), AtTarget: evidenceOf(m.AtTarget), Autostart: m.Autostart,
		Networks: append([]string{}, m.Networks...), Canary: m.Canary,
		Why: m.Why, WhyCode: m.WhyCode, Report: m.Report, AbortAsked: m.AbortAsked, ResolvedBy: m.ResolvedBy,
		Term: m.Term, Index: m.Index,
	}
	if m.Downtime > 0 {
		ms := float64(m.Downtime) / float64(time.Millisecond)
		out.DowntimeMS = &ms
	}
	if m.Measured != nil {
		e := effectOf(*m.Measured)
		out.Measured = &e
	}
	return out
}
