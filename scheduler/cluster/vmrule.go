package cluster

import (
	"cmp"
	"slices"
	"time"
)

// VMRule is what an operator lets evenkeel do with one VM by itself. It only
// ever narrows what the cluster's mode lets it do. Orders of operators and
// drains do not ask for it.
type VMRule struct {
	VM string `json:"vm"`
	// Mode: off, evenkeel leaves the VM where it is; recommend, it only proposes
	// moves of it; auto or "", it moves it if the cluster's mode is auto.
	Mode           Mode          `json:"mode,omitempty"`
	MovesPerDay    int           `json:"moves_per_day,omitempty"`    // in place of the setting vm_moves_per_day; 0: the setting
	DowntimePerDay time.Duration `json:"downtime_per_day,omitempty"` // in place of the setting vm_downtime_per_day; 0: the setting
	Quiet          Quiet         `json:"quiet,omitzero"`             // its own quiet hours, beside the cluster's: windows and what is foreseen of them
	Since          Time          `json:"since"`
	By             string        `json:"by"`
	Text           string        `json:"text,omitempty"`
}

// SetVMRule says what evenkeel may do with a VM by itself, in place of what was
// said before. One that says nothing forgets what was said.
type SetVMRule struct {
	VM             string        `json:"vm"`
	Mode           Mode          `json:"mode,omitempty"`
	MovesPerDay    int           `json:"moves_per_day,omitempty"`
	DowntimePerDay time.Duration `json:"downtime_per_day,omitempty"`
	Quiet          []string      `json:"quiet,omitempty"` // see ParseQuietWindow
	Text           string        `json:"text,omitempty"`
}

// MaxVMRules bounds the VMs with a rule of their own.
const MaxVMRules = 2000

// MaxVMQuietWindows bounds a VM's own quiet hours.
const MaxVMQuietWindows = 8

// VMRule finds the rule of a VM.
func (s State) VMRule(vm string) (VMRule, bool) {
	i, ok := s.ruleAt(vm)
	if !ok {
		return VMRule{VM: vm}, false
	}
	return s.VMRules[i], true
}

// OwnMode says why evenkeel may not move a VM by itself, as far as the VM's own
// mode goes, or nil.
func (s State) OwnMode(vm, name string) *Refusal {
	rule, _ := s.VMRule(vm)
	if class, by := s.classOf(vm, name); rule.Mode == "" && class == ClassLatency {
		return refusal(CodeVMMode, "%s is of class latency, says %s: moves of it are only recommended", name, by.title())
	}
	if rule.Mode != ModeOff && rule.Mode != ModeRecommend {
		return nil
	}
	return refusal(CodeVMMode, "%s is in mode %s, says %s%s", name, rule.Mode, rule.By, because(rule.Text))
}

func (s *State) ruleAt(vm string) (int, bool) {
	return slices.BinarySearchFunc(s.VMRules, vm, func(r VMRule, id string) int { return cmp.Compare(r.VM, id) })
}

func (SetVMRule) kind() string { return "set-vm-rule" }

func (b SetVMRule) empty() bool {
	return b.Mode == "" && b.MovesPerDay == 0 && b.DowntimePerDay == 0 && len(b.Quiet) == 0
}

func (b SetVMRule) apply(s *State, _ Meta, c *Command) error {
	if err := b.check(s, c); err != nil {
		return err
	}
	i, known := s.ruleAt(b.VM)
	rules, quiet := slices.Clone(s.VMRules), Quiet{Windows: b.Quiet}
	if known {
		if slices.Equal(rules[i].Quiet.Windows, b.Quiet) {
			quiet = rules[i].Quiet // what was foreseen stands
		}
		rules = slices.Delete(rules, i, i+1)
	}
	if !b.empty() {
		rules = slices.Insert(rules, i, VMRule{b.VM, b.Mode, b.MovesPerDay, b.DowntimePerDay, quiet, s.Now, c.Actor.who(), b.Text})
	}
	s.VMRules = rules
	return nil
}

func (b SetVMRule) check(s *State, c *Command) error {
	_, here := s.places.get(b.VM)
	_, known := s.ruleAt(b.VM)
	switch {
	case c.Actor.Kind != KindOperator:
		return refuse(CodeNotYours, "only an operator says what may be done with a VM")
	case !here && !known:
		return refuse(CodeUnknownVM, "no host reports VM %.40q", b.VM)
	case !known && len(s.VMRules) >= MaxVMRules && !b.empty():
		return refuse(CodeTooMany, "%d VMs have rules of their own already", MaxVMRules)
	case !slices.Contains([]Mode{"", ModeOff, ModeRecommend, ModeAuto}, b.Mode):
		return refuse(CodeAbsurdFigure, "mode %.20q, must be off, recommend or auto", b.Mode)
	case len(b.Text) > maxText:
		return refuse(CodeAbsurdFigure, "reason of %d bytes, at most %d", len(b.Text), maxText)
	}
	if err := checkWindows(b.Quiet, MaxVMQuietWindows); err != nil {
		return err
	}
	return checkDisruption("moves_per_day", b.MovesPerDay, "downtime_per_day", b.DowntimePerDay)
}

// checkDisruption bounds what a VM may be made to bear within a day.
func checkDisruption(moves string, n int, downtime string, d time.Duration) error {
	switch {
	case n < 0 || n > 1000:
		return refuse(CodeAbsurdFigure, "%s is %d, must lie between 0 and 1000", moves, n)
	case d < 0 || d > 24*time.Hour:
		return refuse(CodeAbsurdFigure, "%s is %v, must lie between 0s and 24h", downtime, d)
	}
	return nil
}
