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
	// What the VM ran, in CPUs: the least of any minute of the hour before, and
	// since the move; null: not known.
	VMRunFloor *float64 `json:"vm_run_floor"`
	VMRunAfter *float64 `json:"vm_run_after"`
	// The same of its disks' requests and of what it received, per second.
	VMRequestsFloor *float64 `json:"vm_requests_per_second_floor"`
	VMRequestsAfter *float64 `json:"vm_requests_per_second_after"`
	VMReceivedFloor *float64 `json:"vm_received_bytes_per_second_floor"`
	VMReceivedAfter *float64 `json:"vm_received_bytes_per_second_after"`
	// Run-queue latency's 99th percentile, of the VM and of the VM with the
	// longest on each host; null: not known.
	VMP99Before     *float64 `json:"vm_run_queue_p99_before_seconds"`
	VMP99After      *float64 `json:"vm_run_queue_p99_after_seconds"`
	SourceP99Before *float64 `json:"source_run_queue_p99_before_seconds"`
	SourceP99After  *float64 `json:"source_run_queue_p99_after_seconds"`
	TargetP99Before *float64 `json:"target_run_queue_p99_before_seconds"`
	TargetP99After  *float64 `json:"target_run_queue_p99_after_seconds"`
	// Memory that the VMs of both hosts hold; null: not known of all of them.
	SourceMemoryBefore *int64 `json:"source_memory_before_bytes"`
	SourceMemoryAfter  *int64 `json:"source_memory_after_bytes"`
	TargetMemoryBefore *int64 `json:"target_memory_before_bytes"`
	TargetMemoryAfter  *int64 `json:"target_memory_after_bytes"`
	// The VM of the target that was predicted to bear most of the move; null:
	// there was none.
	Bystander *Bystander `json:"bystander"`
}

// Bystander is a VM that did not move.
type Bystander struct {
	VMUUID           string  `json:"vm_uuid"`
	ContentionBefore float64 `json:"contention_before"`
	ContentionAfter  float64 `json:"contention_after"`
}

func effectOf(e cluster.Effect) Effect {
	out := Effect{
		VMContentionBefore: e.VMContentionBefore.Float(), VMContentionAfter: e.VMContentionAfter.Float(),
		SourceContentionBefore: e.SourceContentionBefore.Float(), SourceContentionAfter: e.SourceContentionAfter.Float(),
		TargetContentionBefore: e.TargetContentionBefore.Float(), TargetContentionAfter: e.TargetContentionAfter.Float(),
		DurationSeconds: secondsOrNull(e.Duration), DowntimeSeconds: secondsOrNull(e.Downtime),
	}
	out.VMRunFloor, out.VMRunAfter = cpusOrNull(e.VMRunFloor), cpusOrNull(e.VMRunAfter)
	out.VMRequestsFloor, out.VMRequestsAfter = rateOrNull(e.VMRequestsFloor), rateOrNull(e.VMRequestsAfter)
	out.VMReceivedFloor, out.VMReceivedAfter = rateOrNull(e.VMReceivedFloor), rateOrNull(e.VMReceivedAfter)
	out.Bytes = bytesOrNull(e.Bytes)
	out.VMP99Before, out.VMP99After = secondsOrNull(e.VMP99Before), secondsOrNull(e.VMP99After)
	out.SourceP99Before, out.SourceP99After = secondsOrNull(e.SourceP99Before), secondsOrNull(e.SourceP99After)
	out.TargetP99Before, out.TargetP99After = secondsOrNull(e.TargetP99Before), secondsOrNull(e.TargetP99After)
	out.SourceMemoryBefore, out.SourceMemoryAfter = bytesOrNull(e.SourceMemoryBefore), bytesOrNull(e.SourceMemoryAfter)
	out.TargetMemoryBefore, out.TargetMemoryAfter = bytesOrNull(e.TargetMemoryBefore), bytesOrNull(e.TargetMemoryAfter)
	if e.Bystander != "" {
		out.Bystander = &Bystander{e.Bystander, e.BystanderContentionBefore.Float(), e.BystanderContentionAfter.Float()}
	}
	return out
}

func rateOrNull[T int64 | cluster.BytesPerSecond](perSecond T) *float64 {
	if perSecond <= 0 {
		return nil
	}
	r := float64(perSecond)
	return &r
}

func bytesOrNull(b cluster.Bytes) *int64 {
	if b <= 0 {
		return nil
	}
	n := int64(b)
	return &n
}

func cpusOrNull(c cluster.MilliCPU) *float64 {
	if c <= 0 {
		return nil
	}
	cpus := c.CPUs()
	return &cpus
}
