package agent

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// multifdSince is the first QEMU whose migrations over several connections
// (multifd) libvirt uses.
const multifdSince = 4

// parallel is over how many connections a migration's memory goes: as many as
// wanted, but one where a QEMU of an end is too old for more. An end that has
// not said which QEMU it has is libvirt's to judge.
func parallel(wanted int, c cluster.Check) int {
	for _, o := range []*cluster.Offer{c.AtSource, c.AtTarget} {
		if o != nil && o.QEMU != (cluster.SoftwareVersion{}) && o.QEMU[0] < multifdSince {
			return 1
		}
	}
	return wanted
}
