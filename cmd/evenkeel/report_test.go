package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestReportOf works a night out by hand. web should leave hv1 for hv2 (20 s):
//   - 01:00:00 to 01:00:05 (the overload was over before the move had ended),
//   - 02:00:00 to 02:00:10, and on to 02:01:00 by another leader: one spell, good.
//
// db should leave hv3 for hv2 from 02:00 to 02:00:05, which takes a minute for
// want of a better word: regretted, for what hv1 needed then is no reason.
// A spell that batch leaves hv1 instead keeps web's from being regretted at 03:00.
func TestReportOf(t *testing.T) {
	night := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	at := func(clock string) api.Time {
		d, err := time.ParseDuration(clock)
		if err != nil {
			t.Fatal(err)
		}
		return api.Time{Time: night.Add(d)}
	}
	took := 20.0
	advise := func(from, to string, n int, moves ...api.Candidate) api.Decision {
		return api.Decision{
			At: at(from), LastAt: at(to), Repeated: n - 1, Result: cluster.ResultRecommended, Candidates: moves,
			Counts: []cluster.CodeCount{{Code: cluster.CodeCooldown, N: 2}},
		}
	}
	move := func(vm, source string, duration *float64) api.Candidate {
		return api.Candidate{VM: vm, Source: source, Target: "hv2", Chosen: true, Predicted: api.Effect{
			SourceContentionBefore: 0.3, TargetContentionBefore: 0.1, SourceContentionAfter: 0.05, TargetContentionAfter: 0.12, DurationSeconds: duration,
		}}
	}
	web := move("web", "hv1", &took)
	refused := web
	refused.Chosen, refused.Code, refused.VM = false, cluster.CodeCooldown, "never"
	oldestFirst := []api.Decision{
		advise("1h", "1h5s", 5, web, refused),
		{At: at("1h30m"), LastAt: at("1h40m"), Repeated: 299, Result: cluster.ResultNothing, Counts: []cluster.CodeCount{{Code: cluster.CodeGainBelowCost, N: 9}}},
		advise("2h", "2h10s", 10, web, move("db", "hv3", nil)),
		advise("2h12s", "2h1m", 40, web),
		advise("3h", "3h4s", 4, web),
		advise("3h15s", "3h25s", 10, move("batch", "hv1", &took)),
		{At: at("4h"), LastAt: at("4h"), Result: cluster.ResultMoved},
	}
	var decisions []api.Decision
	for i := range oldestFirst {
		decisions = append(decisions, oldestFirst[len(oldestFirst)-1-i])
	}
	r := reportOf(at("5h").Time, decisions, []api.Move{
		{State: cluster.MoveDone, Verdict: cluster.VerdictBetter},
		{State: cluster.MoveDone, Verdict: cluster.VerdictWorse},
		{State: cluster.MoveDone},
		{State: cluster.MoveAborted},
		{State: cluster.MoveVetoed},
	})
	if want := (reportedResults{Moved: 1, Recommended: 69, Nothing: 300}); r.Evaluations != want {
		t.Errorf("evaluations %+v, want %+v", r.Evaluations, want)
	}
	if want := (reportedMoves{Done: 3, Better: 1, Worse: 1, Failed: 1}); r.Moves != want {
		t.Errorf("moves %+v, want %+v", r.Moves, want)
	}
	var got []string
	for _, m := range r.Recommended {
		got = append(got, fmt.Sprintf("%s %s->%s %dx %d regretted %.2f->%.2f", m.VM, m.Source, m.Target, m.Times, m.Regretted, m.ContentionBefore, m.ContentionAfter))
	}
	want := []string{
		"web hv1->hv2 3x 1 regretted 0.30->0.12",
		"db hv3->hv2 1x 1 regretted 0.30->0.12",
		"batch hv1->hv2 1x 1 regretted 0.30->0.12",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("recommended:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if fmt.Sprint(r.Refused) != "[{COOLDOWN 10} {GAIN_BELOW_COST 9}]" {
		t.Errorf("refused %v", r.Refused)
	}
	if w := r.Recommended[0]; w.FirstAt != at("1h") || w.LastAt != at("3h4s") || w.DurationSeconds == nil || *w.DurationSeconds != 20 {
		t.Errorf("web: %+v", w)
	}
	// At 01:00:10 it is too early to say that web's first move is regretted.
	if early := reportOf(at("1h10s").Time, decisions[len(decisions)-1:], nil); early.Recommended[0].Regretted != 0 {
		t.Errorf("judged before its end: %+v", early.Recommended[0])
	}
	if r.Recommended[1].DurationSeconds != nil {
		t.Errorf("db: a duration out of nothing: %+v", r.Recommended[1])
	}
	var out bytes.Buffer
	if err := (&ui.Printer{Out: &out}).Print(r, func(w *ui.Writer) { writeReport(w, r) }, nil); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	for _, text := range []string{"evaluations: 1 moved something, 69 would have", "web ", "30.0 % -> 12.0 %", "COOLDOWN"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("%q is not in\n%s", text, out.String())
		}
	}
}

func TestDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * day, "12h": 12 * time.Hour, "90m": 90 * time.Minute, "0d": 0, "-1d": 0, "4000d": 0, "d": 0, "1.5d": 0, "-1h": 0, "0s": 0, "": 0, "week": 0} {
		var d days
		err := d.Set(text)
		if (err != nil) != (want == 0) || err == nil && time.Duration(d) != want {
			t.Errorf("%q: %v, %v", text, time.Duration(d), err)
		}
	}
}
