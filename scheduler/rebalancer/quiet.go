package rebalancer

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // a hypervisor need not have the zones' rules installed

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// foresight is how far ahead quiet hours are looked for: each kind comes once
// a week at least.
const foresight = 9 // days

// foresee says when the quiet hours are that are in force, or next to come, if
// the State does not know it: the cluster's, and those of single VMs. If a
// zone's rules are missing here it does not, and everything that they are about
// stays quiet.
func foresee(s cluster.State, now cluster.Time) (out []cluster.Body) {
	if next, ok := foreseen(s.Quiet, now); ok {
		out = append(out, next)
	}
	for _, rule := range s.VMRules {
		if next, ok := foreseen(rule.Quiet, now); ok {
			next.VM = rule.VM
			out = append(out, next)
		}
	}
	return out
}

func foreseen(q cluster.Quiet, now cluster.Time) (cluster.ForeseeQuiet, bool) {
	if len(q.Windows) == 0 || q.Until.Sub(now) > time.Minute {
		return cluster.ForeseeQuiet{}, false
	}
	from, until, err := NextQuiet(q.Windows, now.Std())
	next := cluster.ForeseeQuiet{From: cluster.TimeOf(from), Until: cluster.TimeOf(until)}
	return next, err == nil && (next.From != q.From || next.Until != q.Until)
}

// NextQuiet is when the quiet hours are that are in force at an instant, or
// next to come. Hours that follow upon one another or overlap are one.
func NextQuiet(windows []string, now time.Time) (from, until time.Time, err error) {
	var all []hours
	for _, text := range windows {
		w, err := cluster.ParseQuietWindow(text)
		if err != nil {
			return from, until, err
		}
		zone, err := time.LoadLocation(w.Zone)
		if err != nil {
			return from, until, fmt.Errorf("%.60q: no such time zone is known here", w.Zone)
		}
		all = append(all, occurrences(w, now.In(zone))...)
	}
	slices.SortFunc(all, func(a, b hours) int { return cmp.Or(a.from.Compare(b.from), a.until.Compare(b.until)) })
	for _, h := range all {
		switch {
		case h.from.After(until) && until.After(now):
			return from.UTC(), until.UTC(), nil
		case h.from.After(until):
			from, until = h.from, h.until
		case h.until.After(until):
			until = h.until
		}
	}
	if !until.After(now) {
		return from, until, fmt.Errorf("no quiet hours within %d days", foresight)
	}
	return from.UTC(), until.UTC(), nil
}

// hours are from an instant on and up to another.
type hours struct{ from, until time.Time }

// occurrences are a window's hours from two days before an instant on.
func occurrences(w cluster.QuietWindow, now time.Time) []hours {
	var out []hours
	for day := -2; day <= foresight; day++ {
		y, m, d := now.Date()
		date := time.Date(y, m, d+day, 0, 0, 0, 0, time.UTC) // a date, in no zone
		if !w.Days[date.Weekday()] {
			continue
		}
		end := date
		if w.To <= w.From {
			end = date.AddDate(0, 0, 1)
		}
		first, _ := onTheWall(date.Add(time.Duration(w.From)*time.Minute), now.Location())
		_, last := onTheWall(end.Add(time.Duration(w.To)*time.Minute), now.Location())
		if first.Before(last) { // else clocks left them out
			out = append(out, hours{first, last})
		}
	}
	return out
}

// onTheWall says when clocks in a zone show a time, given as if it were UTC:
// the first instant and the last. They differ where clocks are put back. Where
// they are put forward no clock ever shows the times that are left out; then
// it is the instant of the change.
func onTheWall(wall time.Time, zone *time.Location) (first, last time.Time) {
	_, before := wall.Add(-36 * time.Hour).In(zone).Zone()
	_, after := wall.Add(36 * time.Hour).In(zone).Zone()
	a, b := wall.Add(-time.Duration(before)*time.Second).In(zone), wall.Add(-time.Duration(after)*time.Second).In(zone)
	shows := func(t time.Time) bool { return t.Format(time.DateTime) == wall.Format(time.DateTime) }
	switch {
	case shows(a) && shows(b):
		if b.Before(a) {
			a, b = b, a
		}
		return a, b
	case shows(a):
		return a, a
	case shows(b):
		return b, b
	}
	change, _ := a.ZoneBounds() // by the old offset it is past the change
	return change, change
}
