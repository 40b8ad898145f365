package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// story tells what is new about moves.
type story struct {
	say  func(format string, args ...any)
	told map[string]string // move → what was said of it last
}

func newStory(say func(string, ...any)) *story { return &story{say, map[string]string{}} }

func (st *story) tell(moves []api.Move) {
	for _, m := range slices.Backward(moves) {
		if _, known := st.told[m.ID]; !known {
			st.say("%s %s -> %s: %s", m.VM, m.Source, m.Target, m.Reason)
		}
		news := string(m.State)
		switch {
		case m.State == cluster.MoveRunning && m.Progress.TotalBytes > 0:
			news = fmt.Sprintf("running %3.0f %%, %d MiB left", m.Progress.Ratio*100, m.Progress.RemainingBytes>>20)
		case m.State == cluster.MoveDone && m.DowntimeMS != nil:
			news = fmt.Sprintf("done, downtime %.0f ms: %s", *m.DowntimeMS, m.Why)
		case m.Why != "":
			news += ": " + m.Why
		}
		if m.Verdict != "" {
			news = string(m.Verdict) + ": " + m.Why
		}
		if st.told[m.ID] != news {
			st.say("%s %s %s", m.ID, m.VM, news)
			st.told[m.ID] = news
		}
	}
}

// settled says whether no move is live any more.
func settled(moves []api.Move) bool {
	return !slices.ContainsFunc(moves, func(m api.Move) bool { return m.State.Live() })
}

// byHost lists the guests that have their QEMU on each hypervisor alone.
func (s *show) byHost() map[string][]string {
	out := map[string][]string{}
	for _, g := range s.drill.Lab.Guests() {
		if hosts := s.drill.Lab.GuestHosts(g.Name); len(hosts) == 1 {
			out[hosts[0]] = append(out[hosts[0]], g.Name)
		}
	}
	return out
}

func (s *show) balanced() bool {
	at := s.byHost()
	return len(at["hv1"]) == 2 && len(at["hv2"]) == 2
}

// picture is the fleet on one line: who is where and waits how much.
func (s *show) picture(steal map[string]float64) string {
	at := s.byHost()
	var hosts []string
	for _, h := range []string{"hv1", "hv2"} {
		guests := []string{}
		for _, g := range at[h] {
			figure := "  -  "
			if v, ok := steal[g]; ok {
				figure = fmt.Sprintf("%3.0f %%", v*100)
			}
			guests = append(guests, g+" "+figure)
		}
		if len(guests) == 0 {
			guests = []string{"idle"}
		}
		hosts = append(hosts, fmt.Sprintf("%s [ %s ]", h, strings.Join(guests, "  ")))
	}
	return "steal  " + strings.Join(hosts, "  ")
}
