package search

import (
	"cmp"
	"slices"
)

// bySize lists the items, big ones first: those that fill the largest share of
// a bin. Ties go by number.
func (m *model) bySize() []int32 {
	mean := m.meanCapacity()
	share := make([]float64, m.Items)
	order := make([]int32, m.Items)
	for i := range order {
		order[i] = int32(i)
		for d, c := range mean {
			share[i] += float64(m.Size[i*m.dims+d]) / c
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(share[b], share[a]), cmp.Compare(a, b))
	})
	return order
}

// meanCapacity is what a bin holds in each dimension: its capacity where it
// has one, else what is used in an average bin.
func (m *model) meanCapacity() []float64 {
	mean := make([]float64, m.dims)
	for d := range mean {
		bins := 0
		for b := range m.Bins {
			if c := m.capacity[b*m.dims+d]; c < maxSum {
				mean[d] += float64(c)
				bins++
			}
		}
		if bins == 0 {
			bins = max(m.Bins, 1)
			for i := range m.Items {
				mean[d] += float64(m.Size[i*m.dims+d])
			}
		}
		mean[d] = max(mean[d]/float64(max(bins, 1)), 1)
	}
	return mean
}
