package metrics

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// gather looks at everything once.
func (s *Server) gather(ctx context.Context) gathering {
	g := gathering{}
	state, _ := s.cfg.Replica.State()
	health := s.cfg.Replica.Health()
	now := max(state.Now, cluster.TimeOf(s.cfg.Now()))
	g.add("evenkeel_build_info", 1, s.cfg.Version, runtime.Version())
	g.flag("evenkeel_healthy", unhealthy(health) == "")
	if s.cfg.CertExpires != nil {
		g.add("evenkeel_cert_expiry_timestamp_seconds", float64(s.cfg.CertExpires().Unix()))
	}
	g.raft(health)
	g.cluster(state, now)
	for result, n := range s.ended.count(state) {
		g.add("evenkeel_migrations_total", float64(n), string(result))
	}
	sortSamples(g["evenkeel_migrations_total"])
	g.host(state, s.cfg.Member, now)
	s.domains(ctx, g)
	return g
}

func (g gathering) raft(h consensus.Health) {
	g.flag("evenkeel_raft_is_leader", h.Part == "leader")
	g.flag("evenkeel_raft_has_leader", h.Leader != "")
	g.add("evenkeel_raft_term", float64(h.Term))
	g.add("evenkeel_raft_last_index", float64(h.LastIndex))
	g.add("evenkeel_raft_commit_index", float64(h.CommitIndex))
	g.add("evenkeel_raft_applied_index", float64(h.AppliedIndex))
	g.add("evenkeel_raft_peers", float64(len(h.Voters)+len(h.Nonvoters)))
	g.add("evenkeel_raft_voters", float64(len(h.Voters)))
	g.add("evenkeel_raft_failure_tolerance", float64(max(len(h.Voters)-1, 0)/2))
	if h.Contact >= 0 {
		g.add("evenkeel_raft_last_contact_seconds", h.Contact.Seconds())
	}
	g.add("evenkeel_raft_leader_changes_total", float64(h.LeaderChanges))
	g.add("evenkeel_raft_append_seconds", h.AppendLatency.Seconds())
	g.add("evenkeel_raft_stalled_seconds", h.Stalled.Seconds())
	g.flag("evenkeel_raft_unfit", h.Unfit != "")
	g.flag("evenkeel_raft_halted", h.Halted != "")
}

func (g gathering) cluster(s cluster.State, now cluster.Time) {
	g.add("evenkeel_snapshots_applied_total", float64(s.Accepted))
	g.add("evenkeel_snapshots_refused_total", float64(s.Rejected))
	for id, h := range s.Hosts() {
		if beat, ok := h.Last(); ok {
			g.add("evenkeel_snapshot_age_seconds", max(now.Sub(beat.At), 0).Seconds(), s.HostName(id))
		}
	}
	g.add("evenkeel_decisions_total", float64(s.LastDecision))
	live := 0
	for range s.Live() {
		live++
	}
	g.add("evenkeel_migrations_in_progress", float64(live))
	for _, m := range []cluster.Mode{cluster.ModeOff, cluster.ModeRecommend, cluster.ModeAuto} {
		g.flag("evenkeel_automation_mode", s.Mode == m, string(m))
	}
	until := 0.0
	if s.Paused.Until > now {
		until = float64(s.Paused.Until.Std().UnixMilli()) / 1000
	}
	g.add("evenkeel_automation_paused_until_timestamp_seconds", until)
	f := s.Frozen
	g.flag("evenkeel_automation_frozen", f.Since != 0 && (f.Until == 0 || f.Until > now))
}

// host tells of this host what its newest snapshot in the State says; nothing
// if that is no longer about the present.
func (g gathering) host(s cluster.State, member string, now cluster.Time) {
	h, ok := s.Host(member)
	if !ok || !h.Fresh(now) {
		return
	}
	beat, _ := h.Last()
	load := beat.Load
	g.flag("evenkeel_probe_up", load.Source.Causes(), "runqueue")
	if load.Source != cluster.SourceNone {
		g.add("evenkeel_host_steal_ratio", load.Steal.Float())
		g.add("evenkeel_host_steal_max_ratio", load.StealMax.Float())
		g.add("evenkeel_host_contention_ratio", load.Contention.Float())
	}
	if p := load.Pressure; p != nil {
		for _, r := range []struct {
			resource, kind string
			ratio          cluster.Ratio
		}{{"cpu", "some", p.CPUSome}, {"memory", "some", p.MemorySome}, {"memory", "full", p.MemoryFull}, {"io", "some", p.IOSome}, {"io", "full", p.IOFull}} {
			g.add("evenkeel_host_pressure_ratio", r.ratio.Float(), r.resource, r.kind)
		}
	}
}

// domains tells what this host counts of its VMs, read now.
func (s *Server) domains(ctx context.Context, g gathering) {
	if s.cfg.Local == nil {
		return
	}
	vms, err := s.cfg.Local.VMs(ctx)
	g.flag("evenkeel_counters_up", err == nil)
	seen := map[string]bool{}
	for _, vm := range vms {
		if seen[vm.Name] {
			continue // one series twice would make Prometheus refuse the whole page
		}
		seen[vm.Name] = true
		g.domain(vm)
	}
}

func (g gathering) domain(vm api.LocalVM) {
	g.add("evenkeel_domain_info", 1, vm.Name, vm.UUID, vm.Source)
	g.add("evenkeel_domain_run_seconds_total", inSeconds(vm.RunNS), vm.Name)
	g.add("evenkeel_domain_steal_seconds_total", inSeconds(vm.WaitNS), vm.Name)
	g.add("evenkeel_domain_waits_total", float64(vm.Waits), vm.Name)
	for metric, by := range map[string]map[string]uint64{
		"evenkeel_domain_wait_seconds_total":        vm.CauseNS,
		"evenkeel_domain_thread_run_seconds_total":  vm.RoleRunNS,
		"evenkeel_domain_thread_wait_seconds_total": vm.RoleWaitNS,
	} {
		for _, label := range sortedKeys(by) {
			g.add(metric, inSeconds(by[label]), vm.Name, label)
		}
	}
}

func inSeconds(ns uint64) float64 { return float64(ns) / float64(time.Second) }

func sortedKeys(m map[string]uint64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func sortSamples(list []sample) {
	slices.SortFunc(list, func(a, b sample) int { return slices.Compare(a.labels, b.labels) })
}
