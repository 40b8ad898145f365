package heartbeat

import "time"

// Report is what a row of heartbeats proves.
type Report struct {
	Beats      int           `json:"beats"`
	Boots      int           `json:"boots"`       // 1: never restarted
	Missing    uint64        `json:"missing"`     // numbers that never came
	Disordered int           `json:"disordered"`  // numbers that came twice or late
	LongestGap time.Duration `json:"longest_gap"` // between two beats of one boot, by the guest's clock
	Work       uint64        `json:"work"`        // units finished between the first and the last beat
	Span       time.Duration `json:"span"`        // guest time between the first and the last beat
}

// Unbroken says that the guest ran through: one boot, every number once and in
// order, and never a gap longer than the one given.
func (r Report) Unbroken(longest time.Duration) bool {
	return r.Boots == 1 && r.Missing == 0 && r.Disordered == 0 && r.LongestGap <= longest
}

// WorkPerSecond is the rate at which work was finished, in units per second of
// guest time.
func (r Report) WorkPerSecond() float64 {
	if r.Span <= 0 {
		return 0
	}
	return float64(r.Work) / r.Span.Seconds()
}

// Judge examines beats in the order in which they were logged.
func Judge(beats []Heartbeat) Report {
	report := Report{Beats: len(beats)}
	boots := map[string]bool{}
	for i, beat := range beats {
		boots[beat.Boot] = true
		if i == 0 || beats[i-1].Boot != beat.Boot {
			report.Missing += beat.N - 1
			if i == 0 {
				report.Missing = 0 // the row may begin in mid-life
			}
			continue
		}
		report.step(beats[i-1], beat)
	}
	report.Boots = len(boots)
	return report
}

func (r *Report) step(last, beat Heartbeat) {
	if beat.N <= last.N || beat.Up < last.Up || beat.Work < last.Work {
		r.Disordered++
		return
	}
	r.Missing += beat.N - last.N - 1
	r.LongestGap = max(r.LongestGap, beat.Up-last.Up)
	r.Span += beat.Up - last.Up
	r.Work += beat.Work - last.Work
}
