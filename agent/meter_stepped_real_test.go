package agent

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The real probe under a ceiling that nothing can stay below: it steps down
// rung by rung until it is out of the kernel, the VM is counted all the way, and
// its counters say by their epoch when they began anew. Then the ceiling is
// lifted, and it comes back.
func TestTheRealProbeStepsDown(t *testing.T) {
	var clock time.Duration // of the meter alone: a second a reading
	uptime := func() time.Duration { return clock }
	proc := procfs.Host()
	open := func() (*ProbeMeter, error) { return OpenProbeMeter(proc, uptime) }
	probe, err := open()
	if errors.Is(err, bpf.ErrPermission) || errors.Is(err, bpf.ErrUnsupported) {
		if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "bpf") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := NewSteppedMeter(probe, open, NewSchedstatMeter(proc, uptime, time.Now), 1e-9, slog.New(slog.DiscardHandler))
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	guest := Guest{UUID: vmID(1), Name: "this test", PID: os.Getpid(), VCPUThreads: []int{os.Getpid()}}
	var course []cluster.Source
	epochs := map[time.Time]bool{}
	step := func() {
		t.Helper()
		clock += time.Second
		if err := m.Follow([]Guest{guest}); err != nil {
			t.Fatal(err)
		}
		// The probe times one in 1,024 of its runs: give it some.
		for range 3000 {
			time.Sleep(time.Microsecond)
		}
		r, err := m.Read()
		if err != nil {
			t.Fatal(err)
		}
		vm, there := r.VMs[guest.UUID]
		if !there || len(vm.VCPUs) != 1 {
			t.Fatalf("at %v by %s: %+v", clock, m.Source(), r)
		}
		epochs[vm.Since] = true
		if source := m.Source(); len(course) == 0 || course[len(course)-1] != source {
			course = append(course, source)
		}
	}
	for m.Source() != cluster.SourceSchedstat && clock < 2*time.Minute {
		step()
	}
	step()
	m.govern.ceiling = 1e9
	clock += governSlowly // it has been calm for long
	for m.Source() == cluster.SourceSchedstat && clock < governSlowly+10*time.Minute {
		step()
		clock += time.Minute
	}
	step()
	want := []cluster.Source{cluster.SourceEBPF, cluster.SourceSampled, cluster.SourceSums, cluster.SourceSchedstat, cluster.SourceSums}
	if !slices.Equal(course, want) {
		t.Errorf("course %v, want %v", course, want)
	}
	if len(epochs) != 3 {
		t.Errorf("%d epochs, want one of each probe and one of schedstat", len(epochs))
	}
}
