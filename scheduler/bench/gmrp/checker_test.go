package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// judge checks an assignment by the challenge's definition and returns its
// cost. It reads the files itself and shares nothing with the command or the
// engine.
func judge(model, initial, solution string) (int64, error) {
	n := feed(model)
	next := func() int64 { x := n[0]; n = n[1:]; return x }
	row := func(k int64) []int64 { r := n[:k]; n = n[k:]; return r }

	kinds := next()
	transient, loadWeight := make([]bool, kinds), make([]int64, kinds)
	for r := range kinds {
		transient[r], loadWeight[r] = next() == 1, next()
	}
	machines := next()
	type spot struct{ hood, location int64 }
	where := make([]spot, machines)
	capacity, safety, far := make([][]int64, machines), make([][]int64, machines), make([][]int64, machines)
	for m := range machines {
		where[m] = spot{next(), next()}
		capacity[m], safety[m], far[m] = row(kinds), row(kinds), row(machines)
	}
	services := next()
	spread, needs := make([]int64, services), make([][]int64, services)
	for s := range services {
		spread[s] = next()
		needs[s] = row(next())
	}
	processes := next()
	service, need, moveCost := make([]int64, processes), make([][]int64, processes), make([]int64, processes)
	for p := range processes {
		service[p], need[p], moveCost[p] = next(), row(kinds), next()
	}

	from, to := feed(initial), feed(solution)
	if int64(len(from)) != processes || int64(len(to)) != processes {
		return 0, fmt.Errorf("%d processes, placed %d and %d", processes, len(from), len(to))
	}
	var cost, dearMoves, farMoves int64
	use, both := map[[2]int64]int64{}, map[[2]int64]int64{}
	together := map[[2]int64]bool{}
	locations, hoods := map[[2]int64]bool{}, map[[2]int64]bool{}
	spreads, moved := map[int64]int64{}, map[int64]int64{}
	for p := range processes {
		m, s := to[p], service[p]
		if together[[2]int64{s, m}] {
			return 0, fmt.Errorf("two processes of service %d are on machine %d", s, m)
		}
		together[[2]int64{s, m}] = true
		if place := [2]int64{s, where[m].location}; !locations[place] {
			locations[place] = true
			spreads[s]++
		}
		hoods[[2]int64{s, where[m].hood}] = true
		for r := range kinds {
			use[[2]int64{m, r}] += need[p][r]
			both[[2]int64{m, r}] += need[p][r]
			if from[p] != m {
				both[[2]int64{from[p], r}] += need[p][r]
			}
		}
		if from[p] != m {
			dearMoves += moveCost[p]
			farMoves += far[from[p]][m]
			moved[s]++
		}
	}
	for s := range services {
		if spreads[s] < spread[s] {
			return 0, fmt.Errorf("service %d is in %d locations of %d", s, spreads[s], spread[s])
		}
		for _, other := range needs[s] {
			for _, place := range where {
				if hoods[[2]int64{s, place.hood}] && !hoods[[2]int64{other, place.hood}] {
					return 0, fmt.Errorf("service %d is in neighbourhood %d, service %d is not", s, place.hood, other)
				}
			}
		}
	}
	for m := range machines {
		for r := range kinds {
			at := [2]int64{m, r}
			if use[at] > capacity[m][r] || (transient[r] && both[at] > capacity[m][r]) {
				return 0, fmt.Errorf("machine %d holds %d and in transit %d of %d in resource %d", m, use[at], both[at], capacity[m][r], r)
			}
			cost += loadWeight[r] * max(0, use[at]-safety[m][r])
		}
	}
	for balances := next(); balances > 0; balances-- {
		r1, r2, target, weight := next(), next(), next(), next()
		for m := range machines {
			free := func(r int64) int64 { return capacity[m][r] - use[[2]int64{m, r}] }
			cost += weight * max(0, target*free(r1)-free(r2))
		}
	}
	var most int64
	for _, k := range moved {
		most = max(most, k)
	}
	return cost + next()*dearMoves + next()*most + next()*farMoves, nil
}

func feed(text string) []int64 {
	var n []int64
	for _, f := range strings.Fields(text) {
		x, _ := strconv.ParseInt(f, 10, 64)
		n = append(n, x)
	}
	return n
}

// The checker itself, on three processes whose costs are reckoned by hand.
// Machine 0 holds 4 + 3 of 10, safe up to 5: 2 over, weight 10. Of resource 1
// machine 0 has 8 left and machine 1 has 10.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name, to string
		cost     int64
		broken   string
	}{
		// load 10×2; balance 2×(3×3-8) + 2×(3×8-10) = 2 + 28
		{"unmoved", "0 0 1", 50, ""},
		// process 1 moves: load 0; balance 2×(3×6-9) + 2×(3×5-9) = 18+12; process 1×7, service 100×1, machine 5×2
		{"one moved", "0 1 1", 0, "two processes of service 0"},
		// process 0 moves: load of 1: 4+2=6, 1 over ×10; balance 2×(3×7-9) + 2×(3×4-9) = 24+6; 1×3 + 100 + 5×2
		{"another moved", "1 0 1", 153, ""},
		{"too full", "1 1 1", 0, "two processes of service 0"},
	} {
		cost, err := judge(tiny, "0 0 1", c.to)
		if (err != nil) != (c.broken != "") || (err != nil && !strings.Contains(err.Error(), c.broken)) || cost != c.cost {
			t.Errorf("%s: %d, %v; want %d, %q", c.name, cost, err, c.cost, c.broken)
		}
	}
}

// tiny has two machines, and processes 1 and 2 of one service.
const tiny = `2  1 10  0 0
2
0 0  10 10  5 10  0 2
0 1  10 10  5 10  2 0
2  1 0  1 0
3
1  4 1  3
0  3 1  7
0  2 0  9
1  0 1 3 2
1 100 5
`
