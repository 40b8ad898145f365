package rebalancer

import (
	"fmt"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A VM that crashed, or whose network did not follow it, shows no steal. So its
// signs of life are held against what it showed at all times before: that it
// ran, that its disks had requests, that it received something. One that was
// not there before proves nothing, nor does one that is not measured.
const (
	runSign      = cluster.MilliCPU(20)
	requestSign  = int64(1)                   // per second
	receivedSign = cluster.BytesPerSecond(64) // a smallest frame a second

	// quiet is the share of before, as a divisor, below which a VM is silent.
	quiet = 10
)

// silence names what a VM gave before and gives no more, "" if it lives. Its
// run time is a mean since the move; of the others the newest window tells,
// which may be between two bursts: it may wake.
func silence(e cluster.Effect) (lost string, mayWake bool) {
	switch {
	case e.VMContentionAfter >= cluster.Whole/2:
		return "", false // it hardly gets to run
	case silent(e.VMRunFloor, e.VMRunAfter, runSign):
		return fmt.Sprintf("the VM never ran less than %.2f CPUs in the hour before, and %.3f since the move", e.VMRunFloor.CPUs(), e.VMRunAfter.CPUs()), false
	case silent(e.VMRequestsFloor, e.VMRequestsAfter, requestSign):
		return fmt.Sprintf("its disks never had less than %d requests a second before, and now %d", e.VMRequestsFloor, e.VMRequestsAfter), true
	case silent(e.VMReceivedFloor, e.VMReceivedAfter, receivedSign):
		return fmt.Sprintf("it never received less than %d bytes a second before, and now %d", e.VMReceivedFloor, e.VMReceivedAfter), true
	}
	return "", false
}

// silent: what is negative is not known.
func silent[T ~int64](before, after, sign T) bool {
	return before >= sign && after >= 0 && after*quiet < before
}
