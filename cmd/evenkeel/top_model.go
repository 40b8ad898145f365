package main

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// level is how deep one looks.
type level int

const (
	levelHosts level = iota
	levelVMs         // of one host, or all
	levelVM
)

// topModel is what `evenkeel top` shows and where the reader is in it. It knows
// no clock and asks nobody: looks come as messages.
type topModel struct {
	every   time.Duration
	look    func() tea.Msg
	explain func(subject string) tea.Cmd
	past    *lookback

	width, height int

	seen   *api.Top // the newest look, nil before the first
	err    error    // why there is no newer one
	since  time.Time
	still  bool // the reader wants it to stand still
	orders [levelVM]order

	level  level
	host   string // name; "" for the VMs of all
	vm     string // UUID
	chosen [levelVM]string
	scroll int // first line of the VM's that is shown

	filter string
	typing bool
	page   *page // what covers the tables
}

// page is a text to read, such as the help.
type page struct {
	title string
	text  string
	from  int // first line that is shown
}

// lines are those of the text on a screen of a width.
func (p *page) lines(width int) []string {
	return strings.Split(ansi.Wrap(p.text, max(width, 20), " "), "\n")
}

// lookedMsg is a look, or why there is none.
type lookedMsg struct {
	top *api.Top
	err error
	at  time.Time
}

// explainedMsg is an explanation that was asked for.
type explainedMsg struct {
	subject, text string
	err           error
}

// againMsg says that it is time to look again.
type againMsg struct{}

func (m *topModel) Init() tea.Cmd { return m.look }

func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case lookedMsg:
		m.looked(msg)
		return m, tea.Tick(m.every, func(time.Time) tea.Msg { return againMsg{} })
	case againMsg:
		return m, m.look
	case explainedMsg:
		text := msg.text
		if msg.err != nil {
			text = msg.err.Error()
		}
		m.page = &page{title: "explain " + msg.subject, text: text}
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

// looked takes a look. What comes while the reader wants it to stand still is
// remembered for the lines, and not shown.
func (m *topModel) looked(msg lookedMsg) {
	if msg.err != nil {
		if m.err == nil {
			m.since = msg.at
		}
		m.err = msg.err
		return
	}
	m.err = nil
	m.past.take(msg.top)
	if m.seen == nil && len(msg.top.Hosts) == 1 { // alone: its VMs are what there is
		m.level, m.host = levelVMs, msg.top.Hosts[0].Name
	}
	if !m.still || m.seen == nil {
		m.seen = msg.top
	}
}

// press does what a key is for.
func (m *topModel) press(key tea.KeyPressMsg) tea.Cmd {
	if key.String() == "ctrl+c" {
		return tea.Quit
	}
	switch {
	case m.typing:
		m.typed(key)
		return nil
	case m.page != nil:
		m.page = m.page.press(key, m.room(), len(m.page.lines(m.width)))
		return nil
	}
	return m.act(key.String())
}

// typed takes what is typed into the filter.
func (m *topModel) typed(key tea.KeyPressMsg) {
	switch key.String() {
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.filter = false, ""
	case "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	default:
		if len(m.filter) < 80 {
			m.filter += key.Text
		}
	}
}

// act does what a key is for on the tables.
func (m *topModel) act(key string) tea.Cmd {
	switch key {
	case "q":
		return tea.Quit
	case "?", "h":
		m.page = &page{title: "help", text: topHelp}
	case "down", "j":
		m.step(1)
	case "up", "k":
		m.step(-1)
	case "pgdown":
		m.step(m.room() - 1)
	case "pgup":
		m.step(1 - m.room())
	case "home", "g":
		m.step(-1 << 30)
	case "end", "G":
		m.step(1 << 30)
	case "enter", "right", "l":
		m.enter()
	case "esc", "left", "backspace":
		m.leave()
	case "tab":
		m.turn()
	case "/":
		m.typing = m.level < levelVM
	case "s", "S":
		m.sort(key == "S")
	case "space":
		m.still = !m.still
	case "e":
		return m.ask()
	}
	return nil
}

// step moves the choice by lines.
func (m *topModel) step(by int) {
	if m.level == levelVM {
		m.scroll = max(m.scroll+by, 0)
		return
	}
	ids := m.ids()
	if len(ids) == 0 {
		return
	}
	m.chosen[m.level] = ids[min(max(m.line(ids)+by, 0), len(ids)-1)]
}

// line is the line of what is chosen: the first, if that is gone.
func (m *topModel) line(ids []string) int {
	return max(slices.Index(ids, m.chosen[m.level]), 0)
}

