package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Quiet are the hours in which evenkeel moves nothing by itself. Which instants
// those are depends on a time zone's rules, of which replicas may have
// different editions: so the leader works out the next hours and commits them.
type Quiet struct {
	Windows []string `json:"windows,omitempty"` // see ParseQuietWindow
	By      string   `json:"by,omitempty"`
	Text    string   `json:"text,omitempty"`
	// From and Until are the hours in force or next to come, in UTC.
	From  Time `json:"from,omitempty"`
	Until Time `json:"until,omitempty"`
}

type (
	// SetQuiet is an operator's list of quiet hours, in place of the former one.
	SetQuiet struct {
		Windows []string `json:"windows,omitempty"`
		Text    string   `json:"text,omitempty"`
	}

	// ForeseeQuiet is when the quiet hours are that are in force, or next to
	// come, as the leader worked it out.
	ForeseeQuiet struct {
		VM    string `json:"vm,omitempty"` // whose own they are; "": the cluster's
		From  Time   `json:"from"`
		Until Time   `json:"until"`
	}
)

// MaxQuietWindows bounds the list of quiet hours.
const MaxQuietWindows = 32

// QuietWindow is a time of the day on some days of the week, by the clock on
// the wall in a time zone.
type QuietWindow struct {
	Days [7]bool // by time.Weekday: those on which it begins
	// From and To are minutes since midnight. To is on the next day if it is not
	// after From; 24:00 is the end of the day.
	From, To int
	Zone     string // IANA name
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseQuietWindow reads "mon-fri 22:00-06:00 Europe/Berlin": days (daily, or
// names and spans of names with commas), a span of time, a time zone. Whether
// there is such a zone is for others to say.
func ParseQuietWindow(text string) (w QuietWindow, err error) {
	fields := strings.Fields(text)
	if len(fields) != 3 || len(text) > maxName {
		return w, fmt.Errorf("%.60q is not like `mon-fri 22:00-06:00 Europe/Berlin`: days, hours, time zone", text)
	}
	if w.Days, err = parseDays(fields[0]); err != nil {
		return w, err
	}
	from, to, _ := strings.Cut(fields[1], "-")
	var ok1, ok2 bool
	w.From, ok1 = parseMinute(from)
	w.To, ok2 = parseMinute(to)
	if !ok1 || !ok2 || w.From == w.To || w.From == minutesADay {
		return w, fmt.Errorf("%.40q is no span of hours; write it like 22:00-06:00, and a whole day 00:00-24:00", fields[1])
	}
	if w.Zone = fields[2]; w.Zone == "Local" || strings.Trim(w.Zone, zoneLetters) != "" {
		return w, fmt.Errorf("%.40q is no time zone; write it like Europe/Berlin or UTC", w.Zone)
	}
	return w, nil
}

const (
	minutesADay = 24 * 60
	zoneLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/"
)

func parseDays(text string) (days [7]bool, err error) {
	if text == "daily" {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, span := strings.Cut(part, "-")
		if !span {
			last = first
		}
		i, j := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if i < 0 || j < 0 {
			return days, fmt.Errorf("%.40q are no days; write them like daily, mon-fri or sat,sun", text)
		}
		for ; i != j; i = (i + 1) % 7 {
			days[i] = true
		}
		days[j] = true
	}
	return days, nil
}

// parseMinute reads 00:00 to 24:00 as minutes since midnight.
func parseMinute(text string) (int, bool) {
	if len(text) != 5 || text[2] != ':' {
		return 0, false
	}
	hour, err1 := strconv.ParseUint(text[:2], 10, 8)
	minute, err2 := strconv.ParseUint(text[3:], 10, 8)
	all := int(hour*60 + minute)
	return all, err1 == nil && err2 == nil && minute < 60 && all <= minutesADay
}

// Hush says why evenkeel moves nothing by itself at this hour, or nil. While
// it has not been worked out when the next quiet hours are, they may be now.
func (s State) Hush() *Refusal { return s.Quiet.hush(s.Now, "", s.Quiet.By, s.Quiet.Text) }

func (q Quiet) hush(now Time, whose, by, text string) *Refusal {
	switch {
	case len(q.Windows) == 0 || now < q.From:
		return nil
	case now >= q.Until:
		return refusal(CodeQuietHours, "when %snext quiet hours are is being worked out", cmp.Or(whose, "the "))
	default:
		return refusal(CodeQuietHours, "%squiet hours until %s, says %s%s", whose, clock(q.Until), by, because(text))
	}
}

// VMHush says why evenkeel leaves a VM where it is at this hour, as far as the
// VM's own quiet hours go, or nil.
func (s State) VMHush(vm, name string) *Refusal {
	r, _ := s.VMRule(vm)
	return r.Quiet.hush(s.Now, clipName(name)+"'s ", r.By, r.Text)
}

// VMHushSoon is HushSoon for a VM's own quiet hours.
func (s State) VMHushSoon(vm, name string, takes time.Duration) *Refusal {
	r, _ := s.VMRule(vm)
	return r.Quiet.soon(s.Now, clipName(name)+"'s", takes)
}

// HushSoon says why a move should not be begun that is to take so long: twice
// its time would reach into quiet hours. A migration that runs into a backup
// makes that fail.
func (s State) HushSoon(takes time.Duration) *Refusal {
	return s.Quiet.soon(s.Now, "the", takes)
}

func (q Quiet) soon(now Time, whose string, takes time.Duration) *Refusal {
	if len(q.Windows) > 0 && now < q.From && now.Add(2*takes) > q.From {
		return refusal(CodeQuietHours, "twice the %v that it is to take would reach into %s quiet hours from %s on", takes.Round(100*time.Millisecond), whose, clock(q.From))
	}
	return nil
}

func (SetQuiet) kind() string { return "set-quiet" }

func (b SetQuiet) apply(s *State, _ Meta, c *Command) error {
	switch {
	case c.Actor.Kind != KindOperator:
		return refuse(CodeNotYours, "only an operator sets quiet hours")
	case len(b.Text) > maxText:
		return refuse(CodeAbsurdFigure, "reason of %d bytes, at most %d", len(b.Text), maxText)
	}
	if err := checkWindows(b.Windows, MaxQuietWindows); err != nil {
		return err
	}
	if slices.Equal(s.Quiet.Windows, b.Windows) && len(b.Windows) > 0 {
		s.Quiet.By, s.Quiet.Text = c.Actor.who(), b.Text // what was foreseen stands
		return nil
	}
	s.Quiet = Quiet{}
	if len(b.Windows) > 0 {
		s.Quiet = Quiet{Windows: b.Windows, By: c.Actor.who(), Text: b.Text}
	}
	return nil
}

// checkWindows refuses quiet hours that cannot be read, or too many.
func checkWindows(windows []string, most int) error {
	if len(windows) > most {
		return refuse(CodeTooMany, "%d quiet hours, at most %d", len(windows), most)
	}
	for _, text := range windows {
		if _, err := ParseQuietWindow(text); err != nil {
			return refuse(CodeAbsurdFigure, "quiet hours: %v", err)
		}
	}
	return nil
}

func (ForeseeQuiet) kind() string { return "foresee-quiet" }

func (b ForeseeQuiet) apply(s *State, _ Meta, _ *Command) error {
	quiet, rules := &s.Quiet, s.VMRules
	if b.VM != "" {
		i, ok := s.ruleAt(b.VM)
		if !ok {
			return refuse(CodeStalePlan, "VM %.40s has no quiet hours any more", b.VM)
		}
		rules = slices.Clone(rules)
		quiet = &rules[i].Quiet
	}
	switch {
	case len(quiet.Windows) == 0:
		return refuse(CodeStalePlan, "there are no quiet hours any more")
	case b.Until <= s.Now || b.From >= b.Until || b.Until.Sub(s.Now) > 31*24*time.Hour:
		return refuse(CodeAbsurdFigure, "quiet hours from %v until %v, must end within a month", b.From.Std(), b.Until.Std())
	}
	quiet.From, quiet.Until = b.From, b.Until
	s.VMRules = rules
	return nil
}
