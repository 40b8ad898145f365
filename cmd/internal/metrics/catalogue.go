package metrics

// Metric is a metric's name and what it means.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
	// Buckets of a histogram, by their upper bounds.
	Buckets []float64
}

const (
	counter = "counter"
	gauge   = "gauge"

	histogram = "histogram"
)

// Catalogue lists every metric in the order in which they are printed. Units
// are base units and stand in the names. A VM is the label domain, as in the
// exporters of libvirt.
var Catalogue = []Metric{
	{"evenkeel_build_info", gauge, []string{"version", "goversion"}, "1, with the version of the binary.", nil},
	{"evenkeel_healthy", gauge, nil, "1 if the replica has a part in a cluster with a leader; what /healthz says.", nil},
	{"evenkeel_cert_expiry_timestamp_seconds", gauge, nil, "When this member's certificate expires.", nil},

	{"evenkeel_raft_is_leader", gauge, nil, "1 if this member leads.", nil},
	{"evenkeel_raft_has_leader", gauge, nil, "1 if this member knows a leader.", nil},
	{"evenkeel_raft_term", gauge, nil, "Raft's term.", nil},
	{"evenkeel_raft_last_index", gauge, nil, "Newest entry in this member's log.", nil},
	{"evenkeel_raft_commit_index", gauge, nil, "Newest entry that this member knows to be committed.", nil},
	{"evenkeel_raft_applied_index", gauge, nil, "Newest entry that this replica has applied.", nil},
	{"evenkeel_raft_peers", gauge, nil, "Members of the Raft group: voters and those that vote next.", nil},
	{"evenkeel_raft_voters", gauge, nil, "Voters of the Raft group.", nil},
	{"evenkeel_raft_failure_tolerance", gauge, nil, "Voters that may be lost, while all of them answer, before nothing can be decided.", nil},
	{"evenkeel_raft_last_contact_seconds", gauge, nil, "Since this member last heard of the leader; 0 at the leader, absent if it never has.", nil},
	{"evenkeel_raft_leader_changes_total", counter, nil, "Changes of leader that this member saw since its start.", nil},
	{"evenkeel_raft_append_seconds", gauge, nil, "Duration of the last append to the log, or of one that hangs.", nil},
	{"evenkeel_raft_stalled_seconds", gauge, nil, "At the leader: for how long no majority has stored its newest entries.", nil},
	{"evenkeel_raft_follower_lag_entries", gauge, []string{"host"}, "At the leader: entries that the log of another member with a seat lacks, when it was last asked.", nil},
	{"evenkeel_raft_follower_last_contact_seconds", gauge, []string{"host"}, "At the leader: since that member last heard of it, or since it last answered.", nil},
	{"evenkeel_raft_unfit", gauge, nil, "1 if this member has cut itself off because its disk hangs or refuses.", nil},
	{"evenkeel_raft_halted", gauge, nil, "1 if this replica has stopped applying.", nil},

	{"evenkeel_snapshots_applied_total", counter, nil, "Load snapshots that the cluster has accepted.", nil},
	{"evenkeel_snapshots_refused_total", counter, nil, "Load snapshots that the cluster has refused.", nil},
	{"evenkeel_snapshot_age_seconds", gauge, []string{"host"}, "Age of the newest load snapshot of a host.", nil},
	{"evenkeel_evaluations_total", counter, []string{"result"}, "Evaluations of the fleet by what came of them, since this member started, or that the State remembered then.", nil},
	{"evenkeel_decisions_total", counter, []string{"trigger"}, "Decisions recorded, likewise; like evaluations that move nothing are one decision.", nil},
	{"evenkeel_candidates_rejected_total", counter, []string{"code"}, "Moves that recorded decisions looked at and refused, by code, likewise.", nil},
	{"evenkeel_migrations_total", counter, []string{"result"}, "Migrations that have ended, likewise.", nil},
	{"evenkeel_migration_duration_seconds", histogram, nil, "From libvirt's call to the end of its job, of migrations that are done.", []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800}},
	{"evenkeel_migration_downtime_seconds", histogram, nil, "In which neither copy of the VM ran, of migrations that are done.", []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10}},
	{"evenkeel_migration_transferred_bytes_total", counter, nil, "Memory that migrations have copied.", nil},
	{"evenkeel_prediction_error_ratio", histogram, []string{"figure"}, "How far predictions of verified moves were off: of contention in shares of wall time, of duration, downtime, bytes, run-queue latency and memory in parts of what was measured.", []float64{0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2}},
	{"evenkeel_migrations_in_progress", gauge, nil, "Moves that are ordered, claimed, running or unknown.", nil},
	{"evenkeel_migrations_unresolved", gauge, nil, "Those whose outcome is unknown: their VMs are left alone until evidence comes or a person resolves them.", nil},
	{"evenkeel_migration_age_max_seconds", gauge, nil, "Since the oldest of the others was ordered; 0 if there is none.", nil},
	{"evenkeel_migrations_returned_total", counter, nil, "Migrations by evenkeel itself that brought a VM back to a host that it had left within the day before, likewise.", nil},
	{"evenkeel_automation_mode", gauge, []string{"mode"}, "1 for the mode that the operator chose.", nil},
	{"evenkeel_automation_paused_until_timestamp_seconds", gauge, nil, "When a pause ends; 0 if there is none.", nil},
	{"evenkeel_automation_frozen", gauge, nil, "1 if evenkeel has stopped itself.", nil},
	{"evenkeel_cluster_failover_reserve_hosts", gauge, nil, "Hosts that may fail at once so that all their VMs find memory on the others, at most 8; absent of one host alone, and while none could take VMs.", nil},
	{"evenkeel_cluster_failover_lacking_bytes", gauge, nil, "Memory that the worst loss of as many hosts as failover_hosts says, or of one, lacks for its VMs; likewise.", nil},
	{"evenkeel_cluster_clock_skew_seconds", gauge, nil, "The cluster's clock less the median of the hosts'; beyond 5 s nothing is ordered.", nil},
	{"evenkeel_webhook_active", gauge, []string{"webhook"}, "1 if this member leads and delivers events to the receiver.", nil},
	{"evenkeel_webhook_failing", gauge, []string{"webhook"}, "1 if the last attempt at a delivery failed.", nil},
	{"evenkeel_webhook_events_delivered_total", counter, []string{"webhook"}, "Events that this member has delivered.", nil},
	{"evenkeel_webhook_events_dropped_total", counter, []string{"webhook"}, "Events that this member has given up: too old, and not taken.", nil},
	{"evenkeel_webhook_attempts_failed_total", counter, []string{"webhook"}, "Attempts at a delivery that failed.", nil},
	{"evenkeel_webhook_gaps_total", counter, []string{"webhook"}, "Stretches of the log whose events were not remembered, and not delivered.", nil},

	{"evenkeel_host_info", gauge, []string{"host", "member", "role", "zone", "processor"}, "1, with who this member is.", nil},
	{"evenkeel_host_state", gauge, []string{"state"}, "1 for this hypervisor's state as the cluster sees it.", nil},
	{"evenkeel_host_vms", gauge, nil, "VMs on this host.", nil},
	{"evenkeel_libvirt_up", gauge, nil, "1 if libvirt answers on this host.", nil},
	{"evenkeel_host_steal_ratio", gauge, nil, "Share of wall time in which this host's vCPUs were runnable and did not run, over its window.", nil},
	{"evenkeel_host_steal_max_ratio", gauge, nil, "The same of the worst vCPU.", nil},
	{"evenkeel_host_contention_ratio", gauge, nil, "The part of steal that is others' doing.", nil},
	{"evenkeel_host_pressure_ratio", gauge, []string{"resource", "kind"}, "Pressure stall information of the kernel.", nil},
	{"evenkeel_host_book_error_ratio", gauge, nil, "Difference between what the probe and the kernel's own accounts say that vCPUs waited, of the worst one.", nil},
	{"evenkeel_probe_up", gauge, []string{"probe"}, "1 if waits (runqueue) or block I/O (block) are measured by the eBPF probe, 0 if by the kernel's sums or by QEMU.", nil},
	{"evenkeel_probe_lost_events", gauge, nil, "Events that the probe dropped in this host's window.", nil},
	{"evenkeel_probe_runs_total", counter, []string{"probe"}, "Runs of the probe since it was loaded; absent, as the others of its kind, while it is not.", nil},
	{"evenkeel_probe_run_seconds_total", counter, []string{"probe"}, "What those runs took, by the one in 1,024 that the probe times itself; without the kernel's way into it.", nil},
	{"evenkeel_probe_runs_missed_total", counter, []string{"probe"}, "Runs that the kernel left out as recursion; 0 where it does not say.", nil},
	{"evenkeel_probe_events_lost_total", counter, []string{"probe"}, "Events that the probe saw and could not use.", nil},
	{"evenkeel_counters_up", gauge, nil, "1 if this host's live counters could be read.", nil},

	{"evenkeel_domain_info", gauge, []string{"domain", "uuid", "source"}, "1, with a VM's UUID and what measures it.", nil},
	{"evenkeel_domain_run_seconds_total", counter, []string{"domain"}, "Time in which the VM's vCPUs ran.", nil},
	{"evenkeel_domain_steal_seconds_total", counter, []string{"domain"}, "Time in which the VM's vCPUs were runnable and did not run.", nil},
	{"evenkeel_domain_waits_total", counter, []string{"domain"}, "Waits of the VM's vCPUs for a CPU.", nil},
	{"evenkeel_domain_wait_seconds_total", counter, []string{"domain", "cause"}, "Ended waits of the VM's vCPUs by cause; absent where the source knows none.", nil},
	{"evenkeel_domain_block_requests_total", counter, []string{"domain", "operation"}, "Block requests of the VM that have ended; absent, as the others of its kind, where the kernel counts none.", nil},
	{"evenkeel_domain_block_errors_total", counter, []string{"domain", "operation"}, "Those that ended in an error.", nil},
	{"evenkeel_domain_block_bytes_total", counter, []string{"domain", "operation"}, "What they read or wrote.", nil},
	{"evenkeel_domain_block_seconds_total", counter, []string{"domain", "operation", "stage"}, "What they took: queue is before they were issued to the device, device from then on.", nil},
	{"evenkeel_domain_thread_run_seconds_total", counter, []string{"domain", "role"}, "Time in which the VM's threads ran, by what they do; absent where the source does not tell.", nil},
	{"evenkeel_domain_thread_wait_seconds_total", counter, []string{"domain", "role"}, "Time in which the VM's threads waited for a CPU, by what they do; likewise.", nil},
}
