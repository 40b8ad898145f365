package main

import (
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// mention is the least share of a VM's wait that is worth a word.
const mention = 0.005

// behind tells whom and what a VM waits for, largest culprits first: "71 %
// behind batch-7, 22 % behind web-01, 4 % behind host tasks, 3 % unattributed".
// It is "" where the source knows no causes, or nothing waits.
func behind(vm api.VM) string {
	s := vm.WaitShares
	if s == nil {
		return ""
	}
	var parts []string
	add := func(share float64, what string) {
		if share >= mention {
			parts = append(parts, fmt.Sprintf("%.0f %% %s", 100*share, what))
		}
	}
	vms, tasks := s.VMs, s.Host
	for _, c := range vm.Culprits {
		if c.Task != "" {
			add(c.ShareRatio, "behind host task "+c.Task)
			tasks -= c.ShareRatio
			continue
		}
		add(c.ShareRatio, "behind "+c.VM)
		vms -= c.ShareRatio
	}
	add(vms, "behind other VMs")
	add(tasks, "behind host tasks")
	add(s.Kernel, "behind kernel threads")
	add(s.OwnVCPUs, "behind its own vCPUs")
	add(s.OwnOthers, "behind its own QEMU threads")
	add(s.Quota, "throttled by its own quota")
	add(s.SliceQuota, "throttled by its slice's quota")
	add(s.Idle, "waking up on idle CPUs")
	add(s.Migrated, "moved between CPUs")
	add(s.Unattributed, "unattributed")
	return strings.Join(parts, ", ")
}

// remark says what a move cannot mend, "" for nothing.
func remark(vm api.VM) string {
	s := vm.WaitShares
	switch {
	case s == nil:
		return ""
	case s.Quota >= 0.5:
		return "mostly its own quota: moving it would not help; raise the quota"
	case s.SliceQuota >= 0.5:
		return "mostly its slice's quota: moving it within the slice would not help"
	case s.OwnVCPUs+s.OwnOthers >= 0.5:
		return "mostly its own threads: it has more busy threads than the CPUs that it is confined to"
	}
	return ""
}
