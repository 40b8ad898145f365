package main

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

const sparkWidth = 20

// View draws the screen.
func (m *topModel) View() tea.View {
	lines := m.head()
	lines = append(lines, m.body()...)
	lines = lines[:min(len(lines), max(m.height-1, 1))]
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, m.foot())
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, m.width, "")
	}
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen, v.WindowTitle = true, "evenkeel top"
	return v
}

// room is how many lines are left below the head and above the foot.
func (m *topModel) room() int { return max(m.height-1-len(m.head()), 1) }

// head says how the fleet is: what `status` says first, what is under way, and
// whether what is shown is old.
func (m *topModel) head() (lines []string) {
	if t := m.seen; t != nil {
		text := written(func(w *ui.Writer) {
			s := t.Status
			w.Line("mode " + modeText(w, s) + "   leader " + leaderText(w, s))
			w.Line("hosts " + hostsText(w, s.Hosts) + reserveText(w, s.Reserve))
			w.Line("worst " + worstText(w, s))
			for _, mv := range s.InFlight[:min(len(s.InFlight), 3)] {
				w.Line(w.Paint(ui.Strong, mv.ID) + w.Paint(ui.Plain, fmt.Sprintf("  %s  %s -> %s  %s", mv.VM, mv.Source, mv.Target, phase(mv))))
			}
			if more := len(s.InFlight) - 3; more > 0 {
				w.Linef("%d more moves in flight", more)
			}
			if len(s.Warnings) > 0 {
				w.Line(w.Paint(severityTone(s.Warnings[0].Severity), s.Warnings[0].Text) + ": " + s.Warnings[0].Command + others(len(s.Warnings)-1))
			}
		})
		lines = strings.Split(text, "\n")
	}
	if m.err != nil {
		lines = append(lines, written(func(w *ui.Writer) {
			w.Line(w.Paint(ui.Bad, "no answer since "+ui.Clock(m.since)+": "+m.err.Error()))
		}))
	}
	return append(lines, "")
}

func others(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%d more warnings)", n)
}

// phase is how far a move has got.
func phase(mv api.Move) string {
	if mv.Progress.TotalBytes == 0 {
		return string(mv.State)
	}
	return fmt.Sprintf("%s %.0f %%, %s left", mv.State, mv.Progress.Ratio*100, ui.Bytes(mv.Progress.RemainingBytes))
}

func (m *topModel) body() []string {
	switch {
	case m.page != nil:
		lines := m.page.lines(m.width)
		return lines[min(m.page.from, len(lines)):]
	case m.seen == nil:
		return []string{"looking ..."}
	case m.level == levelHosts:
		return m.table(m.hostTable())
	case m.level == levelVMs:
		return m.table(m.vmTable())
	}
	return m.vmPage()
}

// foot tells where one is, and the keys.
func (m *topModel) foot() string {
	where := "hosts"
	keys := topHosts.keys[m.orders[levelHosts].key].title
	switch {
	case m.page != nil:
		return m.page.title + "   any other key closes"
	case m.typing:
		return "filter: " + ui.Clean(m.filter) + "_   Enter keeps it, Esc takes it away"
	case m.level == levelVM:
		return "VM   Esc back   e explain   Space stand still   ? help   q end"
	case m.level == levelVMs:
		where, keys = "VMs of "+or(m.host), topVMs.keys[m.orders[levelVMs].key].title
		if m.host == "" {
			where = "VMs of all hosts"
		}
	}
	text := fmt.Sprintf("%s by %s", where, keys)
	if m.orders[m.level].reverse {
		text += ", reversed"
	}
	if m.filter != "" {
		text += fmt.Sprintf(", with %q", m.filter)
	}
	if m.still {
		text += ", STANDING STILL"
	}
	return text + "   Enter look into   / filter   s sort   Tab hosts or VMs   ? help   q end"
}

