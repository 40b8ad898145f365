package api

import (
	"cmp"
	"fmt"
	"slices"
)

// Warning is something to look at, with the command that explains it.
type Warning struct {
	Severity Severity `json:"severity"` // alarm, caution or remark
	Text     string   `json:"text"`
	Command  string   `json:"command"`
}

// Severity is how soon somebody should look.
type Severity string

// The severities. Warnings come in this order: who is shown three of ten must
// not miss the VM that runs twice.
const (
	Alarm   Severity = "alarm"   // a VM is in danger, or nothing can be decided
	Caution Severity = "caution" // something is worse than it should be
	Remark  Severity = "remark"  // as somebody wants it, or good to know
)

// warning adds one, behind those that are as severe.
func (out *Status) warning(s Severity, command, format string, args ...any) {
	out.Warnings = append(out.Warnings, Warning{s, fmt.Sprintf(format, args...), command})
	slices.SortStableFunc(out.Warnings, func(a, b Warning) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
}

func (s Severity) rank() int { return slices.Index([]Severity{Alarm, Caution, Remark}, s) }
