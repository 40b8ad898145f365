package cluster

import (
	"slices"
	"strings"
	"time"
)

// Settings is the policy that the whole cluster shares: it lives in the
// State, so hosts cannot drift apart.
type Settings struct {
	Policy  string  `json:"policy"`  // one of Policies, or off
	Profile Profile `json:"profile"` // how long an excess must last

	Enter Ratio `json:"enter"` // pain above which a host's excess accumulates
	Exit  Ratio `json:"exit"`  // pain below which the excess is forgotten

	MinGain  Ratio         `json:"min_gain"` // a move must lower the worst predicted pain, or the moved VM's, by this much
	Cooldown time.Duration `json:"cooldown"` // a moved VM stays where it is for this long

	PerHost    int `json:"per_host"`    // moves in flight that touch one host
	PerCluster int `json:"per_cluster"` // moves in flight
	PerHour    int `json:"per_hour"`    // automatic moves ordered within an hour
	PerDay     int `json:"per_day"`     // automatic moves ordered within a day

	ClaimWithin time.Duration `json:"claim_within"` // an order's deadline, from its decision
	StartWindow time.Duration `json:"start_window"`
	MoveBudget  time.Duration `json:"move_budget"`
	// Bandwidth caps each migration's stream; 0: see [Settings.Limit].
	Bandwidth BytesPerSecond `json:"bandwidth"`
	// MaxDowntime is how long a VM may stand still at its switch-over: pre-copy
	// goes on until what is left fits in; 0 leaves it to QEMU, which takes 300 ms.
	MaxDowntime time.Duration `json:"max_downtime,omitempty"`
	// AutoConverge lets QEMU slow a VM's vCPUs down, by 20 % and then more, while
	// it changes its memory faster than that is copied.
	AutoConverge bool `json:"auto_converge,omitempty"`
	// PostCopy has a VM that has not converged in half its migration's budget run
	// on at the target, which fetches the rest while it runs. A link that is lost
	// then ends the VM.
	PostCopy bool `json:"post_copy,omitempty"`
	// Parallel is over how many connections a migration's memory goes at once; 0
	// and 1: over one. One connection is bound by one CPU's encryption.
	Parallel int `json:"parallel,omitempty"`
	// Definitions says where a persistent VM stays defined when it moves; "" is
	// DefinitionsFollow.
	Definitions Definitions `json:"definitions,omitempty"`
	// EvidenceWithin is how long an end may be silent after the job ended
	// before the outcome is called unknown.
	EvidenceWithin time.Duration `json:"evidence_within"`
	Settle         time.Duration `json:"settle"`  // from a move's end to its verification
	WarmUp         time.Duration `json:"warm_up"` // a new leader watches this long before it decides

	FreezeAfter   int           `json:"freeze_after"`   // failed or unknown moves within FreezeWindow that freeze automation
	FreezeWindow  time.Duration `json:"freeze_window"`  //
	FreezeSilent  Ratio         `json:"freeze_silent"`  // share of hypervisors silent above which nothing moves
	AllowUnlocked bool          `json:"allow_unlocked"` // move VMs whose disks have no lock
	// ArrivePaused moves VMs whose disks have no lock as well, but has them
	// arrive paused, see [Move.Arrived].
	ArrivePaused bool `json:"arrive_paused,omitempty"`
	// Chains lets evenkeel move a VM that does not suffer so that one that does
	// finds room, where no single move helps.
	Chains bool `json:"chains,omitempty"`
	// AllowUnsafe has libvirt migrate also where it takes a disk's cache mode for a
	// danger to what the guest wrote (virsh's --unsafe).
	AllowUnsafe bool `json:"allow_unsafe,omitempty"`
	// AutoUndo takes back, once, a move of evenkeel's own that made things worse;
	// else that is only recommended.
	AutoUndo bool `json:"auto_undo,omitempty"`
	// CopyStorage says whether disks that only a VM's host has are copied along,
	// and what becomes of the old ones; "" is CopyStorageOff.
	CopyStorage CopyStorage `json:"copy_storage,omitempty"`

	// LargestVM and LongestMove bound what evenkeel moves by itself: the memory,
	// and the predicted time. 0: no bound.
	LargestVM   Bytes         `json:"largest_vm,omitempty"`
	LongestMove time.Duration `json:"longest_move,omitempty"`

	// What a VM may be made to bear within a day by moves that nobody asked for,
	// see VMRule. 0: no bound.
	VMMovesPerDay    int           `json:"vm_moves_per_day,omitempty"`
	VMDowntimePerDay time.Duration `json:"vm_downtime_per_day,omitempty"`

	// FailoverHosts is how many hosts may fail at once so that their VMs still
	// find memory on the others: automatic moves may not spend that room, see
	// [Failover]. 0: they may.
	FailoverHosts int `json:"failover_hosts,omitempty"`
	// MemoryRatio is how many times a host's memory its VMs' maxima may come to,
	// see [Settings.Admit]; 0: once.
	MemoryRatio Ratio `json:"memory_ratio,omitempty"`
	// Networks says what equal names of networks mean.
	Networks Networks `json:"networks,omitempty"`

	// Voters is how many members shall vote, 3 or 5; 0: three, and five from
	// five members on.
	Voters int `json:"voters,omitempty"`
}

