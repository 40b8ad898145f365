package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// On a kernel that cannot run the probe, or does not let us, the daemon goes on
// with the kernel's own sums, measures by them, and says why.
func TestWithoutAProbeSchedstatMeasures(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, why := range []error{
		fmt.Errorf("probe: %w: no BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)", bpf.ErrUnsupported),
		fmt.Errorf("probe: %w: it needs CAP_BPF and CAP_PERFMON", bpf.ErrPermission),
	} {
		var log bytes.Buffer
		m := openMeter(procfs.Host(), procfs.CPUs{0}, func() (*agent.ProbeMeter, error) { return nil, why }, slog.New(slog.NewTextHandler(&log, nil)))
		if m.Source() != cluster.SourceSchedstat || !strings.Contains(log.String(), why.Error()) {
			t.Errorf("%v: source %s, it says %s", why, m.Source(), log.String())
		}
		const vm = "00000000-0000-4000-8000-000000000001"
		if err := m.Follow([]agent.Guest{{UUID: vm, Name: "this test", PID: os.Getpid(), VCPUThreads: []int{unix.Gettid()}}}); err != nil {
			t.Fatal(err)
		}
		ran := uint64(0)
		for end := time.Now().Add(time.Minute); ran == 0 && time.Now().Before(end); { // this thread is busy; only bounds a hang
			r, err := m.Read()
			if err != nil || len(r.VMs[vm].VCPUs) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			ran = r.VMs[vm].VCPUs[0].RunNS
		}
		if ran == 0 {
			t.Error("a thread that is busy for a minute has run for no time")
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
