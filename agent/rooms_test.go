package agent

import (
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What is told is never on the unsafe side, and off by an eighth at most.
func TestCoarse(t *testing.T) {
	for _, b := range []cluster.Bytes{0, 1, cluster.MiB - 1, cluster.MiB, cluster.MiB + 1, 17 * cluster.MiB, 100 * cluster.MiB, cluster.GiB - 1, cluster.GiB, 3*cluster.GiB + 7, 1 << 50} {
		down, up := CoarseDown(b), CoarseUp(b)
		if down > b || up < b || b-down >= max(b/8+1, cluster.MiB) || up-b > max(b/8, cluster.MiB) {
			t.Errorf("%d: %d to %d", b, down, up)
		}
		if CoarseDown(down) != down || CoarseUp(up) != up {
			t.Errorf("%d: a step is not one: %d, %d", b, down, up)
		}
	}
}

func TestSteadyRooms(t *testing.T) {
	const gib = cluster.GiB
	told := steadyRooms(nil, []cluster.Room{{Dir: "/a", Free: 100*gib + 1}})
	if told[0].Free != 96*gib {
		t.Fatalf("%v", told[0].Free)
	}
	for free, want := range map[cluster.Bytes]cluster.Bytes{
		96 * gib: 96 * gib, 111 * gib: 96 * gib, // as before
		112 * gib: 112 * gib, 96*gib - 1: 88 * gib, 0: 0, // there is less, or much more
	} {
		if got := steadyRooms(told, []cluster.Room{{Dir: "/a", Free: free}}); got[0].Free != want {
			t.Errorf("%v free: told %v, want %v", free, got[0].Free, want)
		}
	}
	if got := steadyRooms(told, []cluster.Room{{Dir: "/b", Free: 5 * gib}}); len(got) != 1 || got[0] != (cluster.Room{Dir: "/b", Free: 5 * gib}) {
		t.Errorf("%+v", got)
	}
}
