package agent

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent/cgroup"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A VM of two vCPUs under a quota of one CPU, in a tenant's slice of eight:
// its own quota held it back three times as long as the slice's.
func TestOwnQuotaAndSlices(t *testing.T) {
	limits := func(own, slice uint64) *cgroup.Limits {
		return &cgroup.Limits{
			VCPU: make([]cgroup.Level, 2),
			VM: []cgroup.Level{{
				Path: "/machine.slice/vm", Quota: cgroup.Quota{QuotaNS: 100 * ms, PeriodNS: 100 * ms}, Throttle: cgroup.Throttle{Known: true, TimeNS: own},
			}},
			Slices: []cgroup.Level{{
				Path: "/machine.slice", Quota: cgroup.Quota{QuotaNS: 800 * ms, PeriodNS: 100 * ms}, Throttle: cgroup.Throttle{Known: true, TimeNS: slice},
			}},
		}
	}
	g := gatherings{}
	g.add(gathering{at: time.Second, vms: map[string]vitals{vmID(0): {pid: 7, limits: limits(1000*ms, 5000*ms)}}})
	g.add(gathering{at: 11 * time.Second, vms: map[string]vitals{vmID(0): {pid: 7, limits: limits(7000*ms, 7000*ms)}}})
	if ns := g.throttled(vmID(0), 5*time.Second); ns != 4000*ms {
		t.Errorf("throttled for %d ms of five seconds, want 4000", ns/ms)
	}
	d := cluster.Detail{Waits: &cluster.Waits{Quota: 800, VMs: 100}}
	g.tellQuotas(&d, vmID(0))
	if d.Quota != 1000 || d.Waits.Quota != 600 || d.Waits.SliceQuota != 200 || d.Waits.Total() != 900 {
		t.Errorf("quota %d, %+v", d.Quota, d.Waits)
	}
	if ns := g.throttled(vmID(1), time.Second); ns != 0 {
		t.Errorf("a VM without a quota: %d ns", ns)
	}
	g.add(gathering{at: 12 * time.Second, vms: map[string]vitals{vmID(0): {pid: 8, limits: limits(0, 0)}}})
	if ns := g.throttled(vmID(0), time.Second); ns != 0 {
		t.Errorf("of another process: %d ns", ns)
	}
}

// Shares of the VM's group are told where they are not the usual ones, with or
// without a quota.
func TestSharesAreTold(t *testing.T) {
	for weight, want := range map[int64]cluster.Shares{0: 0, 1: 1, 100: 0, 400: 400, 10_000: 10_000} {
		g := gatherings{}
		for _, at := range []time.Duration{time.Second, 11 * time.Second} {
			g.add(gathering{at: at, vms: map[string]vitals{vmID(0): {pid: 7, limits: &cgroup.Limits{Weight: weight}}}})
		}
		var d cluster.Detail
		if g.tellQuotas(&d, vmID(0)); d.Shares != want || d.Quota != 0 {
			t.Errorf("weight %d: shares %d, quota %d", weight, d.Shares, d.Quota)
		}
	}
}
