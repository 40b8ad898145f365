package lab

import (
	"errors"
	"os"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/heartbeat"
)

// Status is what a lab looks like from outside: it asks no daemon, so it
// answers also when they hang.
type Status struct {
	Name      string        `json:"name"`
	StateDir  string        `json:"state_dir"`
	Building  bool          `json:"building"` // Up has not ended, or died
	ClusterID string        `json:"cluster_id,omitempty"`
	CreatedAt time.Time     `json:"created_at"`
	Hosts     []HostStatus  `json:"hosts"`
	Guests    []GuestStatus `json:"guests"`
}

// HostStatus is one host. A process id of zero: it does not run.
type HostStatus struct {
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	Address  string   `json:"address"`
	CPUs     string   `json:"cpus"`
	Up       bool     `json:"up"` // its namespaces exist
	Libvirtd int      `json:"libvirtd_pid"`
	Agent    int      `json:"agent_pid"`
	Guests   []string `json:"guests"`
}

// GuestStatus is one guest.
type GuestStatus struct {
	Name  string   `json:"name"`
	UUID  string   `json:"uuid"`
	Hosts []string `json:"hosts"` // where it has a QEMU process; two while it migrates
	VCPUs int      `json:"vcpus"`
	Load  string   `json:"load"`
	Beats int      `json:"heartbeats"`
	Boots int      `json:"boots"`
	// Missing counts heartbeats that never came.
	Missing uint64 `json:"heartbeats_missing"`
	// LongestGap is between two heartbeats, by the guest's clock.
	LongestGap time.Duration `json:"longest_gap_ns"`
	// Age is since the serial log last grew; null before the first heartbeat.
	Age *time.Duration `json:"heartbeat_age_ns"`
	// Work is what the guest has finished since it booted, in its own units.
	Work  uint64 `json:"work"`
	Error string `json:"error,omitempty"` // why the heartbeats cannot be read
}

// Status looks at the lab.
func (l *Lab) Status() Status {
	m := l.manifestCopy()
	s := Status{Name: m.Name, StateDir: l.dir, Building: m.Building, CreatedAt: m.CreatedAt, Hosts: []HostStatus{}, Guests: []GuestStatus{}}
	if m.Agents {
		s.ClusterID = m.ClusterID
	}
	residents := map[string][]string{}
	for _, g := range m.Guests {
		status := l.guestStatus(g)
		for _, host := range status.Hosts {
			residents[host] = append(residents[host], g.Name)
		}
		s.Guests = append(s.Guests, status)
	}
	for _, h := range m.Hosts {
		s.Hosts = append(s.Hosts, HostStatus{
			Name: h.Name, Role: h.Role, Address: h.Address, CPUs: h.CPUs, Up: h.Holder.Alive(),
			Libvirtd: pidIfAlive(h.Libvirtd), Agent: pidIfAlive(h.Agent), Guests: append([]string{}, residents[h.Name]...),
		})
	}
	return s
}

func (l *Lab) guestStatus(g GuestState) GuestStatus {
	s := GuestStatus{Name: g.Name, UUID: g.UUID, Hosts: append([]string{}, l.GuestHosts(g.Name)...), VCPUs: g.VCPUs, Load: g.Load}
	beats, err := l.Heartbeats(g.Name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Error = err.Error()
	}
	if len(beats) == 0 {
		return s
	}
	report := heartbeat.Judge(beats)
	s.Beats, s.Boots, s.Missing, s.LongestGap = report.Beats, report.Boots, report.Missing, report.LongestGap
	s.Work = beats[len(beats)-1].Work
	if info, err := os.Stat(l.SerialLog(g.Name)); err == nil {
		age := max(0, time.Since(info.ModTime()))
		s.Age = &age
	}
	return s
}

func pidIfAlive(p Process) int {
	if p.Alive() {
		return p.PID
	}
	return 0
}
