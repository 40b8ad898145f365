package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID|VM|HOST|latest",
		Short: "Why was that decided, or why did nothing move?",
		Long: `Explains a decision (d-...), a move (m-...), a VM or a host: why now, why that VM,
what else was looked at and with which code it was refused, what was predicted
and what was measured. docs/refusals.md explains the codes.`,
		Example: `  evenkeel explain latest
  evenkeel explain m-2f9
  evenkeel explain db-03          # what the planner thinks of each host for it, now
  evenkeel explain hv1`,
		Args: oneArg("a decision, a move, a VM, a host, or latest"),
		RunE: a.verb(func(ctx context.Context, args []string) error {
			e, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Explanation, error) { return c.Explain(ctx, args[0]) })
			if err != nil {
				return err
			}
			a.notes(e.Head)
			return a.print(e, func(w *ui.Writer) { explanation{w, e}.print() }, []string{e.Subject})
		}),
	}
}

// explanation prints what it can of the layout "why now, why it, why there,
// what it gained".
type explanation struct {
	*ui.Writer
	*api.Explanation
}

const whyWidth = 10

func (x explanation) why(name, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); text != "" {
		x.Field(whyWidth, name, x.Paint(ui.Plain, text))
	}
}

func (x explanation) print() {
	switch x.About {
	case "vm":
		x.vm()
	case "host":
		x.host()
	case "move":
		x.move(x.Moves[0])
		x.candidates()
	default:
		x.decision()
	}
}

func (x explanation) decision() {
	d := x.Decision
	if len(x.Moves) > 0 {
		x.move(x.Moves[0])
		for _, m := range x.Moves[1:] {
			x.Line("")
			x.move(m)
		}
		x.candidates()
		return
	}
	what := strings.ToUpper(string(d.Result))
	if d.Code != "" {
		what += " " + string(d.Code)
	}
	if d.Repeated > 0 {
		what += fmt.Sprintf(" x%d", d.Repeated+1)
	}
	x.headline(d.ID, what, d)
	x.why("Why", "%s", d.Text)
	if d.Repeated > 0 {
		x.why("When", "from %s to %s UTC", ui.Clock(d.At.Time), ui.Clock(d.LastAt.Time))
	} else {
		x.why("When", "%s UTC", ui.Clock(d.At.Time))
	}
	x.candidates()
}

// headline is the first line: what, and who decided it when on what.
func (x explanation) headline(id, what string, d *api.Decision) {
	text := x.Paint(ui.Strong, id) + "  " + x.Paint(ui.Strong, what)
	if d != nil {
		text += x.Paint(ui.Faint, fmt.Sprintf("   %s, %s, leader %s, term %d, planned on index %d", d.Mode, d.Policy, d.Leader, d.Term, d.PlannedOn))
	}
	x.Line(text)
}

func (x explanation) move(m api.Move) {
	x.headline(m.ID, fmt.Sprintf("MOVE %s  %s -> %s  %s", m.VM, m.Source, m.Target, outcome(m)), x.Decision)
	// A reason of evenkeel's own says first what suffers, then what the move does.
	now, vm, ok := strings.Cut(m.Reason, "; ")
	if ok {
		x.why("Why now", "%s", now)
		x.why("Why "+m.VM, "%s", vm)
	} else {
		x.why("Why", "%s", m.Reason)
	}
	x.why("Course", "%s", course(m))
	x.why("Bandwidth", "%s", limitWords(m))
	x.why("Ended", "%s", endedBecause(m))
	x.why("At source", "%s", evidenceText(m.AtSource))
	x.why("At target", "%s", evidenceText(m.AtTarget))
	x.why("Gain", "%s", gain(m))
	x.remedy(m)
}

