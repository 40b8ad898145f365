package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) status() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Is the fleet healthy, is evenkeel acting, what is next?",
		Long: `Shows on at most twelve lines whether the fleet is healthy, what evenkeel does,
and what to look at. Without a leader it shows what this member knows, marked
as stale.`,
		Example: `  evenkeel status
  evenkeel status --json | jq .worst_vm.steal_ratio
  evenkeel status --watch`,
		Args: noArgs,
	}
	w := watchFlags(cmd)
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		return a.repeat(ctx, w, func(ctx context.Context) error {
			s, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Status, error) { return c.Status(ctx) })
			if err != nil {
				return err
			}
			return a.show(w, s, func(w *ui.Writer) { statusText(w, s) }, []string{string(s.Mode)})
		})
	})
	return cmd
}

const fieldWidth = 8

// statusText prints nine lines and at most three of warnings.
func statusText(w *ui.Writer, s *api.Status) {
	line := func(name, value string) { w.Field(fieldWidth, name, value) }
	line("mode", modeText(w, s))
	line("leader", leaderText(w, s))
	line("quorum", quorumText(w, s.Quorum))
	line("hosts", hostsText(w, s.Hosts)+reserveText(w, s.Reserve))
	line("worst", worstText(w, s))
	line("moves", movesText(w, s))
	line("last", lastText(w, s))
	line("decision", decisionText(w, s))
	line("next", nextText(w, s))
	shown := min(len(s.Warnings), 3)
	if len(s.Warnings) > 3 {
		shown = 2
	}
	for _, warning := range s.Warnings[:shown] {
		line("warning", w.Paint(severityTone(warning.Severity), warning.Text)+": "+warning.Command)
	}
	if more := len(s.Warnings) - shown; more > 0 {
		line("warning", fmt.Sprintf("%d more: evenkeel status --json", more))
	}
}

func severityTone(s api.Severity) ui.Tone {
	switch s {
	case api.Alarm:
		return ui.Bad
	case api.Remark:
		return ui.Plain
	}
	return ui.Warn
}

func modeText(w *ui.Writer, s *api.Status) string {
	text := w.Paint(ui.Strong, string(s.Mode))
	if s.ModeFor != "" {
		text += w.Paint(ui.Plain, " for "+s.ModeFor)
	}
	if s.ModeBy != "" {
		text += w.Paint(ui.Plain, ", by "+s.ModeBy)
	}
	if s.Lab {
		text += ", lab"
	}
	if p := s.Paused; p != nil {
		text += w.Paint(ui.Warn, fmt.Sprintf(", paused by %s until %s", p.By, ui.Clock(p.Until.Time)))
	}
	if f := s.Frozen; f != nil {
		text += w.Paint(ui.Bad, ", frozen: "+f.Cause)
	}
	return text
}

func leaderText(w *ui.Writer, s *api.Status) string {
	at := fmt.Sprintf("term %d, index %d", s.Term, s.Index)
	switch {
	case s.Stale != nil:
		return w.Paint(ui.Bad, staleText(s.Stale)) + "; " + at
	case s.Leader == nil:
		return w.Paint(ui.Bad, "none known") + "; " + at
	}
	return w.Paint(ui.Good, s.Leader.Name) + ", " + at
}

func quorumText(w *ui.Writer, q api.Quorum) string {
	text := fmt.Sprintf("%d of %d voters answer, ", q.Answering, q.Voters)
	switch {
	case q.Voters == 0:
		return w.Paint(ui.Bad, "no voters known: this member has no part in a cluster yet")
	case q.Spare < 0:
		return text + w.Paint(ui.Bad, fmt.Sprintf("%d are needed: nothing can be decided", q.Needed))
	case q.Spare == 0 && q.Voters > 1:
		return text + w.Paint(ui.Warn, "may lose none")
	}
	return text + fmt.Sprintf("may lose %d", q.Spare)
}

func hostsText(w *ui.Writer, f api.Fleet) string {
	tone := ui.Good
	if f.Fresh < f.Total {
		tone = ui.Warn
	}
	return w.Paint(tone, fmt.Sprintf("%d of %d fresh", f.Fresh, f.Total)) + fmt.Sprintf(", %d VMs", f.VMs)
}

