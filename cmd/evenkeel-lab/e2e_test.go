package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The tests below run the real thing: eBPF, libvirtd, QEMU, Raft over TLS.

// realBinaries builds what a lab runs, once.
var realBinaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "evenkeel-e2e-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	for name, pkg := range map[string]string{"evenkeeld": "evenkeeld", "evenkeel": "evenkeel", "evenkeel-lab": "evenkeel-lab", "evenkeel-guest": "internal/lab/guest"} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", filepath.Join(dir, name), "github.com/evenkeel/evenkeel/cmd/"+pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

var builtIn string

func TestMain(m *testing.M) {
	code := m.Run()
	endFleet()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// fleet builds a lab for a test and takes it down with it.
func fleet(t *testing.T, s lab.Scenario) *drill.Drill {
	t.Helper()
	endFleet()
	l := raise(t, s, t.TempDir())
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range l.Hosts() {
				logTail(t, l, h.Name)
				lastWords(t, l, h)
			}
		}
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &drill.Drill{Lab: l, Mute: map[string]bool{}}
}

// raise builds a lab in a directory.
func raise(t *testing.T, s lab.Scenario, dir string) *lab.Lab {
	t.Helper()
	bin, err := realBinaries()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Up(t.Context(), s, lab.Options{
		Name: fmt.Sprintf("e2e-%d", os.Getpid()), StateDir: filepath.Join(dir, "lab"), BinDir: bin,
		Progress: func(step string) { t.Log("lab:", step) },
	})
	if err != nil {
		required := os.Getenv("EVENKEEL_REQUIRE")
		if strings.Contains(required, "libvirt") || strings.Contains(required, "qemu") || os.Getuid() == 0 {
			t.Fatal(err)
		}
		t.Skip("no lab on this machine: ", err)
	}
	return l
}

func logTail(t *testing.T, l *lab.Lab, host string) {
	text, err := os.ReadFile(l.LogFile(host, "evenkeeld"))
	if err != nil {
		t.Log(err)
		return
	}
	lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return strings.Contains(line, "part=raft") || strings.Contains(line, "part=rpc")
	})
	t.Logf("evenkeeld on %s:\n%s", host, strings.Join(lines[max(0, len(lines)-15):], "\n"))
}

// lastWords tells how a host stands when a test has failed: what became of the
// moves, which VMs libvirt has in which state, and what their QEMUs said.
func lastWords(t *testing.T, l *lab.Lab, h lab.HostState) {
	commands := []string{"evenkeel history -o wide"}
	if h.Role == lab.RoleHypervisor {
		commands = append(commands, "virsh list --all", "for f in /var/log/libvirt/qemu/*.log; do echo $f; tail -n 6 $f | cut -c1-300; done")
	}
	for _, c := range commands {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		out, err := l.Exec(ctx, h.Name, "sh", "-c", c)
		cancel()
		t.Logf("%s$ %s\n%s %v", h.Name, c, out, err)
	}
}

// TestDemo is the demo's story, judged as `make demo` judges it.
func TestDemo(t *testing.T) {
	s, err := lab.LoadScenario("demo")
	if err != nil {
		t.Fatal(err)
	}
	d := fleet(t, s)
	var screen strings.Builder
	err = newShow(&screen, d.Lab).run(t.Context())
	t.Log("\n" + screen.String())
	if err != nil {
		t.Error(err)
	}
	history(t, d)
}

// history reads the moves as an operator would.
func history(t *testing.T, d *drill.Drill) {
	t.Helper()
	out, err := d.Lab.Exec(t.Context(), "hv1", "evenkeel", "history", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []struct {
			ID, VM, Source, Target, State, Reason string
			OrderedAt                             *time.Time `json:"ordered_at"`
			StartedAt                             *time.Time `json:"started_at"`
			EndedAt                               *time.Time `json:"ended_at"`
			DowntimeMS                            *float64   `json:"downtime_ms"`
			Predicted, Measured                   map[string]any
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, m := range list.Items {
		if m.State != string(cluster.MoveDone) || m.Reason == "" || m.DowntimeMS == nil || m.OrderedAt == nil || m.StartedAt == nil ||
			m.EndedAt == nil || len(m.Predicted) == 0 || len(m.Measured) == 0 {
			t.Errorf("incomplete: %+v", m)
		}
	}
	if len(list.Items) != 2 {
		t.Errorf("%d moves, want 2", len(list.Items))
	}
}
