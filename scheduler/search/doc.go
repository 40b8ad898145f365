// Package search finds a better assignment of items to bins: VMs to hosts, or
// processes to machines. What better means is a table of [Term]s, and what is
// lawful a table of [Rule]s; the search knows nothing else of either.
//
//	p := search.Problem{
//		Items: len(vms), Bins: len(hosts), Initial: placed,
//		Dims: []search.Dim{{Name: "memory", Transient: true}}, Size: bytes, Capacity: room,
//		Terms: []search.Term{search.Sum("load", 1, load), search.Moved("copy", 1, cost)},
//		Rules: []search.Rule{search.Apart("anti-affinity", groups)},
//	}
//	r, err := search.Solve(p, search.Budget{Seed: 1, Workers: 2, Iterations: 1e6})
//	waves, left, err := search.Order(p, r.Place)
//
// Costs are integers (fixed point), so sums are exact in any order and the
// same problem, seed, workers and iterations give the same bytes on every
// machine. An [Assignment] is a problem in one state: what it costs, what a
// move would change, and which rule refuses one.
package search
