package lab

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAgentsAreStartedRaisedAndTold(t *testing.T) {
	opts := testOptions(t, "agents")
	opts.NoAgents = false
	l := upForTest(t, Scenario{
		Hypervisors: []Hypervisor{{Name: "hv1"}, {Name: "hv2"}}, Witness: true,
		Transport: TransportTCP, // the test's evenkeeld is no relay
		Mode:      "auto", Policy: map[string]string{"settle": "20s", "cooldown": "1m"},
	}, opts)
	for _, h := range l.Hosts() {
		pid, err := l.AgentPID(h.Name)
		if err != nil {
			t.Fatal(err)
		}
		// getpriority(2) itself returns 20 - nice.
		if raised, err := unix.Getpriority(unix.PRIO_PROCESS, pid); err != nil || raised != 35 {
			t.Errorf("evenkeeld of %s has nice %d, %v, want -15", h.Name, 20-raised, err)
		}
		autogroup, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/autogroup")
		if err == nil && !strings.HasSuffix(strings.TrimSpace(string(autogroup)), "nice -15") {
			t.Errorf("evenkeeld of %s is in %s, want nice -15", h.Name, autogroup)
		}
		if group, err := l.group().child(h.Name).processes(); err != nil || !slices.Contains(group, pid) {
			t.Errorf("evenkeeld of %s is not in its host's cgroup: %v, %v", h.Name, group, err)
		}
	}
	calls, err := l.Exec(t.Context(), "hv1", "cat", "/var/lib/evenkeel/calls")
	if err != nil {
		t.Fatal(err)
	}
	// The first call failed and was repeated.
	want := "policy set cooldown=1m settle=20s\n" + "policy set cooldown=1m settle=20s\n" + "mode auto --yes\n"
	if calls != want {
		t.Errorf("evenkeel was called\n%swant\n%s", calls, want)
	}
	t.Run("kill, freeze, stop, start", func(t *testing.T) { driveAgent(t, l) })
}

func driveAgent(t *testing.T, l *Lab) {
	ctx := t.Context()
	killed, err := l.AgentPID("hv1")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.StartAgent(ctx, "hv1"); err == nil {
		t.Error("a second evenkeeld was started")
	}
	if err := l.SignalAgent(ctx, "hv1", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if pid, err := l.AgentPID("hv1"); err == nil {
		t.Errorf("a killed evenkeeld is process %d", pid)
	}
	if err := l.StartAgent(ctx, "hv1"); err != nil {
		t.Fatal(err)
	}
	pid, err := l.AgentPID("hv1")
	if err != nil || pid == killed {
		t.Fatalf("after the start evenkeeld is process %d, %v", pid, err)
	}
	if err := l.SignalAgent(ctx, "hv1", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "evenkeeld to freeze", func() (bool, error) {
		state, _, err := procStat(pid)
		return state == 'T', err
	})
	if err := l.SignalAgent(ctx, "hv1", syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := l.StopAgent(ctx, "hv1"); err != nil {
		t.Fatal(err)
	}
	if other, err := l.AgentPID("hv2"); err != nil {
		t.Errorf("evenkeeld of hv2 (%d) suffered: %v", other, err)
	}
}