// choice is the id of what is chosen, "" if there is nothing.
func (m *topModel) choice() string {
	ids := m.ids()
	if len(ids) == 0 {
		return ""
	}
	return ids[m.line(ids)]
}

// enter goes one level deeper, into what is chosen.
func (m *topModel) enter() {
	id := m.choice()
	if id == "" {
		return
	}
	switch m.level {
	case levelHosts:
		for _, h := range m.seen.Hosts {
			if h.ID == id {
				m.host = h.Name
			}
		}
		m.level, m.filter, m.chosen[levelVMs] = levelVMs, "", ""
	case levelVMs:
		m.level, m.vm, m.scroll = levelVM, id, 0
	}
}

// leave takes a filter away, or goes one level up.
func (m *topModel) leave() {
	switch {
	case m.filter != "":
		m.filter = ""
	case m.level > levelHosts:
		m.level--
	}
}

// turn changes between the hosts and the VMs of all.
func (m *topModel) turn() {
	m.filter = ""
	if m.level == levelHosts {
		m.level, m.host, m.chosen[levelVMs] = levelVMs, "", ""
		return
	}
	m.level = levelHosts
}

// sort takes the next key, or the other direction.
func (m *topModel) sort(reverse bool) {
	switch {
	case m.level == levelVM:
	case reverse:
		m.orders[m.level].reverse = !m.orders[m.level].reverse
	default:
		n := len(topHosts.keys)
		if m.level == levelVMs {
			n = len(topVMs.keys)
		}
		m.orders[m.level] = order{key: (m.orders[m.level].key + 1) % n}
	}
}

// ask has what is chosen explained.
func (m *topModel) ask() tea.Cmd {
	subject := m.vm
	if m.level < levelVM {
		subject = m.choice()
	}
	if m.level == levelHosts && m.seen != nil {
		for _, h := range m.seen.Hosts {
			if h.ID == subject {
				subject = h.Name
			}
		}
	}
	if subject == "" {
		return nil
	}
	return m.explain(subject)
}

// hosts are the hosts that are listed, in order.
func (m *topModel) hosts() []api.Host {
	if m.seen == nil {
		return nil
	}
	listed := slices.DeleteFunc(slices.Clone(m.seen.Hosts), func(h api.Host) bool { return !m.matches(h.Name, string(h.State)) })
	return topHosts.sorted(listed, m.orders[levelHosts])
}

// vms are the VMs that are listed, in order.
func (m *topModel) vms() []api.VM {
	if m.seen == nil {
		return nil
	}
	listed := slices.DeleteFunc(slices.Clone(m.seen.VMs), func(vm api.VM) bool {
		return m.host != "" && vm.Host != m.host || !m.matches(vm.Name, vm.Host, string(vm.State), vm.UUID)
	})
	return topVMs.sorted(listed, m.orders[levelVMs])
}

// matches says whether one of some texts has the filter in it.
func (m *topModel) matches(texts ...string) bool {
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), strings.ToLower(m.filter)) })
}

// ids are the ids of what is listed.
func (m *topModel) ids() (ids []string) {
	switch m.level {
	case levelHosts:
		for _, h := range m.hosts() {
			ids = append(ids, h.ID)
		}
	case levelVMs:
		for _, vm := range m.vms() {
			ids = append(ids, vm.UUID)
		}
	}
	return ids
}

// press scrolls a page, or closes it.
func (p *page) press(key tea.KeyPressMsg, room, lines int) *page {
	switch key.String() {
	case "down", "j":
		p.from++
	case "up", "k":
		p.from--
	case "pgdown", "space":
		p.from += room
	case "pgup":
		p.from -= room
	case "home", "g":
		p.from = 0
	default:
		return nil
	}
	p.from = max(min(p.from, lines-room), 0)
	return p
}

const topHelp = `up down k j, PgUp PgDn, g G   choose, or scroll
Enter, right, l               look into what is chosen
Esc, left, Backspace          back
Tab                           hosts, or the VMs of all hosts
/                             filter by name, host, state or UUID; Esc takes it away
s, S                          sort by the next key; the other way round
Space                         stand still, go on
e                             explain what is chosen: what evenkeel thinks of it
q, Ctrl-C                     end

A line of blocks is what a VM, or the VMs of a host, suffered in the last looks,
oldest left: contention, the time in which it could have run and others did. The
heights begin at 1, 2, 5, 10, 20, 40, 60 and 80 % of time; ? is unknown.

Any other key closes this.`
