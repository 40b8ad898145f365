package drill

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Schedstat is the kernel's own account of a guest's vCPU threads.
type Schedstat struct {
	RunNS, WaitNS, Slices uint64
}

// Schedstat sums over a guest's vCPU threads on a host, and says which they are.
func (d *Drill) Schedstat(host, guest string) (Schedstat, []int, error) {
	tids, err := d.Lab.VCPUThreads(host, guest)
	if err != nil {
		return Schedstat{}, nil, err
	}
	var sum Schedstat
	for _, tid := range tids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", tid))
		if err != nil {
			return Schedstat{}, nil, err
		}
		var s Schedstat
		if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &s.RunNS, &s.WaitNS, &s.Slices); err != nil {
			return Schedstat{}, nil, fmt.Errorf("schedstat of thread %d: %w", tid, err)
		}
		sum.RunNS, sum.WaitNS, sum.Slices = sum.RunNS+s.RunNS, sum.WaitNS+s.WaitNS, sum.Slices+s.Slices
	}
	return sum, tids, nil
}

// waits reads where each guest is and what its vCPU threads have waited.
type waits struct {
	at    time.Time
	host  string
	ns    uint64
	vcpus int
}

func (d *Drill) waits() map[string]waits {
	d.Lab.FavourGuests()
	out := map[string]waits{}
	for _, g := range d.Lab.Guests() {
		hosts := d.Lab.GuestHosts(g.Name)
		if len(hosts) != 1 {
			continue // in migration
		}
		s, tids, err := d.Schedstat(hosts[0], g.Name)
		if err == nil {
			out[g.Name] = waits{time.Now(), hosts[0], s.WaitNS, len(tids)}
		}
	}
	return out
}

// Meter tells each guest's steal between its looks, by schedstat alone.
type Meter struct {
	d    *Drill
	last map[string]waits
}

// NewMeter takes the first look.
func (d *Drill) NewMeter() *Meter { return &Meter{d, d.waits()} }

// Steal is the wait per vCPU and wall time of each guest since the last look.
// A guest that was not on one and the same host is left out.
func (m *Meter) Steal() map[string]float64 {
	now := m.d.waits()
	out := map[string]float64{}
	for guest, a := range m.last {
		b, ok := now[guest]
		if span := b.at.Sub(a.at); ok && a.host == b.host && b.ns >= a.ns && span > 0 {
			out[guest] = float64(b.ns-a.ns) / float64(span) / float64(max(b.vcpus, 1))
		}
	}
	m.last = now
	return out
}

// Worst is the largest.
func Worst(steal map[string]float64) float64 {
	worst := 0.0
	for _, s := range steal {
		worst = max(worst, s)
	}
	return worst
}
