package api

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// rulesURI is the namespace under which libvirt keeps a VM's rules.
const rulesURI = "https://evenkeel.dev/xmlns/rules/1"

// warnMetas names VMs whose metadata has what is no rule, and those that lost
// theirs.
func (out *Status) warnMetas(s cluster.State, now cluster.Time) {
	warn := func(format string, args ...any) {
		out.warning(Caution, "evenkeel rules", format, args...)
	}
	for _, m := range s.Metas {
		if m.Wrong != "" && m.Gone == 0 {
			warn("not all that the libvirt metadata of %s on %s has is a rule: %s; mend it there: `virsh metadata %s %s --edit --live --config`",
				s.MetaName(m), s.HostName(m.Host), m.Wrong, s.MetaName(m), rulesURI)
		}
		if left := m.Gone.Add(cluster.MetaKept).Sub(now); m.Gone != 0 && left > 0 {
			warn("the libvirt metadata of %s has lost its rules: they hold for %v more; put them back, or let go of them with `evenkeel rules rm ID`",
				s.MetaName(m), left.Round(time.Hour))
		}
	}
	if len(s.Metas) >= cluster.MaxMetaVMs {
		warn("%d VMs have rules in their libvirt metadata: those of any more are not held", len(s.Metas))
	}
}
