package scheduler_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

// plug has every host say what its VMs are plugged into.
func (f *fleet) plug(networks map[string][]string) {
	f.t.Helper()
	for _, h := range f.hosts {
		body := cluster.Describe{Incarnation: 1, Revision: uint64(f.state.Index), Offer: &cluster.Offer{
			Guests:  []cluster.Guests{{Arch: "x86_64", Virt: "kvm", Machines: []string{"q35"}}},
			Bridges: []cluster.Bridge{{Name: "br0", Up: true, Uplink: true}, {Name: "br1", Up: true, Uplink: true}},
		}}
		sorted := slices.Clone(h.vms)
		slices.SortFunc(sorted, func(a, b *vm) int { return slices.Compare([]byte(a.UUID), []byte(b.UUID)) })
		for i, v := range sorted {
			need := &cluster.Need{Arch: "x86_64", Virt: "kvm", Machine: "q35"}
			for _, n := range networks[v.Name] {
				need.Links = append(need.Links, cluster.Link{Kind: "bridge", Name: n})
			}
			body.Needs, body.VMs = append(body.Needs, need), append(body.VMs, cluster.Needy{VM: v.UUID, Need: i})
		}
		f.must(f.actor(h), body)
	}
}

// Whatever moves have shown before: the State takes every plan; no step goes over
// a path that is suspected or awaited; one over a path that is not proven is the
// plan's only one, with nothing in flight beside it.
func TestLawCanariesFlyAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t)
		set := f.state.Settings
		set.PerHost, set.PerCluster, set.PerHour, set.PerDay = 8, 8, 1000, 1000
		set.Cooldown, set.Networks = 0, rapid.SampledFrom([]cluster.Networks{"", cluster.NetworksTested, cluster.NetworksStated}).Draw(t, "networks")
		f.must(operator, cluster.SetSettings{Settings: set})
		for i := range rapid.IntRange(2, 4).Draw(t, "hosts") {
			f.addHost(fmt.Sprintf("hv%d", i)).cpus = 2000 + cluster.MilliCPU(i)
			f.announce(f.hosts[i])
		}
		networks := map[string][]string{}
		for i := range rapid.IntRange(4, 10).Draw(t, "vms") {
			v := f.addVM(fmt.Sprintf("vm%d", i), "hv0")
			v.demand = cluster.MilliCPU(rapid.IntRange(300, 1000).Draw(t, "demand"))
			networks[v.Name] = rapid.SampledFrom([][]string{nil, {"br0"}, {"br0", "br1"}}).Draw(t, "plugged into")
		}
		f.wait(20 * time.Second)
		f.plug(networks)
		shown := map[cluster.Path]string{}
		for i := range rapid.IntRange(0, 3).Draw(t, "moves before") {
			name, to := fmt.Sprintf("vm%d", i), f.hosts[rapid.IntRange(1, len(f.hosts)-1).Draw(t, "to")]
			what := rapid.SampledFrom([]string{"better", "worse", "suspect", "awaited", "flies"}).Draw(t, "which is")
			state := cluster.MoveDone
			if what == "flies" {
				state = cluster.MoveRunning
			}
			f.operate(cluster.TriggerOperator, "", name, to.name, state)
			if what != "flies" && what != "awaited" {
				m, _ := f.state.Move(fmt.Sprintf("m-%x", f.state.LastMove))
				f.must(leader, cluster.Verify{Move: m.ID, Verdict: cluster.Verdict(what), Measured: &m.Predicted})
			}
			for _, n := range networks[name] {
				p := cluster.PathOf(f.ids["hv0"], f.ids[to.name], "bridge "+n)
				if known := shown[p]; what == "awaited" && known != "better" && known != "worse" || what != "awaited" && what != "flies" {
					shown[p] = what
				}
			}
		}
		f.must(operator, cluster.Resume{})
		f.wait(20 * time.Second)
		f.plug(networks)
		r := f.plan()
		f.checkOrders(scheduler.Input{State: f.state}, r)
		_, inFlight := f.state.InFlight("")
		for _, m := range r.Moves {
			untested := false
			for _, n := range networks[m.VMName] {
				switch what := shown[cluster.PathOf(m.Source, m.Target, "bridge "+n)]; {
				case what == "suspect":
					t.Fatalf("%s goes where the last one gave no sign of life", m.VMName)
				case set.Networks == cluster.NetworksStated:
				case what == "awaited":
					t.Fatalf("%s goes where it is not known yet whether the last one lives", m.VMName)
				default:
					untested = untested || what == ""
				}
			}
			if untested && (len(r.Moves) > 1 || inFlight > 0) {
				t.Fatalf("%s is the first on its path, with %d in flight and %d steps", m.VMName, inFlight, len(r.Moves))
			}
		}
	})
}
