package metrics

// Metric is a metric's name and what it means.
type Metric struct {
	Name   string
	Type   string // counter or gauge
	Labels []string
	Help   string
}

const (
	counter = "counter"
	gauge   = "gauge"
)

// Catalogue lists every metric in the order in which they are printed. Units
// are base units and stand in the names. A VM is the label domain, as in the
// exporters of libvirt.
var Catalogue = []Metric{
	{"evenkeel_build_info", gauge, []string{"version", "goversion"}, "1, with the version of the binary."},
	{"evenkeel_healthy", gauge, nil, "1 if the replica has a part in a cluster with a leader; what /healthz says."},
	{"evenkeel_cert_expiry_timestamp_seconds", gauge, nil, "When this member's certificate expires."},

	{"evenkeel_raft_is_leader", gauge, nil, "1 if this member leads."},
	{"evenkeel_raft_has_leader", gauge, nil, "1 if this member knows a leader."},
	{"evenkeel_raft_term", gauge, nil, "Raft's term."},
	{"evenkeel_raft_last_index", gauge, nil, "Newest entry in this member's log."},
	{"evenkeel_raft_commit_index", gauge, nil, "Newest entry that this member knows to be committed."},
	{"evenkeel_raft_applied_index", gauge, nil, "Newest entry that this replica has applied."},
	{"evenkeel_raft_peers", gauge, nil, "Members of the Raft group: voters and those that vote next."},
	{"evenkeel_raft_voters", gauge, nil, "Voters of the Raft group."},
	{"evenkeel_raft_failure_tolerance", gauge, nil, "Voters that may be lost, while all of them answer, before nothing can be decided."},
	{"evenkeel_raft_last_contact_seconds", gauge, nil, "Since this member last heard of the leader; 0 at the leader, absent if it never has."},
	{"evenkeel_raft_leader_changes_total", counter, nil, "Changes of leader that this member saw since its start."},
	{"evenkeel_raft_append_seconds", gauge, nil, "Duration of the last append to the log, or of one that hangs."},
	{"evenkeel_raft_stalled_seconds", gauge, nil, "At the leader: for how long no majority has stored its newest entries."},
	{"evenkeel_raft_unfit", gauge, nil, "1 if this member has cut itself off because its disk hangs or refuses."},
	{"evenkeel_raft_halted", gauge, nil, "1 if this replica has stopped applying."},

	{"evenkeel_snapshots_applied_total", counter, nil, "Load snapshots that the cluster has accepted."},
	{"evenkeel_snapshots_refused_total", counter, nil, "Load snapshots that the cluster has refused."},
	{"evenkeel_snapshot_age_seconds", gauge, []string{"host"}, "Age of the newest load snapshot of a host."},
	{"evenkeel_decisions_total", counter, nil, "Decisions that the cluster has recorded."},
	{"evenkeel_migrations_total", counter, []string{"result"}, "Migrations that have ended, since this member started, or that the State remembered then."},
	{"evenkeel_migrations_in_progress", gauge, nil, "Moves that are ordered, claimed, running or unknown."},
	{"evenkeel_automation_mode", gauge, []string{"mode"}, "1 for the mode that the operator chose."},
	{"evenkeel_automation_paused_until_timestamp_seconds", gauge, nil, "When a pause ends; 0 if there is none."},
	{"evenkeel_automation_frozen", gauge, nil, "1 if evenkeel has stopped itself."},

	{"evenkeel_host_steal_ratio", gauge, nil, "Share of wall time in which this host's vCPUs were runnable and did not run, over its window."},
	{"evenkeel_host_steal_max_ratio", gauge, nil, "The same of the worst vCPU."},
	{"evenkeel_host_contention_ratio", gauge, nil, "The part of steal that is others' doing."},
	{"evenkeel_host_pressure_ratio", gauge, []string{"resource", "kind"}, "Pressure stall information of the kernel."},
	{"evenkeel_probe_up", gauge, []string{"probe"}, "1 if waits are measured by the eBPF probe, 0 if by the kernel's sums."},
	{"evenkeel_counters_up", gauge, nil, "1 if this host's live counters could be read."},

	{"evenkeel_domain_info", gauge, []string{"domain", "uuid", "source"}, "1, with a VM's UUID and what measures it."},
	{"evenkeel_domain_run_seconds_total", counter, []string{"domain"}, "Time in which the VM's vCPUs ran."},
	{"evenkeel_domain_steal_seconds_total", counter, []string{"domain"}, "Time in which the VM's vCPUs were runnable and did not run."},
	{"evenkeel_domain_waits_total", counter, []string{"domain"}, "Waits of the VM's vCPUs for a CPU."},
	{"evenkeel_domain_wait_seconds_total", counter, []string{"domain", "cause"}, "Ended waits of the VM's vCPUs by cause; absent where the source knows none."},
	{"evenkeel_domain_thread_run_seconds_total", counter, []string{"domain", "role"}, "Time in which the VM's threads ran, by what they do; absent where the source does not tell."},
	{"evenkeel_domain_thread_wait_seconds_total", counter, []string{"domain", "role"}, "Time in which the VM's threads waited for a CPU, by what they do; likewise."},
}
