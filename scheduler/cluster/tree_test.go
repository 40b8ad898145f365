package cluster

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTreeAgainstMap plays random writes on a tree and on a map, and keeps
// every version: none of them may change when later ones are written.
func TestTreeAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			tree tree[int, int]
			want map[int]int
		}
		now := version{want: map[int]int{}}
		var versions []version
		for i := range rapid.IntRange(1, 200).Draw(t, "writes") {
			key := rapid.IntRange(0, 60).Draw(t, "key")
			now.want = maps.Clone(now.want)
			if rapid.Bool().Draw(t, "set") {
				now.tree, now.want[key] = now.tree.set(key, i), i
			} else {
				now.tree = now.tree.without(key)
				delete(now.want, key)
			}
			versions = append(versions, now)
		}
		for i, v := range versions {
			if err := agrees(v.tree, v.want); err != "" {
				t.Fatalf("version %d of %d: %s", i, len(versions), err)
			}
		}
	})
}

// TestTreeStaysBalanced takes trees of every size apart in many orders: the
// shapes in which a rotation may go wrong are rare in random writes.
func TestTreeStaysBalanced(t *testing.T) {
	for size := range 61 {
		want, full := map[int]int{}, tree[int, int]{}
		for k := range size {
			full, want[k] = full.set(k, k), k
		}
		for _, stride := range []int{1, 7, 23, 53, 60} { // prime to 61
			tr, left := full, maps.Clone(want)
			for i := range 61 {
				tr = tr.without(i * stride % 61)
				delete(left, i*stride%61)
				if err := agrees(tr, left); err != "" {
					t.Fatalf("%d keys, removed %d by %d: %s", size, i+1, stride, err)
				}
			}
		}
	}
}

func agrees(t tree[int, int], want map[int]int) string {
	keys := slices.Sorted(maps.Keys(want))
	var got []int
	for k, v := range t.all() {
		if v != want[k] {
			return "a value differs"
		}
		got = append(got, k)
	}
	var back []int
	for k := range t.backward() {
		back = append(back, k)
	}
	slices.Reverse(back)
	first, _, some := t.first()
	switch {
	case !slices.Equal(got, keys) || !slices.Equal(back, keys):
		return "keys are missing, too many or out of order"
	case t.len() != len(want):
		return "the length differs"
	case some != (len(want) > 0) || some && first != keys[0]:
		return "first differs"
	}
	for k := range 61 {
		v, ok := t.get(k)
		if w, has := want[k]; ok != has || v != w {
			return "get differs"
		}
	}
	if !balanced(t.root) {
		return "out of balance"
	}
	return ""
}

func balanced(n *twig[int, int]) bool {
	if n == nil {
		return true
	}
	d := height(n.left) - height(n.right)
	return d >= -1 && d <= 1 && n.height == 1+max(height(n.left), height(n.right)) && n.size == 1+size(n.left)+size(n.right) &&
		balanced(n.left) && balanced(n.right)
}

func TestTreeStopsWhenAsked(t *testing.T) {
	var tr tree[int, int]
	for i := range 20 {
		tr = tr.set(i, i)
	}
	n := 0
	for k := range tr.all() {
		if n++; k == 7 {
			break
		}
	}
	for k := range tr.backward() {
		if n++; k == 13 {
			break
		}
	}
	if n != 8+7 {
		t.Errorf("%d entries were yielded, want 15", n)
	}
}
