package search

// A moved item goes on using its initial bin in transient dimensions. What leaves
// for a small gain takes the room that a large one would need, and a walk that does
// not mind fills it up: on the challenge's b_3 8,000 of 20,000 items were away, and
// four in five shifts were refused for want of such room. So who leaves home pays a
// toll by the room that stays taken, and gets it back at the return. The toll is no
// part of the cost, only of what the walk takes. It falls faster than the heat does:
// at first what gains most for its room moves, big ones among them, and in the end
// whatever gains.
//
// Worked, one worker for 10 to 20 s of CPU: b_3 ends at 162 million where it ended
// at 222, b_1 at 3,419 where it ended at 3,532, a1_2 at 777.6 where it ended at 779.6.

// The toll of an average item at the beginning of a cycle is dearest times what a
// lawful shift that costs more costs on average. From first to last it falls by
// 3,000.
const (
	dearest    = 6.0
	tollFactor = 0.9845
)

// newTolls is what leaving costs each item, that of an average one being 1; nil
// where it takes no room.
func newTolls(m *model) []float64 {
	if len(m.transit) == 0 || m.Items == 0 {
		return nil
	}
	tolls, sum, mean := make([]float64, m.Items), 0.0, m.meanCapacity()
	for i := range tolls {
		for _, d := range m.transit {
			tolls[i] += float64(m.Size[i*m.dims+d]) / mean[d]
		}
		sum += tolls[i]
	}
	if sum == 0 {
		return nil
	}
	for i := range tolls {
		tolls[i] *= float64(m.Items) / sum
	}
	return tolls
}

// toll is what an item pays to go to a bin, or gets back.
func (w *worker) toll(item, to int) int64 {
	home, from := w.m.Initial[item], w.a.place[item]
	if w.m.tolls == nil || (from == home) == (int32(to) == home) {
		return 0
	}
	toll := int64(w.cooling.toll * w.m.tolls[item])
	if int32(to) == home {
		return -toll
	}
	return toll
}
