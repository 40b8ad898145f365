package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// report is what evenkeel would have done, and did, over some time.
type report struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Since      api.Time `json:"since"` // of the records that were found
	Until      api.Time `json:"until"`
	Complete   bool     `json:"complete"` // the records cover what was asked for
	Messages   []string `json:"messages"`

	Evaluations reportedResults     `json:"evaluations"`
	Recommended []recommendation    `json:"recommended"` // most often recommended first
	Refused     []cluster.CodeCount `json:"refused"`     // refused candidates by code, the most frequent first
	Moves       reportedMoves       `json:"moves"`
	Stuck       []api.StuckVM       `json:"stuck"` // that evenkeel can take nowhere by itself, as of now
}

// reportedResults counts evaluations by what came of them.
type reportedResults struct {
	Moved       int `json:"moved"`
	Recommended int `json:"recommended"`
	Nothing     int `json:"nothing"`
}

// reportedMoves counts moves by how they ended.
type reportedMoves struct {
	Done   int `json:"done"`
	Better int `json:"better"`
	Worse  int `json:"worse"`
	Failed int `json:"failed"` // failed, aborted or unknown
}

// recommendation is a move that would have been made in mode auto.
type recommendation struct {
	VM     string `json:"vm"`
	Source string `json:"source"`
	Target string `json:"target"`
	// Times is how often: spells in which it was recommended without a break.
	Times   int      `json:"times"`
	FirstAt api.Time `json:"first_at"`
	LastAt  api.Time `json:"last_at"`
	// Contention of the worse of the two hosts, before and as predicted for
	// afterwards, means over the spells.
	ContentionBefore float64 `json:"contention_before"`
	ContentionAfter  float64 `json:"contention_after"`
	// DurationSeconds is the mean predicted duration; null: none was predicted.
	DurationSeconds *float64 `json:"duration_seconds"`
	// Regretted is how many of the spells were over before the move would have
	// ended: nothing moved, and the source needed relief no longer.
	Regretted int `json:"regretted"`
}

// assumedDuration stands for a move of which none was predicted.
const assumedDuration = time.Minute

// reportOf sums decisions up, newest first as the journal tells them, until a
// moment: what would have ended after it is not judged.
func reportOf(until time.Time, decisions []api.Decision, moves []api.Move) report {
	r := report{Recommended: []recommendation{}, Refused: []cluster.CodeCount{}, Messages: []string{}, Stuck: []api.StuckVM{}}
	refused := map[cluster.Code]int{}
	var spells []spell
	for _, d := range slices.Backward(decisions) {
		n := 1 + d.Repeated
		switch d.Result {
		case cluster.ResultMoved:
			r.Evaluations.Moved += n
		case cluster.ResultRecommended:
			r.Evaluations.Recommended += n
			spells = append(spells, spellsOf(d)...)
		default:
			r.Evaluations.Nothing += n
		}
		for _, c := range d.Counts {
			refused[c.Code] += c.N
		}
	}
	for code, n := range refused {
		r.Refused = append(r.Refused, cluster.CodeCount{Code: code, N: n})
	}
	slices.SortFunc(r.Refused, func(a, b cluster.CodeCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(string(a.Code), string(b.Code)))
	})
	r.Recommended = recommendations(until, spells)
	r.Moves = movesReported(moves)
	return r
}

// spell is a stretch of time in which one move was recommended.
type spell struct {
	vm, source, target string
	from, to           time.Time
	before, after      float64
	took               *float64
}

func spellsOf(d api.Decision) (out []spell) {
	for _, c := range d.Candidates {
		if !c.Chosen {
			continue
		}
		out = append(out, spell{
			vm: c.VM, source: c.Source, target: c.Target, from: d.At.Time, to: d.LastAt.Time, took: c.Predicted.DurationSeconds,
			before: max(c.Predicted.SourceContentionBefore, c.Predicted.TargetContentionBefore),
			after:  max(c.Predicted.SourceContentionAfter, c.Predicted.TargetContentionAfter),
		})
	}
	return out
}

// end is when the move would have ended, had it begun at once.
func (s spell) end() time.Time {
	if s.took == nil {
		return s.from.Add(assumedDuration)
	}
	return s.from.Add(time.Duration(*s.took * float64(time.Second)))
}

// Evaluations come every second or few: so far apart two records of one spell
// may be, and so long after its last evaluation a need counts as still there.
const (
	gap  = 10 * time.Second
	late = 5 * time.Second
)

// regretted says whether, when the move would have ended, nothing was to be
// moved away from its source any more.
func (s spell) regretted(all []spell) bool {
	end := s.end()
	return !slices.ContainsFunc(all, func(o spell) bool {
		return o.source == s.source && !o.from.After(end) && !o.to.Before(end.Add(-late)) && !o.to.Before(s.from)
	})
}

// recommendations joins the spells of each move.
func recommendations(until time.Time, spells []spell) []recommendation {
	type move struct{ vm, source, target string }
	by := map[move][]spell{}
	for _, s := range spells {
		key := move{s.vm, s.source, s.target}
		if list := by[key]; len(list) > 0 && s.from.Sub(list[len(list)-1].to) <= gap {
			list[len(list)-1].to = s.to // the leader or the settings changed, the advice did not
			continue
		}
		by[key] = append(by[key], s)
	}
	out := []recommendation{}
	for key, list := range by {
		m := recommendation{VM: key.vm, Source: key.source, Target: key.target, Times: len(list)}
		m.FirstAt, m.LastAt = api.Time{Time: list[0].from}, api.Time{Time: list[len(list)-1].to}
		var took []float64
		for _, s := range list {
			m.ContentionBefore += s.before / float64(len(list))
			m.ContentionAfter += s.after / float64(len(list))
			if s.took != nil {
				took = append(took, *s.took)
			}
			if !s.end().After(until) && s.regretted(spells) {
				m.Regretted++
			}
		}
		m.DurationSeconds = mean(took)
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b recommendation) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), a.FirstAt.Compare(b.FirstAt.Time), strings.Compare(a.VM, b.VM), strings.Compare(a.Target, b.Target))
	})
	return out
}

func mean(list []float64) *float64 {
	if len(list) == 0 {
		return nil
	}
	sum := 0.0
	for _, x := range list {
		sum += x
	}
	sum /= float64(len(list))
	return &sum
}

func movesReported(moves []api.Move) (out reportedMoves) {
	for _, m := range moves {
		switch m.State {
		case cluster.MoveDone:
			out.Done++
		case cluster.MoveFailed, cluster.MoveAborted, cluster.MoveUnknown:
			out.Failed++
		}
		switch m.Verdict {
		case cluster.VerdictBetter:
			out.Better++
		case cluster.VerdictWorse:
			out.Worse++
		}
	}
	return out
}
