package main

import (
	"math"
	"strings"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// sparks are the heights of a spark line, and what stands for no figure:
// silence is unknown, not idle.
type sparks struct {
	heights []string
	unknown string
}

var (
	unicodeSparks = sparks{[]string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}, "?"}
	asciiSparks   = sparks{[]string{" ", "_", ".", "-", "=", "+", "*", "#", "@"}, "?"}
)

// steps are where the next height begins, as shares of time: what a VM feels
// doubles several times before it reaches half.
var steps = []float64{0.01, 0.02, 0.05, 0.10, 0.20, 0.40, 0.60, 0.80}

// sparksOf chooses by the locale.
func sparksOf(env func(string) string) sparks {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := env(name); v != "" {
			if v = strings.ToUpper(v); strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8") {
				return unicodeSparks
			}
			return asciiSparks
		}
	}
	return asciiSparks
}

func (s sparks) line(figures []float64) string {
	var b strings.Builder
	for _, f := range figures {
		if math.IsNaN(f) {
			b.WriteString(s.unknown)
			continue
		}
		i := 0
		for i < len(steps) && f >= steps[i] {
			i++
		}
		b.WriteString(s.heights[i])
	}
	return b.String()
}

// remembers is for how many looks figures are kept.
const remembers = 60

// lookback is what was seen of each host and VM, oldest first.
type lookback struct {
	sparks  sparks
	figures map[string][]float64
}

func newLookback(s sparks) *lookback { return &lookback{s, map[string][]float64{}} }

// take adds a look. Who is not in it any more is forgotten.
func (p *lookback) take(t *api.Top) {
	now := make(map[string][]float64, len(p.figures))
	add := func(id string, figure float64) {
		list := append(p.figures[id], figure)
		now[id] = list[max(0, len(list)-remembers):]
	}
	for _, h := range t.Hosts {
		add(h.ID, painOfHost(h))
	}
	for _, vm := range t.VMs {
		add(vm.UUID, painOfVM(vm))
	}
	p.figures = now
}

// line is the spark line of the last n looks, right-aligned.
func (p *lookback) line(id string, n int) string {
	list := p.figures[id]
	list = list[max(0, len(list)-n):]
	return strings.Repeat(" ", n-len(list)) + p.sparks.line(list)
}

// painOfHost is what thresholds look at; NaN if nothing is known now.
func painOfHost(h api.Host) float64 {
	if h.AgeSeconds == nil || !h.Fresh || h.Source == "none" {
		return math.NaN()
	}
	return h.PainRatio
}

// painOfVM is its contention, or that of its worst vCPU by half, as thresholds
// have it; NaN if nothing is known now.
func painOfVM(vm api.VM) float64 {
	if vm.ContentionRatio == nil || vm.State == api.VMUnknown {
		return math.NaN()
	}
	pain := *vm.ContentionRatio
	if vm.ContentionRatioMax != nil {
		pain = max(pain, *vm.ContentionRatioMax/2)
	}
	return pain
}
