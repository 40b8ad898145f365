package search

// tally counts the moved items of each group, and knows the largest count.
type tally struct {
	count []int32
	with  []int32 // of each count, how many groups have it
	most  int32
}

func newTally(group []int32) tally {
	groups := int32(0)
	for _, g := range group {
		groups = max(groups, g+1)
	}
	t := tally{count: make([]int32, groups)}
	size := make([]int32, groups)
	largest := int32(0)
	for _, g := range group {
		if g >= 0 {
			size[g]++
			largest = max(largest, size[g])
		}
	}
	t.with = make([]int32, largest+1)
	t.with[0] = groups
	return t
}

func (t *tally) add(group int32) {
	if group < 0 {
		return
	}
	n := t.count[group]
	t.count[group]++
	t.with[n]--
	t.with[n+1]++
	t.most = max(t.most, n+1)
}

func (t *tally) drop(group int32) {
	if group < 0 {
		return
	}
	n := t.count[group]
	t.count[group]--
	t.with[n]--
	t.with[n-1]++
	if n == t.most && t.with[n] == 0 {
		t.most--
	}
}

// ifAdded and ifDropped are what the largest count would be.
func (t *tally) ifAdded(group int32) int32 {
	if group < 0 {
		return t.most
	}
	return max(t.most, t.count[group]+1)
}

func (t *tally) ifDropped(group int32) int32 {
	if group >= 0 && t.count[group] == t.most && t.with[t.most] == 1 {
		return t.most - 1
	}
	return t.most
}