func course(m api.Move) string {
	parts := []string{"ordered " + ui.Clock(m.OrderedAt.Time) + " UTC by " + m.Decision + " (" + string(m.Trigger) + ")"}
	if !m.StartedAt.IsZero() {
		parts = append(parts, fmt.Sprintf("started %s later", ui.Seconds(m.StartedAt.Sub(m.OrderedAt.Time).Seconds())))
	}
	if text := took(m); text != "" {
		parts = append(parts, "took "+text)
	}
	if m.DowntimeMS != nil {
		parts = append(parts, "downtime "+downtime(m))
	}
	if m.State == cluster.MoveRunning && m.Progress.TotalBytes > 0 {
		parts = append(parts, fmt.Sprintf("%.0f %% done, %s left", m.Progress.Ratio*100, ui.Bytes(m.Progress.RemainingBytes)))
	}
	return strings.Join(parts, ", ")
}

func endedBecause(m api.Move) string {
	text := m.Why
	if m.WhyCode != "" {
		text = string(m.WhyCode) + ", " + text
	}
	if m.Report != "" {
		text = strings.TrimPrefix(text+"; libvirt at the source said: "+m.Report, "; ")
	}
	return text
}

func evidenceText(e *api.Evidence) string {
	if e == nil {
		return ""
	}
	process := "no QEMU process"
	if e.Process {
		process = "a QEMU process exists"
	}
	return fmt.Sprintf("%s, %s, seen %s UTC", e.Presence, process, ui.Clock(e.At.Time))
}

func gain(m api.Move) string {
	p := m.Predicted
	text := fmt.Sprintf("predicted: VM %s, source %s, target %s",
		turn(p.VMContentionBefore, p.VMContentionAfter), turn(p.SourceContentionBefore, p.SourceContentionAfter), turn(p.TargetContentionBefore, p.TargetContentionAfter))
	if d := p.DowntimeSeconds; d != nil {
		text += fmt.Sprintf(", downtime %d ms", int64(*d*1000+0.5))
	}
	if e := m.Measured; e != nil {
		return text + fmt.Sprintf("; measured: VM %s, source %s, target %s: %s",
			ui.Percent(e.VMContentionAfter), ui.Percent(e.SourceContentionAfter), ui.Percent(e.TargetContentionAfter), m.Verdict)
	}
	if m.State == cluster.MoveDone {
		text += "; not measured yet: figures settle first"
	}
	return text
}

func (x explanation) remedy(m api.Move) {
	if m.State == cluster.MoveUnknown {
		x.why("Remedy", "look at both hosts (virsh list --all), then: evenkeel migrations resolve %s --running-on %s|%s|none", m.ID, m.Source, m.Target)
	}
}

// candidates are what the decision looked at.
func (x explanation) candidates() {
	d := x.Decision
	if d == nil {
		return
	}
	if len(d.Candidates) > 0 {
		x.Line("")
		x.Table(candidateColumns, candidateRows(d.Candidates))
	}
	for _, c := range d.Candidates {
		x.why("Score", "%s", scoreText(c))
	}
	if len(d.Counts) > 0 {
		x.why("Refused", "%s (docs/refusals.md)", countsText(d.Counts))
	}
	x.input(d)
}

// scoreText is what a candidate was judged by: its terms that are not zero.
func scoreText(c api.Candidate) string {
	if c.Score == nil {
		return ""
	}
	var terms []string
	for _, t := range c.Score.Terms {
		if t.Points != 0 {
			terms = append(terms, fmt.Sprintf("%.3f %s", t.Points, t.Name))
		}
	}
	return fmt.Sprintf("%s to %s %.3f points: %s", c.VM, c.Target, c.Score.Points, strings.Join(terms, "; "))
}

// input is what a decision can be made again from.
func (x explanation) input(d *api.Decision) {
	if d != nil && !d.PlannedAt.IsZero() {
		x.why("Input", "entry %d%s at %s, seed %d; evenkeel replay %s decides again", d.PlannedOn, digest(d.Input), d.PlannedAt.UTC().Format(time.RFC3339Nano), d.Seed, d.ID)
	}
}

// digest is the beginning of a State's digest, for people to compare.
func digest(c cluster.Chain) string {
	if len(c) < 12 {
		return ""
	}
	return fmt.Sprintf(" (%s...)", c[:12])
}

