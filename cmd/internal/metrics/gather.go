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
	for _, f := range health.Followers {
		name := state.HostName(f.Member)
		g.add("evenkeel_raft_follower_lag_entries", float64(f.Behind), name)
		g.add("evenkeel_raft_follower_last_contact_seconds", f.Contact.Seconds(), name)
	}
	g.cluster(state, now)
	s.tally.count(state)
	if s.cfg.Webhooks != nil {
		g.webhooks(s.cfg.Webhooks())
	}
	g.host(state, s.cfg.Member, now)
	if s.cfg.Probes != nil {
		g.probes(s.cfg.Probes())
	}
	if s.cfg.Libvirt != nil {
		g.flag("evenkeel_libvirt_up", s.cfg.Libvirt())
	}
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
	g.moves(s, now)
	for _, m := range []cluster.Mode{cluster.ModeOff, cluster.ModeRecommend, cluster.ModeAuto} {
		g.flag("evenkeel_automation_mode", s.Mode == m, string(m))
	}
	until := 0.0
	if s.Paused.Until > now {
		until = float64(s.Paused.Until.Std().UnixMilli()) / 1000
	}
	g.add("evenkeel_automation_paused_until_timestamp_seconds", until)
	s.Now = max(s.Now, now)
	g.add("evenkeel_cluster_clock_skew_seconds", s.Skew().Seconds())
	if r := s.Standing(); r.Known {
		g.add("evenkeel_cluster_failover_reserve_hosts", float64(r.Stands))
		g.add("evenkeel_cluster_failover_lacking_bytes", float64(r.Lacks))
	}
	f := s.Frozen
	g.flag("evenkeel_automation_frozen", f.Since != 0 && (f.Until == 0 || f.Until > now))
}

// moves tells of those that are not over. One whose outcome is unknown waits for
// evidence or a person, not for time.
func (g gathering) moves(s cluster.State, now cluster.Time) {
	live, unknown, oldest := 0, 0, time.Duration(0)
	for m := range s.Live() {
		live++
		if m.State == cluster.MoveUnknown {
			unknown++
			continue
		}
		oldest = max(oldest, now.Sub(m.OrderedAt))
	}
	g.add("evenkeel_migrations_in_progress", float64(live))
	g.add("evenkeel_migrations_unresolved", float64(unknown))
	g.add("evenkeel_migration_age_max_seconds", oldest.Seconds())
}

func (g gathering) webhooks(list []api.Webhook) {
	for _, w := range list {
		g.flag("evenkeel_webhook_active", w.Active, w.Name)
		g.flag("evenkeel_webhook_failing", !w.FailingSince.IsZero(), w.Name)
		g.add("evenkeel_webhook_events_delivered_total", float64(w.Delivered), w.Name)
		g.add("evenkeel_webhook_events_dropped_total", float64(w.Dropped), w.Name)
		g.add("evenkeel_webhook_attempts_failed_total", float64(w.Failed), w.Name)
		g.add("evenkeel_webhook_gaps_total", float64(w.Gaps), w.Name)
	}
}

// host tells of this host what its newest snapshot in the State says; nothing
// if that is no longer about the present.
func (g gathering) host(s cluster.State, member string, now cluster.Time) {
	if m, known := s.Member(member); known {
		model := ""
		if m.Processor != nil {
			model = m.Processor.Model
		}
		g.add("evenkeel_host_info", 1, m.Name, m.ID, string(m.Role), m.Zone, model)
	}
	h, ok := s.Host(member)
	if !ok {
		return
	}
	state, _ := api.HealthOf(s, h, now)
	for _, one := range []api.HostState{api.HostOK, api.HostSuffering, api.HostSilent, api.HostUnmeasured} {
		g.flag("evenkeel_host_state", state == one, string(one))
	}
	if !h.Fresh(now) {
		return
	}
	beat, _ := h.Last()
	g.add("evenkeel_host_vms", float64(len(h.Inventory.VMs)))
	g.add("evenkeel_probe_lost_events", float64(beat.Load.Lost))
	load := beat.Load
	g.flag("evenkeel_probe_up", load.Source.Distribution(), "runqueue")
	if load.Source != cluster.SourceNone {
		g.add("evenkeel_host_steal_ratio", load.Steal.Float())
		g.add("evenkeel_host_steal_max_ratio", load.StealMax.Float())
		g.add("evenkeel_host_contention_ratio", load.Contention.Float())
		g.add("evenkeel_host_book_error_ratio", load.BookError.Float())
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

// probes tells what is in the kernel. Whether the scheduler's probe counts is
// said by the host's newest snapshot.
func (g gathering) probes(list []Probe) {
	block := false
	for _, p := range list {
		block = block || p.Name == blockProbe
		g.add("evenkeel_probe_runs_total", float64(p.Runs), p.Name)
		g.add("evenkeel_probe_run_seconds_total", p.Time.Seconds(), p.Name)
		g.add("evenkeel_probe_runs_missed_total", float64(p.Missed), p.Name)
		g.add("evenkeel_probe_events_lost_total", float64(p.Lost), p.Name)
	}
	g.flag("evenkeel_probe_up", block, blockProbe)
}

// blockProbe is the agent's name for it.
const blockProbe = "block"

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
	g.block(vm.Name, vm.Block)
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

// block tells a VM's block requests, where the kernel counts them.
func (g gathering) block(domain string, b *api.BlockCounters) {
	if b == nil {
		return
	}
	for metric, by := range map[string]map[string]uint64{
		"evenkeel_domain_block_requests_total": b.Requests,
		"evenkeel_domain_block_errors_total":   b.Errors,
		"evenkeel_domain_block_bytes_total":    b.Bytes,
	} {
		for _, operation := range sortedKeys(by) {
			g.add(metric, float64(by[operation]), domain, operation)
		}
	}
	for stage, by := range map[string]map[string]uint64{"queue": b.QueueNS, "device": b.DeviceNS} {
		for _, operation := range sortedKeys(by) {
			g.add("evenkeel_domain_block_seconds_total", inSeconds(by[operation]), domain, operation, stage)
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
