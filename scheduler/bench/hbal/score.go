package main

import (
	"math"

	"github.com/evenkeel/evenkeel/scheduler/search"
)

// unit is one of score in the engine's fixed point. Shares of a host are in
// millionths; beyond maxShare the score no longer grows, so that the square of
// ten thousand hosts' shares fits an integer.
const (
	unit     = 1e9
	million  = 1_000_000
	maxShare = 20 * million
)

// The dimensions: Ganeti's dynamic CPU load in millionths of a host, memory in
// MiB, virtual CPUs.
const (
	dimCPU = iota
	dimMemory
	dimVCPU
	dims
)

// weights are Ganeti's: memory counts as the share that is free and again as
// the dynamic load.
var weights = [dims]float64{dimCPU: 1, dimMemory: 2, dimVCPU: 1}

// problem is the cluster in the engine's words.
func (c *cluster) problem(moves int, moveCost float64) search.Problem {
	p := search.Problem{
		Items: len(c.vms), Bins: len(c.hosts),
		Dims: []search.Dim{dimCPU: {Name: "cpu"}, dimMemory: {Name: "memory"}, dimVCPU: {Name: "vcpus"}},
	}
	for _, v := range c.vms {
		p.Initial = append(p.Initial, v.host)
		p.Size = append(p.Size, v.cpu, v.memory, v.vcpus)
	}
	for _, h := range c.hosts {
		p.Base = append(p.Base, 0, h.memory-h.room, 0)
		p.Capacity = append(p.Capacity, search.Unlimited, h.memory, int64(float64(h.cpus)*c.ratio))
	}
	p.Terms = []search.Term{
		search.Whole("score", 1, c.deviation, c.sums()...),
		search.Moved("moves", int64(moveCost/float64(len(c.hosts))*unit), func(int, int, int) int64 { return 1 }),
	}
	p.Rules = []search.Rule{
		search.Allow("offline", func(_, bin int) bool { return !c.hosts[bin].offline }),
		search.Only("offline", func(item int) bool { return !c.hosts[c.vms[item].host].offline }),
	}
	if moves >= 0 {
		p.Rules = append(p.Rules, search.AtMost("moves", moves))
	}
	return p
}

// sums are the functions of a host whose sums the score is made of: each
// dimension's share and its square. Hosts that are offline do not count.
func (c *cluster) sums() []func(int, []int64) int64 {
	var list []func(int, []int64) int64
	for d := range dims {
		share := func(bin int, use []int64) int64 {
			if c.hosts[bin].offline {
				return 0
			}
			return c.share(bin, d, use[d])
		}
		list = append(list, share, func(bin int, use []int64) int64 {
			x := share(bin, use)
			return x * x
		})
	}
	return list
}

// share is what part of a host is used, in millionths.
func (c *cluster) share(bin, dim int, use int64) int64 {
	whole := int64(million)
	switch dim {
	case dimMemory:
		whole = c.hosts[bin].memory
	case dimVCPU:
		whole = c.hosts[bin].cpus
	}
	return min(use*million/whole, maxShare)
}

// deviation is the score: the weighted standard deviations of the shares.
func (c *cluster) deviation(sums []int64) int64 {
	n := float64(c.online)
	var score float64
	for d, w := range weights {
		mean, square := float64(sums[2*d])/n, float64(sums[2*d+1])/n
		score += float64(w * math.Sqrt(max(square-float64(mean*mean), 0)))
	}
	return int64(math.Round(score * (unit / million)))
}

func (c *cluster) scoreBefore() int64 {
	a, err := search.New(c.problem(-1, 0))
	if err != nil {
		return 0
	}
	return a.Cost()
}