// table shows as many lines as there is room for, around what is chosen. What
// is chosen is marked by more than colour.
func (m *topModel) table(columns []ui.Column, rows [][]ui.Cell) []string {
	if len(rows) == 0 {
		if m.filter != "" {
			return []string{fmt.Sprintf("nothing with %q; Esc takes the filter away", m.filter)}
		}
		return []string{"there are none"}
	}
	at := m.line(m.ids())
	lines := strings.Split(written(func(w *ui.Writer) { w.Table(columns, rows) }), "\n")
	title, lines := "  "+lines[0], lines[1:]
	room := max(m.room()-1, 1)
	from := max(min(at-room/2, len(lines)-room), 0)
	out := []string{title}
	for i, l := range lines[from:min(from+room, len(lines))] {
		if from+i == at {
			l = ansi.Truncate("> "+ansi.Strip(l), m.width, "")
			out = append(out, "\x1b[7m"+l+strings.Repeat(" ", max(m.width-ansi.StringWidth(l), 0))+"\x1b[0m")
			continue
		}
		out = append(out, "  "+l)
	}
	return out
}

func (m *topModel) hostTable() ([]ui.Column, [][]ui.Cell) {
	hosts := m.hosts()
	columns, rows := narrow(hostColumns, hostRows(hosts), "NAME", "STATE", "STEAL", "WORST VCPU", "RUNQ P99", "CPU USE", "CPUS", "MEMORY", "VMS", "MOVES", "AGE", "MESSAGE")
	return m.sparked(columns, rows, func(i int) string { return hosts[i].ID })
}

func (m *topModel) vmTable() ([]ui.Column, [][]ui.Cell) {
	vms := m.vms()
	titles := []string{"NAME", "HOST", "STATE", "CONTENTION", "RUNQ P99", "BEHIND", "DEMAND", "VCPUS", "MEMORY", "MESSAGE"}
	if m.host != "" {
		titles = slices.DeleteFunc(titles, func(t string) bool { return t == "HOST" })
	}
	columns, rows := narrow(vmColumns, vmRows(vms), titles...)
	return m.sparked(columns, rows, func(i int) string { return vms[i].UUID })
}

// narrow keeps some columns of a table, in the order in which they are named.
func narrow(columns []ui.Column, rows [][]ui.Cell, titles ...string) (cols []ui.Column, out [][]ui.Cell) {
	out = make([][]ui.Cell, len(rows))
	for _, title := range titles {
		i := slices.IndexFunc(columns, func(c ui.Column) bool { return c.Title == title })
		c := columns[i]
		c.Wide = false
		cols = append(cols, c)
		for j := range rows {
			out[j] = append(out[j], rows[j][i])
		}
	}
	return cols, out
}

// sparked puts the past behind name and state.
func (m *topModel) sparked(columns []ui.Column, rows [][]ui.Cell, id func(int) string) ([]ui.Column, [][]ui.Cell) {
	at := slices.IndexFunc(columns, func(c ui.Column) bool { return c.Title == "STATE" }) + 1
	columns = slices.Insert(columns, at, ui.Column{Title: "PAST"})
	for i := range rows {
		rows[i] = slices.Insert(rows[i], at, ui.Text(m.past.line(id(i), sparkWidth)))
	}
	return columns, rows
}

// vmPage is all about one VM, what it suffers and by whom first.
func (m *topModel) vmPage() []string {
	i := slices.IndexFunc(m.seen.VMs, func(vm api.VM) bool { return vm.UUID == m.vm })
	if i < 0 {
		return []string{"this VM is gone; Esc goes back"}
	}
	vm := m.seen.VMs[i]
	text := written(func(w *ui.Writer) {
		w.Field(10, "past", m.past.line(vm.UUID, remembers))
		if len(vm.Culprits) > 0 {
			w.Table([]ui.Column{{Title: "WAITS BEHIND"}, {Title: "SHARE", Right: true}, {Title: ""}}, culpritRows(vm.Culprits))
			w.Line("")
		}
		vmText(w, vm, m.seen.Head)
	})
	lines := strings.Split(text, "\n")
	m.scroll = max(min(m.scroll, len(lines)-m.room()), 0)
	return lines[m.scroll:]
}

func culpritRows(culprits []api.Culprit) (rows [][]ui.Cell) {
	for _, c := range culprits {
		who := c.VM
		if c.Task != "" {
			who = "host task " + c.Task
		}
		bar := strings.Repeat("#", int(min(max(c.ShareRatio, 0), 1)*barWidth+0.5))
		rows = append(rows, []ui.Cell{ui.Text(who), ui.Text(ui.Percent(c.ShareRatio)), ui.Text(bar)})
	}
	return rows
}
