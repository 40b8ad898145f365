package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestMeasured holds what evenkeel says of busy and bursty guests on one CPU
// against the kernel's own accounts, over 20 s: the sums, the counts, the
// causes, and who is to blame. Then an operator asks.
func TestMeasured(t *testing.T) {
	guest := func(name, load string) lab.Guest {
		return lab.Guest{Name: name, On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB), Load: load}
	}
	d := fleet(t, lab.Scenario{
		Description: "busy and bursty guests on hv1, none on hv2",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 4)}},
		Witness:     true,
		Mode:        "recommend",
		Policy:      map[string]string{"profile": "fast", "allow_unlocked": "true"},
		Guests: []lab.Guest{
			guest("busy1", "cpu:100"), guest("busy2", "cpu:100"), guest("busy3", "cpu:100+dirty:4"), guest("bursty1", "cpu:20"), guest("bursty2", "cpu:10"),
		},
	})
	before, kernelBefore := standstill(t, d)
	time.Sleep(20 * time.Second)
	after, kernelAfter := standstill(t, d)
	if len(after) != 5 {
		t.Fatalf("%d VMs were measured, want 5", len(after))
	}
	accuracy(t, before, after, kernelBefore, kernelAfter)
	blame(t, before, after, kernelBefore, kernelAfter)
	asked(t, d)
	watched(t, d)
}

