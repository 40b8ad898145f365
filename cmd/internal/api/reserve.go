package api

import (
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Reserve is what a fleet has left for the VMs of hosts that fail: memory, each
// VM's maximum and its overhead, largest first.
type Reserve struct {
	Asked  int    `json:"asked"`  // the setting failover_hosts
	Stands int    `json:"stands"` // hosts that may fail at once so that all their VMs find room, at most 8
	Lost   bool   `json:"lost"`   // the reserve that is asked for is not there
	Worst  string `json:"worst"`  // the worst loss of as many hosts as are asked for, or of one; their names
	// LacksBytes is the memory that it lacks; SpareBytes what it leaves if it lacks none.
	LacksBytes     int64  `json:"lacks_bytes"`
	SpareBytes     int64  `json:"spare_bytes"`
	WorstZone      string `json:"worst_zone"` // the worst loss of a whole zone, "" if there are none
	ZoneLacksBytes int64  `json:"zone_lacks_bytes"`
}

// reserveOf is null of one host alone, and while no host could take VMs.
func reserveOf(r cluster.Standing) *Reserve {
	if !r.Known {
		return nil
	}
	return &Reserve{
		Asked: r.Asked, Stands: r.Stands, Lost: r.Lost(), Worst: r.Worst, LacksBytes: int64(r.Lacks), SpareBytes: int64(r.Spare),
		WorstZone: r.WorstZone, ZoneLacksBytes: int64(r.ZoneLacks),
	}
}

func (out *Status) warnReserve() {
	if r := out.Reserve; r != nil && r.Lost {
		out.warning(Caution, "evenkeel hosts", "RESERVE LOST: if %s fails, its VMs lack %v of memory on the others", r.Worst, cluster.Bytes(r.LacksBytes))
	}
}
