package main

import (
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/search"
)

// costOf is what the engine makes of an instance as it is.
func costOf(t *testing.T, in *instance) int64 {
	a, err := search.New(in.problem())
	if err != nil {
		t.Fatal(err)
	}
	return a.Cost()
}

// BenchmarkSolve is the hot loop on the challenge's cost table.
func BenchmarkSolve(b *testing.B) {
	in, err := load(shared+"/model_a2_5.txt.gz", shared+"/assignment_a2_5.txt.gz")
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	if _, err := search.Solve(in.problem(), search.Budget{Seed: 1, Iterations: int64(b.N), Horizon: int64(b.N)}); err != nil {
		b.Fatal(err)
	}
}
