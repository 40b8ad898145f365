package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// order is how a table is sorted: by one of its keys, the first of which is
// what hurts most.
type order struct {
	key     int
	reverse bool
}

// sortKey is a way to sort items: each has a figure, largest first, and equal
// ones go by name. A name alone has no figure.
type sortKey[T any] struct {
	title  string
	figure func(T) float64
}

// sortable are the ways to sort a table.
type sortable[T any] struct {
	keys []sortKey[T]
	name func(T) string
}

var topHosts = sortable[api.Host]{
	[]sortKey[api.Host]{
		{"pain", painOfHost},
		{"name", nil},
		{"CPU use", func(h api.Host) float64 { return h.CPUUse / h.CPUs }},
		{"memory", func(h api.Host) float64 { return float64(h.MemoryUsedBytes) / float64(h.MemoryBytes) }},
		{"VMs", func(h api.Host) float64 { return float64(h.VMs) }},
	},
	func(h api.Host) string { return h.Name },
}

var topVMs = sortable[api.VM]{
	[]sortKey[api.VM]{
		{"pain", painOfVM},
		{"name", nil},
		{"run queue", func(vm api.VM) float64 {
			if vm.RunQueueLatency == nil {
				return math.NaN()
			}
			return vm.RunQueueLatency.P99
		}},
		{"demand", func(vm api.VM) float64 {
			if vm.CPUDemand == nil {
				return math.NaN()
			}
			return *vm.CPUDemand
		}},
		{"memory", func(vm api.VM) float64 { return float64(vm.MemoryBytes) }},
	},
	func(vm api.VM) string { return vm.Name },
}

// sorted is a sorted copy. What has no figure comes last, whichever way.
func (s sortable[T]) sorted(items []T, by order) []T {
	key := s.keys[by.key%len(s.keys)]
	out := slices.Clone(items)
	slices.SortStableFunc(out, func(a, b T) int {
		c := 0
		if key.figure != nil {
			x, y := key.figure(a), key.figure(b)
			if math.IsNaN(x) || math.IsNaN(y) {
				return cmp.Or(cmp.Compare(truth(math.IsNaN(x)), truth(math.IsNaN(y))), cmp.Compare(s.name(a), s.name(b)))
			}
			c = cmp.Compare(y, x)
		}
		c = cmp.Or(c, cmp.Compare(s.name(a), s.name(b)))
		if by.reverse {
			c = -c
		}
		return c
	})
	return out
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