// Policies are the ways to decide that a planner knows: demand is evenkeel's
// own, the others are baselines that it must beat.
var Policies = []string{"demand", "half-difference", "pairwise-random", "threshold"}

// Profile names how patient evenkeel is.
type Profile string

// The profiles. Steady: an excess must last three minutes. Fast: it fires
// after 3 s at twice the threshold, after 15 s at 1.2 times.
const (
	ProfileSteady Profile = "steady"
	ProfileFast   Profile = "fast"
)

// DefaultSettings are conservative: one move at a time, four an hour.
func DefaultSettings() Settings {
	return Settings{
		Policy: "demand", Profile: ProfileSteady,
		Enter: Percent(10), Exit: Percent(5), MinGain: Percent(2),
		Cooldown: 30 * time.Minute,
		PerHost:  1, PerCluster: 1, PerHour: 4, PerDay: 20,
		ClaimWithin: 30 * time.Second, StartWindow: 30 * time.Second, MoveBudget: 10 * time.Minute,
		EvidenceWithin: 30 * time.Second, Settle: 10 * time.Minute, WarmUp: 15 * time.Second,
		FreezeAfter: 3, FreezeWindow: time.Hour, FreezeSilent: Percent(34),
		LargestVM: 32 * GiB, LongestMove: time.Minute, FailoverHosts: 1,
	}
}

