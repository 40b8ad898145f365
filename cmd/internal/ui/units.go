package ui

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Percent prints a fraction with one decimal.
func Percent(f float64) string { return fmt.Sprintf("%.1f %%", f*100) }

// PercentOr prints a fraction, "" if it is not known.
func PercentOr(f *float64) string {
	if f == nil {
		return ""
	}
	return Percent(*f)
}

// Bytes prints an amount of memory.
func Bytes(n int64) string { return cluster.Bytes(n).String() }

// Seconds prints a duration in the unit that fits.
func Seconds(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d < 0:
		return "-" + Seconds(-s)
	case d == 0:
		return "0 s"
	case d < 100*time.Microsecond:
		return fmt.Sprintf("%.1f µs", s*1e6)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", s*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", s*1e3)
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", s)
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", s)
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", s/60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", s/3600)
	}
	return fmt.Sprintf("%.0f d", s/86400)
}

// SecondsOr prints a duration, "" if it is not known.
func SecondsOr(s *float64) string {
	if s == nil {
		return ""
	}
	return Seconds(*s)
}

// Ago prints how long before now an instant was, "" for none. It is meant for
// seconds and up, so it has no fractions.
func Ago(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	d := max(now.Sub(at).Round(time.Second), 0)
	if d < 10*time.Second {
		return fmt.Sprintf("%.0f s ago", d.Seconds())
	}
	return Seconds(d.Seconds()) + " ago"
}

// Clock prints an instant for tables, in UTC as everywhere.
func Clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}
