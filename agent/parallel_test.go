package agent

import (
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestParallel(t *testing.T) {
	qemu := func(major uint32) *cluster.Offer { return &cluster.Offer{QEMU: cluster.SoftwareVersion{major, 2, 0}} }
	for name, c := range map[string]struct {
		check cluster.Check
		want  int
	}{
		"both know it":       {cluster.Check{AtSource: qemu(4), AtTarget: qemu(7)}, 8},
		"the source doesn't": {cluster.Check{AtSource: qemu(3), AtTarget: qemu(7)}, 1},
		"the target doesn't": {cluster.Check{AtSource: qemu(7), AtTarget: qemu(2)}, 1},
		"nobody has spoken":  {cluster.Check{}, 8},
		"no version":         {cluster.Check{AtSource: &cluster.Offer{}, AtTarget: qemu(7)}, 8},
	} {
		if got := parallel(8, c.check); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
