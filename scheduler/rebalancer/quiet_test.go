package rebalancer_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// Worked by hand. In 2026 clocks in Berlin go from 02:00 to 03:00 on Sunday, 29
// March (at 01:00 UTC), and from 03:00 back to 02:00 on Sunday, 25 October (at
// 01:00 UTC).
func TestNextQuiet(t *testing.T) {
	for _, c := range []struct {
		name        string
		windows     []string
		now         string
		from, until string
	}{
		{"before", []string{"daily 22:00-23:00 UTC"}, "2026-06-01T12:00:00Z", "2026-06-01T22:00:00Z", "2026-06-01T23:00:00Z"},
		{"at its beginning", []string{"daily 22:00-23:00 UTC"}, "2026-06-01T22:00:00Z", "2026-06-01T22:00:00Z", "2026-06-01T23:00:00Z"},
		{"at its end", []string{"daily 22:00-23:00 UTC"}, "2026-06-01T23:00:00Z", "2026-06-02T22:00:00Z", "2026-06-02T23:00:00Z"},
		{"over midnight", []string{"daily 22:00-06:00 UTC"}, "2026-06-02T05:59:59Z", "2026-06-01T22:00:00Z", "2026-06-02T06:00:00Z"},
		{"Friday's into Saturday", []string{"mon-fri 22:00-06:00 UTC"}, "2026-06-06T03:00:00Z", "2026-06-05T22:00:00Z", "2026-06-06T06:00:00Z"},
		{"Saturday has none of its own", []string{"mon-fri 22:00-06:00 UTC"}, "2026-06-06T23:00:00Z", "2026-06-08T22:00:00Z", "2026-06-09T06:00:00Z"},
		{"over the week's end", []string{"sat-mon 00:00-01:00 UTC"}, "2026-06-07T12:00:00Z", "2026-06-08T00:00:00Z", "2026-06-08T01:00:00Z"},
		{"whole days in a row", []string{"sat,sun 00:00-24:00 UTC"}, "2026-06-07T12:00:00Z", "2026-06-06T00:00:00Z", "2026-06-08T00:00:00Z"},
		{"one after the other", []string{"daily 01:00-02:00 UTC", "daily 02:00-03:00 UTC"}, "2026-06-07T00:00:00Z", "2026-06-07T01:00:00Z", "2026-06-07T03:00:00Z"},
		{"one in the other", []string{"daily 01:00-06:00 UTC", "daily 02:00-03:00 UTC"}, "2026-06-07T04:00:00Z", "2026-06-07T01:00:00Z", "2026-06-07T06:00:00Z"},
		{"the sooner one", []string{"daily 12:00-13:00 UTC", "daily 08:00-09:00 UTC"}, "2026-06-07T07:00:00Z", "2026-06-07T08:00:00Z", "2026-06-07T09:00:00Z"},
		{"winter", []string{"daily 22:00-23:00 Europe/Berlin"}, "2026-01-15T12:00:00Z", "2026-01-15T21:00:00Z", "2026-01-15T22:00:00Z"},
		{"summer", []string{"daily 22:00-23:00 Europe/Berlin"}, "2026-07-15T12:00:00Z", "2026-07-15T20:00:00Z", "2026-07-15T21:00:00Z"},
		{"the short night", []string{"daily 22:00-06:00 Europe/Berlin"}, "2026-03-28T22:00:00Z", "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z"},
		{"the long night", []string{"daily 22:00-06:00 Europe/Berlin"}, "2026-10-24T22:00:00Z", "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z"},
		{"begins at a time that is left out", []string{"daily 02:30-04:00 Europe/Berlin"}, "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		{"ends at one", []string{"daily 01:30-02:30 Europe/Berlin"}, "2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"},
		{"is left out as a whole", []string{"daily 02:10-02:50 Europe/Berlin"}, "2026-03-29T00:00:00Z", "2026-03-30T00:10:00Z", "2026-03-30T00:50:00Z"},
		{"comes twice: from the first to the last", []string{"daily 02:10-02:50 Europe/Berlin"}, "2026-10-25T00:00:00Z", "2026-10-25T00:10:00Z", "2026-10-25T01:50:00Z"},
		{"another date there", []string{"mon 00:00-01:00 Pacific/Auckland"}, "2026-06-06T00:00:00Z", "2026-06-07T12:00:00Z", "2026-06-07T13:00:00Z"},
		{"half an hour's summer time", []string{"daily 01:45-02:15 Australia/Lord_Howe"}, "2026-10-03T12:00:00Z", "2026-10-03T15:15:00Z", "2026-10-03T15:30:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		from, until, err := rebalancer.NextQuiet(c.windows, now)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, want := from.Format(time.RFC3339)+" "+until.Format(time.RFC3339), c.from+" "+c.until; got != want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, want)
		}
	}
	for _, bad := range [][]string{{"daily 01:00-02:00 Mars/Olympus"}, {"never"}, {}} {
		if from, until, err := rebalancer.NextQuiet(bad, time.Now()); err == nil {
			t.Errorf("%q: from %v until %v", bad, from, until)
		}
	}
}

// Told by the clock on the wall: whenever that shows a time in a window, it is
// quiet; and it is quiet at no other time, but within the two hours around a
// change of clocks.
func TestLawQuietByTheWall(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"}
	rapid.Check(t, func(t *rapid.T) {
		var w cluster.QuietWindow
		days := rapid.SliceOfNDistinct(rapid.IntRange(0, 6), 1, 7, rapid.ID).Draw(t, "days")
		words := ""
		for i, d := range days {
			w.Days[d] = true
			if i > 0 {
				words += ","
			}
			words += []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}[d]
		}
		w.From = rapid.IntRange(0, 24*60-1).Draw(t, "from")
		w.To = rapid.IntRange(1, 24*60).Filter(func(m int) bool { return m != w.From }).Draw(t, "to")
		w.Zone = rapid.SampledFrom(zones).Draw(t, "zone")
		text := fmt.Sprintf("%s %02d:%02d-%02d:%02d %s", words, w.From/60, w.From%60, w.To/60, w.To%60, w.Zone)
		if parsed, err := cluster.ParseQuietWindow(text); err != nil || parsed != w {
			t.Fatalf("%q: %+v, %v; want %+v", text, parsed, err, w)
		}
		zone, err := time.LoadLocation(w.Zone)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_767_225_600, 1_798_761_600).Draw(t, "now"), 0) // in 2026
		from, until, err := rebalancer.NextQuiet([]string{text}, now)
		if err != nil || !until.After(now) {
			t.Fatalf("%s: from %v until %v, %v", text, from, until, err)
		}
		quiet := !now.Before(from)
		if shown := onTheWall(w, now.In(zone)); shown != quiet && (shown || !changes(now, zone)) {
			t.Fatalf("%s at %v: quiet %v, on the wall %v", text, now.In(zone), quiet, shown)
		}
		// Nothing between now and the beginning is quiet.
		if !quiet {
			between := now.Add(time.Duration(rapid.Int64Range(0, int64(from.Sub(now))-1).Draw(t, "between")))
			if onTheWall(w, between.In(zone)) {
				t.Fatalf("%s: next from %v, but it is quiet at %v", text, from, between.In(zone))
			}
		}
	})
}