// Check refuses settings that contradict themselves or would be dangerous.
func (s Settings) Check() error {
	durations := []struct {
		name     string
		d        time.Duration
		min, max time.Duration
	}{
		{"cooldown", s.Cooldown, 0, 30 * 24 * time.Hour},
		{"claim_within", s.ClaimWithin, time.Second, 10 * time.Minute},
		{"start_window", s.StartWindow, time.Second, 10 * time.Minute},
		{"move_budget", s.MoveBudget, time.Second, 24 * time.Hour},
		{"evidence_within", s.EvidenceWithin, time.Second, 10 * time.Minute},
		{"settle", s.Settle, time.Second, 24 * time.Hour},
		{"warm_up", s.WarmUp, 0, 10 * time.Minute},
		{"longest_move", s.LongestMove, 0, 24 * time.Hour},
		{"freeze_window", s.FreezeWindow, time.Minute, 7 * 24 * time.Hour},
	}
	for _, d := range durations {
		if d.d < d.min || d.d > d.max {
			return refuse(CodeAbsurdFigure, "setting %s is %v, must lie between %v and %v", d.name, d.d, d.min, d.max)
		}
	}
	counts := []struct {
		name     string
		n        int
		min, max int
	}{
		{"per_host", s.PerHost, 1, 16},
		{"per_cluster", s.PerCluster, 1, 64},
		{"per_hour", s.PerHour, 1, 10_000},
		{"per_day", s.PerDay, 1, 100_000},
		{"freeze_after", s.FreezeAfter, 1, 1000},
		{"parallel", s.Parallel, 0, 16},
		{"failover_hosts", s.FailoverHosts, 0, MaxFailover},
	}
	for _, c := range counts {
		if c.n < c.min || c.n > c.max {
			return refuse(CodeAbsurdFigure, "setting %s is %d, must lie between %d and %d", c.name, c.n, c.min, c.max)
		}
	}
	if err := checkDisruption("setting vm_moves_per_day", s.VMMovesPerDay, "setting vm_downtime_per_day", s.VMDowntimePerDay); err != nil {
		return err
	}
	switch {
	case s.Policy != "off" && !slices.Contains(Policies, s.Policy):
		return refuse(CodeAbsurdFigure, "setting policy is %.40q, must be %s or off", s.Policy, strings.Join(Policies, ", "))
	case s.Profile != ProfileSteady && s.Profile != ProfileFast:
		return refuse(CodeAbsurdFigure, "setting profile is %.40q, must be steady or fast", s.Profile)
	case s.Voters != 0 && s.Voters != 3 && s.Voters != 5:
		return refuse(CodeAbsurdFigure, "setting voters is %d, must be 3 or 5, or 0 for what suits the number of members", s.Voters)
	case s.Enter <= 0 || s.Enter > Whole || s.Exit <= 0 || s.Exit > s.Enter:
		return refuse(CodeAbsurdFigure, "settings exit (%v) and enter (%v) must satisfy 0 < exit <= enter <= 100 %%", s.Exit, s.Enter)
	case s.Bandwidth != 0 && (s.Bandwidth < BytesPerSecond(MiB) || s.Bandwidth > BytesPerSecond(MaxMemory)):
		return refuse(CodeAbsurdFigure, "setting bandwidth is %d bytes/s, must be 0 or at least 1 MiB/s", s.Bandwidth)
	case s.MaxDowntime != 0 && (s.MaxDowntime < 10*time.Millisecond || s.MaxDowntime > time.Minute):
		return refuse(CodeAbsurdFigure, "setting max_downtime is %v, must be 0 or lie between 10ms and 1m", s.MaxDowntime)
	case s.PostCopy && s.Parallel > 1:
		return refuse(CodeAbsurdFigure, "settings post_copy and parallel (%d) exclude each other: QEMU has no post-copy over several connections", s.Parallel)
	case !s.Definitions.valid():
		return refuse(CodeAbsurdFigure, "setting definitions is %.40q, must be follow, everywhere or transient", s.Definitions)
	case !s.CopyStorage.valid():
		return refuse(CodeAbsurdFigure, "setting copy_storage is %.40q, must be off, keep or move", s.CopyStorage)
	case !s.Networks.valid():
		return refuse(CodeAbsurdFigure, "setting networks is %.40q, must be tested or stated", s.Networks)
	case s.MemoryRatio != 0 && (s.MemoryRatio < Whole || s.MemoryRatio > MaxMemoryRatio):
		return refuse(CodeAbsurdFigure, "setting memory_ratio is %v, must lie between 1 and %v", s.MemoryRatio.Float(), MaxMemoryRatio.Float())
	case s.LargestVM < 0 || s.LargestVM > MaxMemory:
		return refuse(CodeAbsurdFigure, "setting largest_vm is %d bytes, must lie between 0 and %v", s.LargestVM, MaxMemory)
	case s.MinGain < 0 || s.MinGain > Whole || s.FreezeSilent <= 0 || s.FreezeSilent > Whole:
		return refuse(CodeAbsurdFigure, "settings min_gain (%v) and freeze_silent (%v) must lie within 0..100 %%", s.MinGain, s.FreezeSilent)
	}
	return nil
}

// Seats is how many of the given number of members shall be in the Raft group.
// Three voters bear one loss and cost least disk; from five members on, five
// are to be had and bear two.
func (s Settings) Seats(members int) int {
	want := s.Voters
	if want == 0 {
		want = 3
		if members >= 5 {
			want = 5
		}
	}
	return min(want, members)
}

// Sustained is the accumulated excess at which a host is worth relieving.
func (s Settings) Sustained() time.Duration {
	if s.Profile == ProfileFast {
		return 3 * time.Second
	}
	return 3 * time.Minute
}

// SettleIn is how long a VM that has booted or come to a host is no reason to
// move anything: boots and caches that fill look like load, and pass. A fleet
// in a hurry takes what its first full window shows.
func (s Settings) SettleIn() time.Duration {
	if s.Profile == ProfileFast {
		return 0
	}
	return 15 * time.Minute
}

// excess is what an interval dt at a given pain adds to a host's accumulated
// excess. Steady counts time above the threshold. Fast weighs it by how far
// above: pain/enter − 1, at most 1, so that twice the threshold fires after
// 3 s and 1.2 times after 15 s.
func (s Settings) excess(pain Ratio, dt time.Duration) time.Duration {
	if pain <= s.Enter {
		return 0
	}
	if s.Profile == ProfileSteady {
		return dt
	}
	over := min(pain-s.Enter, s.Enter)
	return time.Duration(int64(dt) / 1000 * int64(over) / int64(s.Enter) * 1000)
}
