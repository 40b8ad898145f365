package api

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Knob is one setting: its name, what it means, how the JSON shows it and how
// a person writes it.
type Knob struct {
	Name    string
	Meaning string
	show    func(*cluster.Settings) any
	set     func(*cluster.Settings, string) error
	text    func(value any) string
}

// Text prints a value of the JSON as a person would write it.
func (k Knob) Text(value any) string { return k.text(value) }

// knobs are the settings, in the order in which `evenkeel policy show` prints
// them.
var knobs = []Knob{
	word("policy", "planner: "+strings.Join(cluster.Policies, ", ")+" or off", func(s *cluster.Settings) *string { return &s.Policy }),
	word("profile", "patience: steady (3 min) or fast (3 s at twice the threshold)", func(s *cluster.Settings) *cluster.Profile { return &s.Profile }),
	ratio("enter", "contention above which a host suffers", func(s *cluster.Settings) *cluster.Ratio { return &s.Enter }),
	ratio("exit", "contention below which its excess is forgotten", func(s *cluster.Settings) *cluster.Ratio { return &s.Exit }),
	ratio("min_gain", "by how much a move must lower the worst contention, or its VM's own", func(s *cluster.Settings) *cluster.Ratio { return &s.MinGain }),
	duration("cooldown", "how long a moved VM stays where it is", func(s *cluster.Settings) *time.Duration { return &s.Cooldown }),
	count("per_host", "moves in flight that touch one host", func(s *cluster.Settings) *int { return &s.PerHost }),
	count("per_cluster", "moves in flight", func(s *cluster.Settings) *int { return &s.PerCluster }),
	count("per_hour", "automatic moves within an hour", func(s *cluster.Settings) *int { return &s.PerHour }),
	count("per_day", "automatic moves within a day", func(s *cluster.Settings) *int { return &s.PerDay }),
	duration("claim_within", "an order's deadline", func(s *cluster.Settings) *time.Duration { return &s.ClaimWithin }),
	duration("start_window", "a source starts within this after it saw an order", func(s *cluster.Settings) *time.Duration { return &s.StartWindow }),
	duration("move_budget", "a migration that runs longer is aborted", func(s *cluster.Settings) *time.Duration { return &s.MoveBudget }),
	rate("bandwidth", "of each migration, bytes per second; 0: half of the slower of both hosts' links", func(s *cluster.Settings) *cluster.BytesPerSecond { return &s.Bandwidth }),
	duration("max_downtime", "standstill at a switch-over, until which memory is copied again; 0s: QEMU's 300 ms", func(s *cluster.Settings) *time.Duration { return &s.MaxDowntime }),
	toggle("auto_converge", "slow a VM down that changes its memory faster than it is copied", func(s *cluster.Settings) *bool { return &s.AutoConverge }),
	toggle("post_copy", "have a VM that has not converged by half its budget run on at the target before all of it is there; a link that is lost then ends it", func(s *cluster.Settings) *bool { return &s.PostCopy }),
	count("parallel", "connections that a migration's memory goes over at once; 0 and 1: one", func(s *cluster.Settings) *int { return &s.Parallel }),
	policyOf("definitions", "of a persistent VM that moves: follow it, everywhere (copies stay behind), or transient (at home only)", func(s *cluster.Settings) *cluster.Definitions { return &s.Definitions }, cluster.DefinitionsFollow),
	duration("evidence_within", "silence of an end after which an outcome is unknown", func(s *cluster.Settings) *time.Duration { return &s.EvidenceWithin }),
	duration("settle", "from a move's end to its verification", func(s *cluster.Settings) *time.Duration { return &s.Settle }),
	duration("warm_up", "a new leader watches so long before it decides", func(s *cluster.Settings) *time.Duration { return &s.WarmUp }),
	count("freeze_after", "failed or unknown moves that freeze automation", func(s *cluster.Settings) *int { return &s.FreezeAfter }),
	duration("freeze_window", "within which they are counted", func(s *cluster.Settings) *time.Duration { return &s.FreezeWindow }),
	ratio("freeze_silent", "share of silent hosts above which nothing moves", func(s *cluster.Settings) *cluster.Ratio { return &s.FreezeSilent }),
	toggle("allow_unlocked", "move VMs whose disks have no lock", func(s *cluster.Settings) *bool { return &s.AllowUnlocked }),
	toggle("arrive_paused", "move them too, paused until both ends prove that one copy is left", func(s *cluster.Settings) *bool { return &s.ArrivePaused }),
	toggle("chains", "where no single move helps, move a VM out of the way of one that suffers", func(s *cluster.Settings) *bool { return &s.Chains }),
	toggle("allow_unsafe", "move VMs also where libvirt takes a disk's cache mode for a danger (virsh migrate --unsafe)", func(s *cluster.Settings) *bool { return &s.AllowUnsafe }),
	toggle("auto_undo", "take a move back, once, that evenkeel made by itself and that made things worse", func(s *cluster.Settings) *bool { return &s.AutoUndo }),
	policyOf("copy_storage", "of disks that only a VM's host has: off (the VM stays), keep (copied, the old ones stay), move (and deleted at the source)", func(s *cluster.Settings) *cluster.CopyStorage { return &s.CopyStorage }, cluster.CopyStorageOff),
	size("largest_vm", "memory of a VM that evenkeel moves by itself; 0B: any", func(s *cluster.Settings) *cluster.Bytes { return &s.LargestVM }),
	duration("longest_move", "predicted time of a move that evenkeel begins by itself; 0s: any", func(s *cluster.Settings) *time.Duration { return &s.LongestMove }),
	count("vm_moves_per_day", "moves within a day after which evenkeel leaves a VM where it is; 0: any", func(s *cluster.Settings) *int { return &s.VMMovesPerDay }),
	duration("vm_downtime_per_day", "standstill within a day that moves may cost a VM; 0s: any", func(s *cluster.Settings) *time.Duration { return &s.VMDowntimePerDay }),
	count("failover_hosts", "hosts that may fail so that their VMs find memory on the others; 0: no such reserve", func(s *cluster.Settings) *int { return &s.FailoverHosts }),
	factor("memory_ratio", "how many times a host's memory its VMs' maxima may come to, 1 to 4; above 1 what they have in use must fit, too", func(s *cluster.Settings) *cluster.Ratio { return &s.MemoryRatio }),
	policyOf("networks", "what equal names of networks mean: nothing until a first move has tested it (tested), or the same network (stated)", func(s *cluster.Settings) *cluster.Networks { return &s.Networks }, cluster.NetworksTested),
	count("voters", "members that vote: 3 or 5; 0: 3, and 5 from five members on", func(s *cluster.Settings) *int { return &s.Voters }),
}

