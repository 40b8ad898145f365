package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Of a host's VMs only the planner's candidates that run are watched, each
// every two minutes while it stays one; a figure is told for ten minutes, and a
// VM that could not be watched has none.
func TestOnlyCandidatesAreWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var watched []string
		a := New(Config{
			Logger: slog.New(slog.DiscardHandler), Uptime: func() time.Duration { return time.Since(began) + time.Hour },
			DirtyRate: func(ctx context.Context, vm string, period time.Duration) (int64, error) {
				watched = append(watched, vm[len(vm)-1:])
				if vm == vmID(3) {
					return 0, errors.New("too old a QEMU")
				}
				return 8 << 20, pause(ctx, period)
			},
		})
		for n := range 5 {
			a.guests = append(a.guests, Guest{UUID: vmID(n), Name: "v", State: RunStateRunning})
		}
		a.guests[4].Migrating = true
		a.register.update(a.guests, func(string) bool { return false })
		a.view.Candidates = []string{vmID(2), vmID(3), vmID(4), vmID(9)}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		a.measureDirty(ctx)
		if want := []string{"2", "3", "2", "3", "2", "3"}; !slices.Equal(watched, want) {
			t.Errorf("watched %v, want %v", watched, want)
		}
		told := func() (rates []cluster.BytesPerSecond) {
			d := cluster.Details{}
			for n := range uint32(5) {
				d.VMs = append(d.VMs, cluster.Detail{Slot: n, Memory: &cluster.Memory{}})
			}
			a.tellDirty(&d)
			for _, vm := range d.VMs {
				if vm.Memory.DirtyRate != nil {
					rates = append(rates, *vm.Memory.DirtyRate)
				}
			}
			return rates
		}
		if got := told(); len(got) != 1 || got[0] != cluster.BytesPerSecond(8<<20) {
			t.Errorf("told %v", got)
		}
		time.Sleep(dirtyFor)
		if got := told(); len(got) != 0 {
			t.Errorf("ten minutes later: told %v", got)
		}
	})
}