// watched waits for the memory of the planner's candidates to be watched.
func watched(t *testing.T, d *drill.Drill) {
	t.Helper()
	err := drill.Until(t.Context(), "a candidate's dirty rate", func() (bool, error) {
		vms, err := d.VMs(t.Context())
		for _, vm := range vms {
			if vm.Memory != nil && vm.Memory.DirtyBytesPerSecond != nil {
				t.Logf("%s changes %.0f bytes of its memory a second", vm.Name, *vm.Memory.DirtyBytesPerSecond)
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		t.Error(err)
	}
}

// asked reads what an operator is told: whom busy1 waits behind.
func asked(t *testing.T, d *drill.Drill) {
	t.Helper()
	for _, question := range [][]string{{"evenkeel", "vms", "show", "busy1"}, {"evenkeel", "explain", "busy1"}} {
		// The culprits of a VM that suffers are told more seldom than its figures.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := drill.Until(ctx, fmt.Sprintf("%v to name busy2 and busy3", question), func() (bool, error) {
			out, err := d.Lab.Exec(ctx, "hv2", question...)
			return strings.Contains(out, "% behind busy2") && strings.Contains(out, "% behind busy3"), errors.Join(err, errors.New(out))
		}); err != nil {
			t.Error(err)
		}
	}
}

// figures is a VM as `evenkeel vms --json` shows it.
type figures struct {
	Name    string `json:"name"`
	Host    string `json:"host"`
	Source  string `json:"source"`
	Threads []int  `json:"vcpu_threads"`
	RunNS   uint64 `json:"vcpu_run_ns_total"`
	WaitNS  uint64 `json:"vcpu_wait_ns_total"`
	Waits   uint64 `json:"vcpu_waits_total"`

	UUID   string            `json:"uuid"`
	Causes map[string]uint64 `json:"vcpu_wait_cause_ns_total"`
	Behind map[string]uint64 `json:"vcpu_wait_behind_ns_total"`
}

// accuracy compares what evenkeel says that the guests waited with the
// kernel's schedstat. Both were read while QEMU stood still, so that nothing
// ended between the two readings.
func accuracy(t *testing.T, before, after map[string]figures, kernelBefore, kernelAfter map[string]account) {
	t.Helper()
	for name, a := range after {
		b, kb, ka := before[name], kernelBefore[name], kernelAfter[name]
		got, want := a.WaitNS-b.WaitNS, ka.WaitNS-kb.WaitNS
		off := (float64(got) - float64(want)) / float64(want)
		t.Logf("%s: waited %d ns, schedstat %d ns, off by %.5f %%; %d waits, schedstat %d; ran %d ns, schedstat %d",
			name, got, want, off*100, a.Waits-b.Waits, ka.Slices-kb.Slices, a.RunNS-b.RunNS, ka.RunNS-kb.RunNS)
		if want == 0 || off > 1e-4 || off < -1e-4 || a.Waits-b.Waits != ka.Slices-kb.Slices {
			t.Errorf("%s: the sums or counts differ", name)
		}
		if a.Source != "ebpf" || len(a.Threads) != 1 {
			t.Errorf("%s: source %q, threads %v", name, a.Source, a.Threads)
		}
		var split uint64
		for cause, ns := range a.Causes {
			split += ns - b.Causes[cause]
		}
		if split != got {
			t.Errorf("%s: its causes add up to %d ns, not to the %d ns that it waited", name, split, got)
		}
	}
}

// blame holds what each busy guest waited behind every other one against what
// the other one ran: a guest that never sleeps waits whenever its only CPU runs
// somebody else.
func blame(t *testing.T, before, after map[string]figures, kernelBefore, kernelAfter map[string]account) {
	t.Helper()
	for victim, a := range after {
		if !strings.HasPrefix(victim, "busy") {
			continue
		}
		b := before[victim]
		waited := a.WaitNS - b.WaitNS
		for culprit, c := range after {
			if culprit == victim {
				continue
			}
			got, want := a.Behind[c.UUID]-b.Behind[c.UUID], kernelAfter[culprit].processNS-kernelBefore[culprit].processNS
			off := (float64(got) - float64(want)) / float64(want)
			t.Logf("%s waited %.3f s behind %s, which ran %.3f s: off by %.2f %%", victim, float64(got)/1e9, culprit, float64(want)/1e9, off*100)
			if off > 0.03 || off < -0.03 {
				t.Errorf("%s: what it waited behind %s is off by %.2f %%", victim, culprit, off*100)
			}
		}
		lost := a.Causes["unattributed"] - b.Causes["unattributed"]
		t.Logf("%s: %.3f %% unattributed", victim, 100*float64(lost)/float64(waited))
		if float64(lost) > 0.005*float64(waited) {
			t.Errorf("%s: %d of %d ns are unattributed", victim, lost, waited)
		}
	}
}

// account is what the kernel keeps of a guest.
type account struct {
	drill.Schedstat        // of the vCPU threads
	processNS       uint64 // that all of QEMU's threads ran
}

// standstill stops every QEMU for as long as it takes to read both accounts.
func standstill(t *testing.T, d *drill.Drill) (map[string]figures, map[string]account) {
	t.Helper()
	kernel := map[string]account{}
	var pids []int
	for _, g := range d.Lab.Guests() {
		pid, err := d.Lab.QEMUPID(g.On, g.Name)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	for _, pid := range pids { // all at once: one that stops earlier waits for less
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	}
	for _, pid := range pids {
		if err := stopped(t.Context(), pid); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range d.Lab.Guests() {
		s, _, err := d.Schedstat(g.On, g.Name)
		if err != nil {
			t.Fatal(err)
		}
		kernel[g.Name] = account{s, processRun(t, d, g)}
	}
	out, err := d.Lab.Exec(t.Context(), "hv2", "evenkeel", "vms", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []figures }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	vms := map[string]figures{}
	for _, v := range list.Items {
		vms[v.Name] = v
	}
	return vms, kernel
}

// stopped waits until all threads of a process are off the CPU.
func stopped(ctx context.Context, pid int) error {
	return drill.Until(ctx, fmt.Sprintf("process %d to stand still", pid), func() (bool, error) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(tasks) == 0 {
			return false, errors.Join(err, fmt.Errorf("process %d is gone", pid))
		}
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // this thread ended
			}
			if _, rest, ok := strings.Cut(string(text), ") "); ok && !strings.HasPrefix(rest, "T") {
				return false, nil
			}
		}
		return true, nil
	})
}

// processRun is what all threads of a guest's QEMU ran, ended ones left out.
func processRun(t *testing.T, d *drill.Drill, g lab.GuestState) uint64 {
	t.Helper()
	pid, err := d.Lab.QEMUPID(g.On, g.Name)
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("threads of process %d: %v", pid, err)
	}
	var sum uint64
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // this thread ended
		}
		var ran uint64
		if _, err := fmt.Sscan(string(text), &ran); err != nil {
			t.Fatalf("%s: %v in %q", task, err, text)
		}
		sum += ran
	}
	return sum
}