// Knobs lists the settings in their order.
func Knobs() []Knob { return slices.Clone(knobs) }

// SettingNames lists the settings in their order.
func SettingNames() []string {
	out := make([]string, len(knobs))
	for i, k := range knobs {
		out[i] = k.Name
	}
	return out
}

// turn returns the settings with the changes made. State.Apply judges them.
func turn(set cluster.Settings, changes map[string]string) (cluster.Settings, error) {
	names := make([]string, 0, len(changes))
	for name := range changes {
		names = append(names, name)
	}
	slices.Sort(names) // the same first error every time
	for _, name := range names {
		i := slices.IndexFunc(knobs, func(k Knob) bool { return k.Name == name })
		if i < 0 {
			return set, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("no setting %.40q; there are: %s", name, strings.Join(SettingNames(), ", ")))
		}
		if err := knobs[i].set(&set, changes[name]); err != nil {
			return set, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("setting %s: %w", name, err))
		}
	}
	return set, nil
}

func word[T ~string](name, meaning string, at func(*cluster.Settings) *T) Knob {
	return Knob{
		name, meaning, func(s *cluster.Settings) any { return string(*at(s)) },
		func(s *cluster.Settings, v string) error { *at(s) = T(v); return nil },
		plainText,
	}
}

// policyOf is a word that is usual as long as nobody chose another.
func policyOf[T ~string](name, meaning string, at func(*cluster.Settings) *T, usual T) Knob {
	k := word(name, meaning, at)
	k.show = func(s *cluster.Settings) any { return string(cmp.Or(*at(s), usual)) }
	k.set = func(s *cluster.Settings, v string) error {
		if *at(s) = T(v); T(v) == usual {
			*at(s) = ""
		}
		return nil
	}
	return k
}

func ratio(name, meaning string, at func(*cluster.Settings) *cluster.Ratio) Knob {
	return Knob{
		name, meaning, func(s *cluster.Settings) any { return at(s).Float() },
		func(s *cluster.Settings, v string) (err error) { *at(s), err = ParseRatio(v); return err },
		ratioText,
	}
}

// factor is a ratio that is 1 as long as nobody chose another.
func factor(name, meaning string, at func(*cluster.Settings) *cluster.Ratio) Knob {
	return Knob{
		name, meaning, func(s *cluster.Settings) any { return cmp.Or(*at(s), cluster.Whole).Float() },
		func(s *cluster.Settings, v string) error {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || !(f > 0 && f <= 1000) {
				return fmt.Errorf("%.40q is not a factor; write it like 1 or 1.5", v)
			}
			if *at(s) = cluster.Ratio(math.Round(f * 1e6)); *at(s) == cluster.Whole {
				*at(s) = 0
			}
			return nil
		},
		plainText,
	}
}

