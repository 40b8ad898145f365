package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// ownDoing is how much of what a vCPU waited between two readings nobody else
// can be blamed for: its VM's own threads, its quota, the way from a wake-up
// to an idle CPU. Of a wait that has not ended only the throttling is known.
func ownDoing(then, now VCPUReading) uint64 {
	own := func(c VCPUReading) uint64 { return c.Causes.Total() - c.Causes.Contention() + c.OpenQuotaNS }
	return less(own(now), own(then))
}

// vcpuSpan is what a vCPU did between two readings, in ns.
type vcpuSpan struct {
	run, wait uint64
	others    uint64 // the part of wait that is others' doing
}

// spent tells each vCPU's, open runs and waits included.
func spent(then, now VMReading) []vcpuSpan {
	out := make([]vcpuSpan, len(now.VCPUs))
	for i, c := range now.VCPUs {
		p := then.VCPUs[i]
		wait := less(c.WaitNS+c.OpenWaitNS, p.WaitNS+p.OpenWaitNS)
		out[i] = vcpuSpan{less(c.RunNS+c.OpenRunNS, p.RunNS+p.OpenRunNS), wait, less(wait, ownDoing(p, c))}
	}
	return out
}

// withoutThrottling takes throttling off what is others' doing, where nothing
// tells whose wait it was: from each vCPU in proportion. Waits that are nobody
// else's doing anyway are taken to have been throttling first.
func withoutThrottling(spans []vcpuSpan, throttled uint64) {
	var others, own uint64
	for _, s := range spans {
		others += s.others
		own += s.wait - s.others
	}
	throttled = less(throttled, own)
	if others == 0 || throttled == 0 {
		return
	}
	left := 1 - min(float64(throttled)/float64(others), 1)
	for i := range spans {
		spans[i].others = uint64(float64(spans[i].others) * left)
	}
}

// usefulShare is the part of the run time that was not halt polling: an idle
// vCPU that spins for a while before it sleeps does not want the CPU.
func usefulShare(spans []vcpuSpan, polledNS uint64) float64 {
	var run uint64
	for _, s := range spans {
		run += s.run
	}
	if run == 0 {
		return 1
	}
	return float64(useful(run, polledNS)) / float64(run)
}

// whoIsToBlame is why a VM waited within the window, and behind whom; nothing
// where the source knows no causes.
func (w *window) whoIsToBlame(d *cluster.Detail, uuid string, f hostFacts) {
	now, seen := w.samples[len(w.samples)-1].reading.VMs[uuid]
	then, span, ok := w.since(uuid, now)
	if !seen || !ok || span < minWindow || !f.source.Causes() {
		return
	}
	sum := waited(then, now)
	if !w.samples[len(w.samples)-1].reading.Throttling {
		putDownToQuota(&sum, f.throttled(uuid, span))
	}
	d.Waits = waits(sum, span)
	if then, now, ok := w.listed(uuid); ok {
		whole := waited(then, now)
		d.Culprits = culprits(then, now, whole.Total(), f.task)
	}
}

// waited splits what the vCPUs waited between two readings. Waits that have
// not ended are throttling as far as that is known, and unattributed beyond.
func waited(then, now VMReading) (sum bpf.Split) {
	for i, c := range now.VCPUs {
		p := then.VCPUs[i]
		for cause := range sum {
			sum[cause] += less(c.Causes[cause], p.Causes[cause])
		}
		// An open wait of before has ended by now, or has grown.
		open, before := less(c.OpenWaitNS, c.OpenQuotaNS), less(p.OpenWaitNS, p.OpenQuotaNS)
		sum[bpf.CauseUnattributed] = less(sum[bpf.CauseUnattributed]+open, before)
		sum[bpf.CauseQuota] = less(sum[bpf.CauseQuota]+c.OpenQuotaNS, p.OpenQuotaNS)
	}
	return sum
}

// putDownToQuota moves throttling that nothing else told of out of all other
// causes, in proportion.
func putDownToQuota(sum *bpf.Split, throttled uint64) {
	rest := sum.Total() - sum[bpf.CauseQuota]
	if throttled = min(throttled, rest); throttled == 0 {
		return
	}
	left := 1 - float64(throttled)/float64(rest)
	for c := range sum {
		if bpf.Cause(c) != bpf.CauseQuota {
			sum[c] = uint64(float64(sum[c]) * left)
		}
	}
	sum[bpf.CauseQuota] += throttled
}

func waits(sum bpf.Split, span time.Duration) *cluster.Waits {
	of := func(c bpf.Cause) cluster.MilliCPU { return perWall(sum[c], span) }
	return &cluster.Waits{
		VMs: of(bpf.CauseVM), Host: of(bpf.CauseHost), Kernel: of(bpf.CauseKernel),
		OwnVCPUs: of(bpf.CauseOwnVCPU), OwnOthers: of(bpf.CauseOwnOther), Quota: of(bpf.CauseQuota),
		Idle: of(bpf.CauseIdle), Migrated: of(bpf.CauseMigrated), Unattributed: of(bpf.CauseUnattributed),
	}
}

// culprits are whom the VM waited behind most between two readings, with their
// shares of the whole wait. A share below a thousandth is nobody's fault.
func culprits(then, now VMReading, whole uint64, task func(int) string) []cluster.Culprit {
	type key struct {
		vm  string
		pid int
	}
	before := make(map[key]uint64, len(then.Culprits))
	for _, c := range then.Culprits {
		before[key{c.VM, c.PID}] = c.WaitNS
	}
	// Who was not on a full list may have been just below its last one: of what
	// it shows now, only what lies above that is sure to be of the window.
	var below uint64
	if n := len(then.Culprits); n == bpf.MaxCulprits {
		below = then.Culprits[n-1].WaitNS
	}
	var out []cluster.Culprit
	for _, c := range now.Culprits {
		was, known := before[key{c.VM, c.PID}]
		if !known {
			was = below
		}
		told := cluster.Culprit{VM: c.VM, Share: ratio(less(c.WaitNS, was), whole)}
		if told.Share < cluster.Percent(1)/10 {
			continue
		}
		if c.VM == "" {
			told.Task = comm(task(c.PID))
		}
		if told.VM == "" && told.Task == "" {
			continue // it has ended: its share stays among the host's tasks
		}
		out = append(out, told)
	}
	out = merged(out)
	slices.SortStableFunc(out, func(a, b cluster.Culprit) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.VM, b.VM), cmp.Compare(a.Task, b.Task))
	})
	return out[:min(len(out), cluster.MaxCulprits)]
}

// merged adds up tasks of the same name: forty compilers are one culprit.
func merged(list []cluster.Culprit) []cluster.Culprit {
	at := map[string]int{}
	var out []cluster.Culprit
	for _, c := range list {
		if i, seen := at[c.Task]; seen && c.Task != "" {
			out[i].Share = min(out[i].Share+c.Share, cluster.Whole)
			continue
		}
		at[c.Task] = len(out)
		out = append(out, c)
	}
	return out
}

// comm makes a task's name fit a snapshot: text, at most 16 bytes.
func comm(name string) string {
	name = strings.ToValidUTF8(name, "?")
	for len(name) > 16 {
		r := []rune(name)
		name = string(r[:len(r)-1])
	}
	return name
}
