package cluster

import (
	"cmp"
	"iter"
)

// tree is an immutable ordered map: an AVL tree whose writers copy the path
// from the root and share all the rest. So every version of the State stays
// valid and costs only what its command changed. The zero tree is empty.
type tree[K cmp.Ordered, V any] struct{ root *twig[K, V] }

type twig[K cmp.Ordered, V any] struct {
	key         K
	value       V
	left, right *twig[K, V]
	height      int
	size        int
}

func (t tree[K, V]) len() int { return size(t.root) }

func (t tree[K, V]) get(key K) (value V, ok bool) {
	for n := t.root; n != nil; {
		switch c := cmp.Compare(key, n.key); {
		case c == 0:
			return n.value, true
		case c < 0:
			n = n.left
		default:
			n = n.right
		}
	}
	return value, false
}

func (t tree[K, V]) set(key K, value V) tree[K, V] {
	return tree[K, V]{put(t.root, key, value)}
}

func (t tree[K, V]) without(key K) tree[K, V] {
	return tree[K, V]{remove(t.root, key)}
}

// first returns the smallest key.
func (t tree[K, V]) first() (key K, value V, ok bool) {
	n := t.root
	if n == nil {
		return key, value, false
	}
	for n.left != nil {
		n = n.left
	}
	return n.key, n.value, true
}

// all yields the entries in the order of their keys.
func (t tree[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { walk(t.root, yield) }
}

// backward yields the entries from the largest key down.
func (t tree[K, V]) backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { walkBack(t.root, yield) }
}

func walk[K cmp.Ordered, V any](n *twig[K, V], yield func(K, V) bool) bool {
	return n == nil || walk(n.left, yield) && yield(n.key, n.value) && walk(n.right, yield)
}

func walkBack[K cmp.Ordered, V any](n *twig[K, V], yield func(K, V) bool) bool {
	return n == nil || walkBack(n.right, yield) && yield(n.key, n.value) && walkBack(n.left, yield)
}

func put[K cmp.Ordered, V any](n *twig[K, V], key K, value V) *twig[K, V] {
	if n == nil {
		return fork(key, value, nil, nil)
	}
	switch c := cmp.Compare(key, n.key); {
	case c < 0:
		return balance(n.key, n.value, put(n.left, key, value), n.right)
	case c > 0:
		return balance(n.key, n.value, n.left, put(n.right, key, value))
	}
	return fork(key, value, n.left, n.right)
}

func remove[K cmp.Ordered, V any](n *twig[K, V], key K) *twig[K, V] {
	if n == nil {
		return nil
	}
	switch c := cmp.Compare(key, n.key); {
	case c < 0:
		return balance(n.key, n.value, remove(n.left, key), n.right)
	case c > 0:
		return balance(n.key, n.value, n.left, remove(n.right, key))
	case n.left == nil:
		return n.right
	case n.right == nil:
		return n.left
	}
	k, v, _ := tree[K, V]{n.right}.first()
	return balance(k, v, n.left, remove(n.right, k))
}

func fork[K cmp.Ordered, V any](key K, value V, left, right *twig[K, V]) *twig[K, V] {
	return &twig[K, V]{key, value, left, right, 1 + max(height(left), height(right)), 1 + size(left) + size(right)}
}

// balance joins two trees whose heights differ by at most two.
func balance[K cmp.Ordered, V any](key K, value V, left, right *twig[K, V]) *twig[K, V] {
	switch {
	case height(left) > height(right)+1:
		if height(left.left) >= height(left.right) {
			return fork(left.key, left.value, left.left, fork(key, value, left.right, right))
		}
		m := left.right
		return fork(m.key, m.value, fork(left.key, left.value, left.left, m.left), fork(key, value, m.right, right))
	case height(right) > height(left)+1:
		if height(right.right) >= height(right.left) {
			return fork(right.key, right.value, fork(key, value, left, right.left), right.right)
		}
		m := right.left
		return fork(m.key, m.value, fork(key, value, left, m.left), fork(right.key, right.value, m.right, right.right))
	}
	return fork(key, value, left, right)
}

func height[K cmp.Ordered, V any](n *twig[K, V]) int {
	if n == nil {
		return 0
	}
	return n.height
}

func size[K cmp.Ordered, V any](n *twig[K, V]) int {
	if n == nil {
		return 0
	}
	return n.size
}
