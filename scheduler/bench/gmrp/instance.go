package main

import "github.com/evenkeel/evenkeel/scheduler/search"

// instance is a model and its initial assignment, as in the challenge's files.
type instance struct {
	resources []resource
	machines  []machine
	services  []service
	processes []process
	balances  []balance

	processWeight, serviceWeight, machineWeight int64
	initial                                     []int32
}

type resource struct {
	transient bool
	weight    int64
}

type machine struct {
	hood, location   int32
	capacity, safety []int64
	moveCost         []int64 // to each machine
}

type service struct {
	spread int32
	needs  []int32
}

type process struct {
	service int32
	need    []int64
	cost    int64
}

type balance struct {
	r1, r2         int
	target, weight int64
}

// problem is the instance in the engine's words.
func (in *instance) problem() search.Problem {
	p := search.Problem{Items: len(in.processes), Bins: len(in.machines), Initial: in.initial, Terms: in.terms(), Rules: in.rules()}
	for _, r := range in.resources {
		p.Dims = append(p.Dims, search.Dim{Name: "capacity", Transient: r.transient})
	}
	for _, m := range in.machines {
		p.Capacity = append(p.Capacity, m.capacity...)
	}
	for _, x := range in.processes {
		p.Size = append(p.Size, x.need...)
	}
	return p
}

// terms is the challenge's cost. Load and balance have a weight for each
// resource and each triple, so these stand inside.
func (in *instance) terms() []search.Term {
	group := make([]int32, len(in.processes))
	for i, x := range in.processes {
		group[i] = x.service
	}
	return []search.Term{
		search.Sum("load", 1, in.load),
		search.Sum("balance", 1, in.unbalance),
		search.Moved("process move", in.processWeight, func(item, _, _ int) int64 { return in.processes[item].cost }),
		search.LargestGroup("service move", in.serviceWeight, group),
		search.Moved("machine move", in.machineWeight, func(_, from, to int) int64 { return in.machines[from].moveCost[to] }),
	}
}

func (in *instance) load(bin int, use []int64) int64 {
	var sum int64
	for r, safe := range in.machines[bin].safety {
		sum += in.resources[r].weight * max(use[r]-safe, 0)
	}
	return sum
}

func (in *instance) unbalance(bin int, use []int64) int64 {
	var sum int64
	capacity := in.machines[bin].capacity
	for i := range in.balances {
		b := &in.balances[i]
		sum += b.weight * max(b.target*(capacity[b.r1]-use[b.r1])-(capacity[b.r2]-use[b.r2]), 0)
	}
	return sum
}

func (in *instance) rules() []search.Rule {
	members := make([][]int32, len(in.services))
	for i, x := range in.processes {
		members[x.service] = append(members[x.service], int32(i))
	}
	var location, hood, least []int32
	var needs [][]int32
	for _, m := range in.machines {
		location, hood = append(location, m.location), append(hood, m.hood)
	}
	for _, s := range in.services {
		least, needs = append(least, s.spread), append(needs, s.needs)
	}
	return []search.Rule{
		search.Apart("conflict", members),
		search.Spread("spread", members, location, least),
		search.Near("dependency", members, hood, needs),
	}
}
