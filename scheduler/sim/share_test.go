package sim

import (
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		name   string
		room   cluster.MilliCPU
		claims []Claim
		want   []Part
	}{
		{"by shares", 1000, []Claim{{1, 1000, 200}, {1, 1000, 0}}, []Part{{666, 333}, {333, 666}}},
		{"what shares leave over", 1000, []Claim{{1, 400, 200}, {1, 1000, 100}}, []Part{{400, 0}, {600, 400}}},
		{"nobody", 2000, nil, []Part{}},
		{"enough for all", 2000, []Claim{{1, 1000, 0}, {2, 700, 0}}, []Part{{1000, 0}, {700, 0}}},
		{"just enough, in thirds", 2000, []Claim{{1, 667, 0}, {1, 667, 0}, {1, 666, 0}}, []Part{{667, 0}, {667, 0}, {666, 0}}},
		{"the small one is served first", 2000, []Claim{{1, 1000, 0}, {1, 900, 0}, {1, 300, 0}}, []Part{{850, 150}, {850, 150}, {300, 0}}},
		{"by vCPU, not by VM", 3000, []Claim{{4, 4000, 0}, {2, 2000, 0}}, []Part{{2000, 2000}, {1000, 1000}}},
		{"more than its vCPUs can use", 4000, []Claim{{1, 3000, 0}}, []Part{{1000, 0}}},
		{"no room", -5, []Claim{{1, 500, 0}, {1, 0, 0}}, []Part{{0, 1000}, {0, 0}}},
	} {
		if got := Share(c.room, c.claims); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