func duration(name, meaning string, at func(*cluster.Settings) *time.Duration) Knob {
	return Knob{
		name, meaning, func(s *cluster.Settings) any { return at(s).Seconds() },
		func(s *cluster.Settings, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil {
				return fmt.Errorf("%.40q is not a duration; write it like 30s or 10m", v)
			}
			*at(s) = d
			return nil
		},
		durationText,
	}
}

func count(name, meaning string, at func(*cluster.Settings) *int) Knob {
	return Knob{
		name, meaning, func(s *cluster.Settings) any { return *at(s) },
		func(s *cluster.Settings, v string) error {
			n, err := strconv.ParseInt(v, 10, 32)
			if err != nil {
				return fmt.Errorf("%.40q is not a whole number", v)
			}
			*at(s) = int(n)
			return nil
		},
		plainText,
	}
}

func rate(name, meaning string, at func(*cluster.Settings) *cluster.BytesPerSecond) Knob {
	return Knob{
		name, meaning, func(s *cluster.Settings) any { return int64(*at(s)) },
		func(s *cluster.Settings, v string) error {
			if v == "0" {
				*at(s) = 0
				return nil
			}
			n, err := config.ParseSize(strings.TrimSuffix(v, "/s"))
			if err != nil {
				return fmt.Errorf("%w; write it like 100MiB, or 0 for no limit", err)
			}
			*at(s) = cluster.BytesPerSecond(n)
			return nil
		},
		rateText,
	}
}

func size(name, meaning string, at func(*cluster.Settings) *cluster.Bytes) Knob {
	return Knob{
		name, meaning, func(s *cluster.Settings) any { return int64(*at(s)) },
		func(s *cluster.Settings, v string) (err error) {
			if *at(s), err = config.ParseSize(v); err != nil {
				return fmt.Errorf("%w; write it like 32GiB, or 0B for no bound", err)
			}
			return nil
		},
		sizeText,
	}
}

func toggle(name, meaning string, at func(*cluster.Settings) *bool) Knob {
	return Knob{
		name, meaning, func(s *cluster.Settings) any { return *at(s) },
		func(s *cluster.Settings, v string) error {
			if v != "true" && v != "false" {
				return fmt.Errorf("%.40q is neither true nor false", v)
			}
			*at(s) = v == "true"
			return nil
		},
		plainText,
	}
}

// ParseRatio reads a share: 10%, 2.5% or 0.1.
func ParseRatio(text string) (cluster.Ratio, error) {
	digits, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		f /= 100
	}
	if err != nil || math.IsNaN(f) || f < 0 || f > 1 {
		return 0, fmt.Errorf("%.40q is not a share between 0 and 100 %%; write it like 10%% or 0.1", text)
	}
	return cluster.Ratio(math.Round(f * 1e6)), nil
}

// changesBetween says in words what two settings differ in.
func changesBetween(before, after cluster.Settings) string {
	var out []string
	for _, k := range knobs {
		if a, b := k.show(&before), k.show(&after); a != b {
			out = append(out, fmt.Sprintf("%s %s -> %s", k.Name, k.text(a), k.text(b)))
		}
	}
	if len(out) == 0 {
		return "nothing differs from before"
	}
	return strings.Join(out, ", ")
}

func plainText(v any) string { return fmt.Sprint(v) }

func ratioText(v any) string {
	return strconv.FormatFloat(math.Round(figure(v)*1e6)/1e4, 'f', -1, 64) + "%"
}

func durationText(v any) string {
	return time.Duration(figure(v) * float64(time.Second)).String()
}

// sizeText writes a size as it may be set: in the largest unit that it is a
// whole number of.
func sizeText(v any) string {
	n := int64(figure(v))
	for _, unit := range []struct {
		name string
		size cluster.Bytes
	}{{"TiB", cluster.GiB << 10}, {"GiB", cluster.GiB}, {"MiB", cluster.MiB}, {"KiB", cluster.MiB >> 10}} {
		if n != 0 && n%int64(unit.size) == 0 {
			return fmt.Sprintf("%d%s", n/int64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

func rateText(v any) string {
	if figure(v) == 0 {
		return "0"
	}
	return cluster.Bytes(figure(v)).String() + "/s"
}

// figure is a number as the State has it, or as JSON brings it.
func figure(v any) float64 {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}