func (x explanation) vm() {
	vm := x.VM
	x.Line(x.Paint(ui.Strong, vm.Name) + "  " + x.Paint(vmTone(vm.State), string(vm.State)) +
		x.Paint(ui.Plain, " on "+or(vm.Host)) + x.Paint(ui.Faint, "   "+vm.UUID))
	x.why("Message", "%s", vm.Message)
	x.why("Suffers", "contention %s, worst vCPU %s (steal %s); threshold %s; figures %s old",
		or(ui.PercentOr(vm.ContentionRatio)), or(ui.PercentOr(vm.ContentionRatioMax)), or(ui.PercentOr(vm.StealRatio)), ui.Percent(x.EnterRatio), or(ui.SecondsOr(vm.AgeSeconds)))
	x.why("Who", "%s", behind(*vm))
	x.why("But", "%s", remark(*vm))
	if b := vm.Block; b != nil {
		x.why("Disks", "%s", disksText(*b))
	}
	if h := x.Host; h != nil {
		x.why("Host", "%s", hostLine(*h))
	}
	if len(x.Verdicts) > 0 {
		x.Line("")
		x.Line("What the planner thinks now of moving it:")
		x.Table(candidateColumns, candidateRows(x.Verdicts))
	}
	x.recent()
}

func (x explanation) host() {
	h := *x.Host
	x.Line(x.Paint(ui.Strong, h.Name) + "  " + x.Paint(hostTone(h.State), string(h.State)) + x.Paint(ui.Faint, "   "+h.ID))
	x.why("Message", "%s", h.Message)
	x.why("Suffers", "%s; threshold %s", hostLine(h), ui.Percent(x.EnterRatio))
	x.why("Besides", "%s", besides(h))
	x.why("Processor", "%s", processor(h))
	if len(x.VMs) > 0 {
		x.Line("")
		x.Table(vmColumns, vmRows(x.VMs))
	}
	x.recent()
}

func hostLine(h api.Host) string {
	return fmt.Sprintf("%s: contention %s, worst vCPU %s (steal %s), %.2f of %g CPUs busy, %s of %s promised, excess %s",
		h.Name, ui.Percent(h.ContentionRatio), ui.Percent(h.ContentionRatioMax), ui.Percent(h.StealRatio), h.CPUUse, h.CPUs,
		ui.Bytes(h.MemoryUsedBytes), ui.Bytes(h.MemoryBytes), ui.Seconds(h.ExcessSeconds))
}

// besides tells what else takes the host's CPUs and time.
func besides(h api.Host) string {
	text := fmt.Sprintf("%.2f CPUs of its own work, %.2f of them interrupts; measuring takes %.3f", h.CPUOverhead, h.CPUInterrupts, h.CPUMeasuring)
	if h.BookErrorRatio > 0 {
		text += fmt.Sprintf("; books off by %.2f %%", 100*h.BookErrorRatio)
	}
	if stall := stalled(h.Pressure); stall != "" {
		text += "; stalled on " + stall
	}
	return text
}

// processor tells what the host's CPUs are, "" if it is not known.
func processor(h api.Host) string {
	p := h.Processor
	if p == nil {
		return ""
	}
	text := fmt.Sprintf("%g CPUs for VMs on %d cores", h.CPUs, p.Cores)
	if p.Model != "" {
		text += ", " + p.Model
	}
	if p.MHz > 0 {
		text += fmt.Sprintf(", %d MHz", p.MHz)
	}
	return text
}

// recent shows the newest moves and the newest decision about the subject.
func (x explanation) recent() {
	if len(x.Moves) > 0 {
		x.Line("")
		x.Table(moveColumns, moveRows(x.Moves))
	}
	if d := x.Decision; d != nil {
		x.Line("")
		text := fmt.Sprintf("%s, %s", d.ID, d.Result)
		if d.Code != "" {
			text += " " + string(d.Code)
		}
		x.why("Decided", "%s: %s; evenkeel explain %s", text, d.Text, d.ID)
	}
}