// onTheWall says whether a clock shows a time in the window.
func onTheWall(w cluster.QuietWindow, now time.Time) bool {
	day, minute := int(now.Weekday()), now.Hour()*60+now.Minute()
	if w.From < w.To {
		return w.Days[day] && w.From <= minute && minute < w.To
	}
	return w.Days[day] && w.From <= minute || w.Days[(day+6)%7] && minute < w.To
}

// changes says whether clocks are changed within two hours of an instant.
func changes(now time.Time, zone *time.Location) bool {
	_, a := now.Add(-2 * time.Hour).In(zone).Zone()
	_, b := now.Add(2 * time.Hour).In(zone).Zone()
	return a != b
}

// The leader works out the hours and commits them; nothing moves in them, and
// moves are made again afterwards.
func TestQuietHours(t *testing.T) {
	story(t, "an hour from a minute on", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		begin := time.Now().UTC().Truncate(time.Minute).Add(time.Minute)
		window := fmt.Sprintf("daily %s-%s UTC", begin.Format("15:04"), begin.Add(time.Hour).Format("15:04"))
		f.must(operator, cluster.SetQuiet{Windows: []string{window}})
		if h := f.s.Holding(); h == nil || h.Code != cluster.CodeQuietHours {
			t.Fatalf("before it was worked out: %v", h)
		}
		f.play(r, 2*time.Second, nil)
		if q := f.s.Quiet; q.From != cluster.TimeOf(begin) || q.Until != cluster.TimeOf(begin.Add(time.Hour)) || f.s.Holding() != nil && f.s.Holding().Code == cluster.CodeQuietHours {
			t.Fatalf("foreseen %v to %v, want from %v; %v", q.From.Std(), q.Until.Std(), begin, f.s.Holding())
		}
		f.play(r, time.Until(begin)+30*time.Minute, nil)
		ordered := f.s.LastMove
		if h := f.s.Holding(); h == nil || h.Code != cluster.CodeQuietHours {
			t.Fatalf("in quiet hours: %v", h)
		}
		f.play(r, time.Until(begin.Add(time.Hour))-time.Second, nil)
		if f.s.LastMove != ordered {
			t.Error("ordered in quiet hours")
		}
		f.play(r, 10*time.Second, nil)
		if f.s.Quiet.From != cluster.TimeOf(begin.AddDate(0, 0, 1)) {
			t.Errorf("next from %v", f.s.Quiet.From.Std())
		}
		if f.s.LastMove == ordered {
			t.Error("nothing is ordered when they are over")
		}
		if n := f.count("foresee-quiet"); n != 2 {
			t.Errorf("foreseen %d times", n)
		}
	})
	story(t, "a VM's own", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		begin := time.Now().UTC().Truncate(time.Minute).Add(time.Minute)
		window := fmt.Sprintf("daily %s-%s UTC", begin.Format("15:04"), begin.Add(time.Hour).Format("15:04"))
		f.beat() // they are known now
		f.must(operator, cluster.SetVMRule{VM: vmID(2), Quiet: []string{window}})
		f.play(r, 2*time.Second, nil)
		rule, _ := f.s.VMRule(vmID(2))
		if q := rule.Quiet; q.From != cluster.TimeOf(begin) || q.Until != cluster.TimeOf(begin.Add(time.Hour)) || f.s.Hush() != nil {
			t.Fatalf("foreseen %v to %v, want from %v; the cluster's: %v", q.From.Std(), q.Until.Std(), begin, f.s.Hush())
		}
		f.play(r, time.Until(begin.Add(time.Hour))+10*time.Second, nil)
		if rule, _ = f.s.VMRule(vmID(2)); rule.Quiet.From != cluster.TimeOf(begin.AddDate(0, 0, 1)) {
			t.Errorf("next from %v", rule.Quiet.From.Std())
		}
		if n := f.count("foresee-quiet"); n != 2 {
			t.Errorf("foreseen %d times", n)
		}
	})
}
