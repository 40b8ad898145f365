package bpf

import (
	"errors"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// Features says what the probe measures on this kernel, found by asking the
// kernel's type information, never its version.
func (p *Probes) Features() []Feature { return slices.Clone(p.features) }

// The features' names.
const (
	FeatureCulprits  = "culprits"
	FeatureQuota     = "quota"
	FeatureOpenWaits = "open-waits"
	FeatureLevels    = "levels"
	FeatureMissed    = "missed-runs"
)

// featuresOf asks the kernel's types; openErr is what became of the iterator.
func featuresOf(spec *btf.Spec, openErr error) []Feature {
	return []Feature{
		{FeatureCulprits, true, "a book of who ran on each CPU"},
		quotaFeature(spec),
		openFeature(openErr),
		{FeatureLevels, true, "exact, sampled, sums"},
		missedFeature(spec),
	}
}

func quotaFeature(spec *btf.Spec) Feature {
	f := Feature{Name: FeatureQuota}
	switch {
	case has(spec, "cfs_rq", "throttled_clock_self_time"):
		f.On, f.Why = true, "cfs_rq.throttled_clock_self_time"
	case has(spec, "cfs_rq", "runtime_enabled"):
		f.Why = "approximate: the kernel has no cfs_rq.throttled_clock_self_time (6.6 and newer); throttling is among idle and others"
	default:
		f.Why = "the kernel has no quotas (CONFIG_CFS_BANDWIDTH)"
	}
	return f
}

// errNoIterator is why there are no open waits before 5.8.
var errNoIterator = errors.New("the kernel has no iterator over tasks (bpf_iter__task, 5.8 and newer)")

func openFeature(err error) Feature {
	if err != nil {
		return Feature{Name: FeatureOpenWaits, Why: err.Error()}
	}
	return Feature{FeatureOpenWaits, true, "an iterator over tasks"}
}

func missedFeature(spec *btf.Spec) Feature {
	if has(spec, "bpf_prog_info", "recursion_misses") {
		return Feature{FeatureMissed, true, "bpf_prog_info.recursion_misses"}
	}
	return Feature{Name: FeatureMissed, Why: "the kernel has no bpf_prog_info.recursion_misses (5.12 and newer)"}
}

// has says whether the kernel's struct has a member, of its own or in a union
// or struct without a name.
func has(spec *btf.Spec, typ, member string) bool {
	var s *btf.Struct
	if err := spec.TypeByName(typ, &s); err != nil {
		return false
	}
	return hasMember(s.Members, member)
}

func hasMember(members []btf.Member, name string) bool {
	return slices.ContainsFunc(members, func(m btf.Member) bool {
		if m.Name != "" {
			return m.Name == name
		}
		switch in := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			return hasMember(in.Members, name)
		case *btf.Union:
			return hasMember(in.Members, name)
		}
		return false
	})
}
