package api

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// Effect is what a move does, predicted or measured. Steal is a fraction: of
// the VM, and of both hosts.
type Effect struct {
	VMContentionBefore     float64  `json:"vm_contention_before"`
	VMContentionAfter      float64  `json:"vm_contention_after"`
	SourceContentionBefore float64  `json:"source_contention_before"`
	SourceContentionAfter  float64  `json:"source_contention_after"`
	TargetContentionBefore float64  `json:"target_contention_before"`
	TargetContentionAfter  float64  `json:"target_contention_after"`
	DurationSeconds        *float64 `json:"duration_seconds"` // null: not known
	DowntimeSeconds        *float64 `json:"downtime_seconds"`
	Bytes                  *int64   `json:"bytes"`
}

func effectOf(e cluster.Effect) Effect {
	out := Effect{
		VMContentionBefore: e.VMContentionBefore.Float(), VMContentionAfter: e.VMContentionAfter.Float(),
		SourceContentionBefore: e.SourceContentionBefore.Float(), SourceContentionAfter: e.SourceContentionAfter.Float(),
		TargetContentionBefore: e.TargetContentionBefore.Float(), TargetContentionAfter: e.TargetContentionAfter.Float(),
		DurationSeconds: secondsOrNull(e.Duration), DowntimeSeconds: secondsOrNull(e.Downtime),
	}
	if e.Bytes > 0 {
		n := int64(e.Bytes)
		out.Bytes = &n
	}
	return out
}
