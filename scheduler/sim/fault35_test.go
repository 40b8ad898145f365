package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/sim"
)

// crowded is a fleet of hosts with two CPUs, each with so many VMs that never
// sleep on one vCPU.
func crowded(profile cluster.Profile, vms ...int) sim.Scenario {
	set := cluster.DefaultSettings()
	set.Profile, set.WarmUp, set.PerHour, set.PerDay = profile, 0, 10_000, 100_000
	s := sim.Scenario{Name: fmt.Sprintf("%s, VMs %v", profile, vms), For: 20 * time.Minute, Seed: 1, Settings: set}
	for i, n := range vms {
		host := fmt.Sprint("hv", i+1)
		s.Hosts = append(s.Hosts, sim.Host{Name: host, CPUs: 2000, Memory: 64 * cluster.GiB, Link: cluster.BytesPerSecond(500 * cluster.MiB)})
		for j := range n {
			s.VMs = append(s.VMs, sim.VM{Name: fmt.Sprintf("%s-%d", host, j), On: host, VCPUs: 1, Memory: cluster.GiB, Work: sim.Work{CPU: 1000}})
		}
	}
	return s
}

// Every host has more work than CPUs. Nothing moves, however long it lasts, and
// the reason says how many CPUs are missing.
func TestFault35AllHostsOverloaded(t *testing.T) {
	for _, profile := range []cluster.Profile{cluster.ProfileFast, cluster.ProfileSteady} {
		for short, vms := range map[int][]int{2: {3, 3}, 4: {4, 4}, 6: {4, 4, 4}, 5: {4, 4, 3}, 12: {5, 5, 5, 5}} {
			s := crowded(profile, vms...)
			o, err := sim.Run(s, "demand")
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(": about %d.0 too few", short); len(o.Moves) != 0 || !strings.HasPrefix(o.Why, "CAPACITY_SHORT: ") || !strings.HasSuffix(o.Why, want) {
				t.Errorf("%s: %d moves, %s; want none, and CAPACITY_SHORT%s", s.Name, len(o.Moves), o.Why, want)
			}
		}
	}
}

// The same VMs in another place, or a host more: there is something to do, and
// no talk of missing CPUs before it is done.
func TestFault35OnlyWhereNoMoveHelps(t *testing.T) {
	for name, c := range map[string]struct {
		vms   []int
		moves bool
		why   string
	}{
		"all on one host":               {[]int{6, 0}, true, "CAPACITY_SHORT: "},
		"room for all":                  {[]int{4, 0}, true, "BELOW_THRESHOLD: "},
		"as many CPUs as are asked for": {[]int{2, 2}, false, "BELOW_THRESHOLD: "},
		"an empty host":                 {[]int{3, 3, 0}, true, "BELOW_THRESHOLD: "},
	} {
		s := crowded(cluster.ProfileFast, c.vms...)
		s.Settings.Cooldown = 0
		o, err := sim.Run(s, "demand")
		if err != nil {
			t.Fatal(err)
		}
		if (len(o.Moves) > 0) != c.moves || !strings.HasPrefix(o.Why, c.why) {
			t.Errorf("%s: %d moves, at the end %s; want moves: %v, at the end %s", name, len(o.Moves), o.Why, c.moves, c.why)
		}
	}
}
