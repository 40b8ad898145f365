package api

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// Effect is what a move does, predicted or measured. Steal is a fraction: of
// the VM, and of both hosts.
type Effect struct {
	VMStealBefore     float64  `json:"vm_steal_before"`
	VMStealAfter      float64  `json:"vm_steal_after"`
	SourceStealBefore float64  `json:"source_steal_before"`
	SourceStealAfter  float64  `json:"source_steal_after"`
	TargetStealBefore float64  `json:"target_steal_before"`
	TargetStealAfter  float64  `json:"target_steal_after"`
	DurationSeconds   *float64 `json:"duration_seconds"` // null: not known
	DowntimeSeconds   *float64 `json:"downtime_seconds"`
	Bytes             *int64   `json:"bytes"`
}

func effectOf(e cluster.Effect) Effect {
	out := Effect{
		VMStealBefore: e.VMStealBefore.Float(), VMStealAfter: e.VMStealAfter.Float(),
		SourceStealBefore: e.SourceStealBefore.Float(), SourceStealAfter: e.SourceStealAfter.Float(),
		TargetStealBefore: e.TargetStealBefore.Float(), TargetStealAfter: e.TargetStealAfter.Float(),
		DurationSeconds: secondsOrNull(e.Duration), DowntimeSeconds: secondsOrNull(e.Downtime),
	}
	if e.Bytes > 0 {
		n := int64(e.Bytes)
		out.Bytes = &n
	}
	return out
}