// reserveText says how many hosts may fail. That the reserve is lost is a
// warning as well, which says how much is lacking.
func reserveText(w *ui.Writer, r *api.Reserve) string {
	switch {
	case r == nil:
		return ""
	case r.Lost:
		return "; " + w.Paint(ui.Bad, "RESERVE LOST")
	case r.Asked == 0:
		return fmt.Sprintf("; %d may fail", r.Stands)
	case r.Asked == 1:
		return fmt.Sprintf("; any 1 may fail: worst case %s, %v to spare", r.Worst, cluster.Bytes(r.SpareBytes))
	}
	return fmt.Sprintf("; %d may fail: worst case %s, %v to spare", r.Asked, r.Worst, cluster.Bytes(r.SpareBytes))
}

func worstText(w *ui.Writer, s *api.Status) string {
	h := s.WorstHost
	if h == nil {
		return "nothing is measured"
	}
	tone := ui.Good
	if h.State == api.HostSuffering {
		tone = ui.Bad
	}
	text := w.Paint(tone, fmt.Sprintf("%s steal %s", h.Name, ui.Percent(h.StealRatio))) +
		fmt.Sprintf(", worst vCPU %s", ui.Percent(h.StealRatioMax))
	vm := s.WorstVM
	if vm == nil || vm.StealRatio == nil {
		return text
	}
	text += w.Paint(ui.Plain, fmt.Sprintf("; VM %s steal %s", vm.Name, ui.Percent(*vm.StealRatio)))
	if l := vm.RunQueueLatency; l != nil && l.P99 > 0 {
		text += ", run-queue p99 " + ui.Seconds(l.P99)
	}
	return text
}

func movesText(w *ui.Writer, s *api.Status) string {
	if len(s.InFlight) == 0 {
		return "none in flight"
	}
	var each []string
	for _, m := range s.InFlight {
		text := fmt.Sprintf("%s %s %s -> %s %s", m.ID, m.VM, m.Source, m.Target, m.State)
		if m.State == cluster.MoveRunning && m.Progress.TotalBytes > 0 {
			text += fmt.Sprintf(" %.0f %%", m.Progress.Ratio*100)
		}
		each = append(each, text)
	}
	const few = 2
	if n := len(each) - few; n > 0 {
		each = append(each[:few], fmt.Sprintf("%d more", n))
	}
	return fmt.Sprintf("%d in flight: ", len(s.InFlight)) + w.Paint(ui.Strong, strings.Join(each, "; "))
}

func lastText(w *ui.Writer, s *api.Status) string {
	m := s.LastMove
	if m == nil {
		return "no move yet"
	}
	text := fmt.Sprintf("%s %s %s -> %s ", m.ID, m.VM, m.Source, m.Target)
	text = w.Paint(ui.Plain, text) + w.Paint(toneOf(m.State), outcome(*m))
	return text + ", " + ui.Ago(m.EndedAt.Time, s.Now.Time)
}

func decisionText(w *ui.Writer, s *api.Status) string {
	d := s.LastDecision
	if d == nil {
		return "none yet"
	}
	text := fmt.Sprintf("%s %s: %s", d.ID, ui.Ago(d.LastAt.Time, s.Now.Time), d.Result)
	if d.Repeated > 0 {
		text += fmt.Sprintf(" x%d", d.Repeated+1)
	}
	switch {
	case d.Result == cluster.ResultMoved:
		text += " " + words(d.Moves)
	case d.Result == cluster.ResultRecommended && len(d.Candidates) > 0:
		c := d.Candidates[0]
		text += fmt.Sprintf(", %s %s -> %s (%s)", c.VM, c.Source, c.Target, d.Code)
	default:
		text += fmt.Sprintf(", %s, %s", d.Code, d.Text)
	}
	return w.Paint(ui.Plain, text)
}

func nextText(w *ui.Writer, s *api.Status) string {
	switch {
	case s.Stale != nil || s.Leader == nil:
		return "nothing until there is a leader"
	case s.Held != nil:
		return w.Paint(ui.Warn, "moves nothing: "+string(s.Held.Code)+", "+s.Held.Text)
	case s.Mode == cluster.ModeRecommend:
		return "recommends only; `evenkeel plan` shows what, `evenkeel mode auto` lets it move VMs"
	}
	return "evaluates every second and moves VMs"
}
