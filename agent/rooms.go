package agent

import (
	"math/bits"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What a host's storage holds changes all the time, and each change that is told
// is an entry of every member's log. So it is told in steps of an eighth.

// CoarseUp rounds a size up to the next step.
func CoarseUp(b cluster.Bytes) cluster.Bytes {
	down := CoarseDown(b)
	if down == b {
		return b
	}
	return down + stepOf(b)
}

// CoarseDown rounds a size down to the last step.
func CoarseDown(b cluster.Bytes) cluster.Bytes { return b - b%stepOf(b) }

// stepOf is an eighth of the power of two below a size, and a MiB at least.
func stepOf(b cluster.Bytes) cluster.Bytes {
	if b <= 0 {
		return cluster.MiB
	}
	return max(cluster.Bytes(1)<<max(bits.Len64(uint64(b))-4, 0), cluster.MiB)
}

// steadyRooms is what is told of rooms: what was told before, as long as there
// is that much and not more than two steps above it.
func steadyRooms(told, now []cluster.Room) []cluster.Room {
	now = slices.Clone(now)
	for i, r := range now {
		now[i].Free = CoarseDown(r.Free)
		was := slices.IndexFunc(told, func(t cluster.Room) bool { return t.Dir == r.Dir })
		if was >= 0 && told[was].Free <= r.Free && r.Free < told[was].Free+2*stepOf(told[was].Free) {
			now[i].Free = told[was].Free
		}
	}
	return now
}
