package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/heartbeat"
)

// pair is two hypervisors and a guest that works.
var pair = Scenario{
	Hypervisors: []Hypervisor{{Name: "hv1"}, {Name: "hv2"}},
	Witness:     true,
	Guests:      []Guest{{Name: "mover", On: "hv1", Load: "cpu:50+dirty:4"}},
}

func TestGuestMigratesLiveBetweenTwoHosts(t *testing.T) {
	l := upForTest(t, pair, testOptions(t, "move"))
	if hosts := l.GuestHosts("mover"); !slices.Equal(hosts, []string{"hv1"}) {
		t.Fatalf("mover is on %q", hosts)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	arrivals := make(chan heartbeat.Arrival, 1000)
	followed := make(chan error, 1)
	go func() {
		followed <- l.Follow(ctx, []string{"mover"}, func(_ string, a heartbeat.Arrival) error { arrivals <- a; return nil })
	}()
	before := <-arrivals
	source, err := l.VCPUThreads("hv1", "mover")
	if err != nil || len(source) != 1 {
		t.Fatalf("vCPU threads on hv1: %v, %v", source, err)
	}

	hv2, err := l.Host("hv2")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := l.Exec(ctx, "hv1", "virsh", "migrate", "--live", "--p2p", "mover",
		"qemu+tcp://"+hv2.Address+"/system", "tcp://"+hv2.Address); err != nil {
		t.Fatal(err)
	}
	t.Logf("migrated in %v", time.Since(begin))
	if job, err := l.Exec(ctx, "hv2", "virsh", "domjobinfo", "mover", "--completed"); err == nil {
		t.Log(job)
	}
	if hosts := l.GuestHosts("mover"); !slices.Equal(hosts, []string{"hv2"}) {
		t.Fatalf("after the migration mover is on %q", hosts)
	}
	if target, err := l.VCPUThreads("hv2", "mover"); err != nil || len(target) != 1 || target[0] == source[0] {
		t.Fatalf("vCPU threads on hv2: %v, %v", target, err)
	}

	// Two beats after the switch-over: the guest runs there, not only exists.
	for last := (<-arrivals).N; ; {
		if a := <-arrivals; a.N >= last+2 && a.At.After(begin) {
			break
		}
	}
	stop()
	if err := <-followed; err != nil {
		t.Fatal(err)
	}
	beats, err := l.Heartbeats("mover")
	if err != nil {
		t.Fatal(err)
	}
	report := heartbeat.Judge(beats)
	t.Logf("heartbeats: %+v", report)
	if report.Boots != 1 || report.Missing != 0 || report.Disordered != 0 || beats[0].N != 1 || before.Boot != beats[0].Boot {
		t.Errorf("the heartbeats are broken: %+v", report)
	}
	if report.Work == 0 {
		t.Error("the guest did no work")
	}
}

func TestHostsAreApartAndWhole(t *testing.T) {
	opts := testOptions(t, "apart")
	l := upForTest(t, Scenario{Hypervisors: pair.Hypervisors, Witness: true}, opts)
	ctx := t.Context()
	addresses := map[string]bool{}
	for _, h := range l.Hosts() {
		out, err := l.Exec(ctx, h.Name, "sh", "-c", "hostname; ip -o -4 address show eth0; getent hosts hv1")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out, "\n")
		if lines[0] != h.Name || !strings.Contains(lines[1], h.Address+"/24") || !strings.HasPrefix(lines[2], "10.199.0.1") {
			t.Errorf("%s says %q", h.Name, lines)
		}
		addresses[h.Address] = true
		if h.Role == RoleWitness && h.Libvirtd.PID != 0 {
			t.Error("the witness has a libvirtd")
		}
	}
	if len(addresses) != 3 {
		t.Errorf("addresses %v", addresses)
	}
	t.Run("what one host writes, the machine does not see", func(t *testing.T) {
		for _, file := range []string{"/etc/evenkeel-lab-test", "/var/lib/evenkeel-lab-test", "/run/evenkeel-lab-test"} {
			if _, err := l.Exec(ctx, "hv1", "touch", file); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(file); err == nil {
				t.Errorf("%s of hv1 is on the machine", file)
				os.Remove(file)
			}
			if _, err := l.Exec(ctx, "hv2", "test", "-e", file); err == nil {
				t.Errorf("%s of hv1 is on hv2", file)
			}
		}
	})
	t.Run("the exit code and the error text come back", func(t *testing.T) {
		_, err := l.Exec(ctx, "hv1", "sh", "-c", "echo sorry >&2; exit 7")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 || !strings.Contains(err.Error(), "sorry") {
			t.Errorf("error %v", err)
		}
		if _, err := l.Exec(ctx, "hv9", "true"); err == nil || !strings.Contains(err.Error(), "hv1") {
			t.Errorf("an unknown host: %v", err)
		}
	})
	t.Run("a cable can be pulled", func(t *testing.T) { pullCable(t, l) })
	t.Run("a libvirtd can be killed and started", func(t *testing.T) { restartLibvirtd(t, l) })
	t.Run("a second lab fits beside it", func(t *testing.T) {
		other := upForTest(t, Scenario{Hypervisors: []Hypervisor{{Name: "hv1"}}}, testOptions(t, "second"))
		if _, err := other.Exec(ctx, "hv1", "virsh", "list"); err != nil {
			t.Error(err)
		}
	})
	t.Run("up on it is refused", func(t *testing.T) {
		if _, err := Up(ctx, pair, opts); !errors.Is(err, ErrLabExists) {
			t.Errorf("a second up: %v", err)
		}
		if _, err := l.Exec(ctx, "hv1", "virsh", "list"); err != nil {
			t.Errorf("the refused up broke the lab: %v", err)
		}
	})
}

func pullCable(t *testing.T, l *Lab) {
	talk := []string{"virsh", "-c", "qemu+tcp://10.199.0.2/system", "list"}
	if _, err := l.Exec(t.Context(), "hv1", talk...); err != nil {
		t.Fatal(err)
	}
	if err := l.SetLink("hv2", false); err != nil {
		t.Fatal(err)
	}
	carrier := func() string {
		out, err := l.Exec(t.Context(), "hv2", "ip", "-o", "link", "show", "eth0")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := carrier(); !strings.Contains(out, "NO-CARRIER") {
		t.Errorf("with the cable out: %s", out)
	}
	if err := l.SetLink("hv2", true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "hv1 to reach hv2 again", func() (bool, error) {
		_, err := l.Exec(t.Context(), "hv1", talk...)
		return err == nil, nil
	})
}

func restartLibvirtd(t *testing.T, l *Lab) {
	ctx := t.Context()
	if err := l.StartGuest(ctx, Guest{Name: "survivor", On: "hv1"}); err != nil {
		t.Fatal(err)
	}
	pid, err := l.QEMUPID("hv1", "survivor")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SignalLibvirtd(ctx, "hv1", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if again, err := l.QEMUPID("hv1", "survivor"); err != nil || again != pid {
		t.Errorf("without libvirtd the guest's process is %d (%v), was %d", again, err, pid)
	}
	if err := l.StartLibvirtd(ctx, "hv1"); err != nil {
		t.Fatal(err)
	}
	if err := l.StartLibvirtd(ctx, "hv1"); err == nil {
		t.Error("a second libvirtd was started")
	}
	eventually(t, "libvirtd to find its guest again", func() (bool, error) {
		out, err := l.Exec(ctx, "hv1", "virsh", "list", "--name")
		return strings.Contains(out, "survivor"), err
	})
	if err := l.StartGuest(ctx, Guest{Name: "survivor", On: "hv2"}); err == nil {
		t.Error("a second guest of the same name was started")
	}
	if err := l.StopGuest(ctx, "survivor"); err != nil {
		t.Fatal(err)
	}
	if hosts := l.GuestHosts("survivor"); len(hosts) > 0 {
		t.Errorf("a stopped guest is on %q", hosts)
	}
}

// TestDownAfterACrashLeavesNothing kills evenkeel-lab with SIGKILL at every
// step of up, and a little later.
func TestDownAfterACrashLeavesNothing(t *testing.T) {
	scenario := filepath.Join(t.TempDir(), "pair.yaml")
	text := "hypervisors: [{name: hv1}, {name: hv2}]\nwitness: true\nguests: [{name: g1, on: hv1, load: \"cpu:100\"}, {name: g2, on: hv2}]\n"
	if err := os.WriteFile(scenario, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []string{"boot files", "directories", "cgroups", "switch", "hosts", "libvirtd", "agents", "guests", "mode", "up"}
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			opts := testOptions(t, fmt.Sprintf("crash%d", i))
			t.Cleanup(func() { // so that a failure here harms no other test
				if err := Down(context.Background(), opts); err != nil {
					t.Error(err)
				}
			})
			crash(t, opts, scenario, step, time.Duration(i%3)*15*time.Millisecond)
			seen := look(t, opts)
			t.Logf("%d processes and %d namespaces are left by the crash", len(seen.processes), len(seen.namespaces))
			if slices.Index(steps, "hosts") < i && len(seen.processes) == 0 {
				t.Error("the crash left no process: it was not in the middle of up")
			}
			for range 2 {
				if err := Down(t.Context(), opts); err != nil {
					t.Fatal(err)
				}
			}
			seen.mustBeGone(t)
		})
	}
}

// crash runs evenkeel-lab up and kills it once it has announced the step.
func crash(t *testing.T, opts Options, scenario, step string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(filepath.Join(opts.BinDir, "evenkeel-lab"), "up", "--no-agents",
		"--name", opts.Name, "--state-dir", opts.StateDir, scenario)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		said = append(said, lines.Text())
		if strings.HasSuffix(lines.Text(), " s  "+step) {
			time.Sleep(after)
			break
		}
	}
	if len(said) == 0 || !strings.HasSuffix(said[len(said)-1], step) {
		t.Errorf("up never announced %q, it said %q", step, said)
	}
	_ = cmd.Process.Kill() // at the step "up" it may have ended by itself
	_ = cmd.Wait()
}

func TestDownFindsALabWhoseStateDirectoryIsLost(t *testing.T) {
	opts := testOptions(t, "lost")
	if _, err := Up(t.Context(), Scenario{Hypervisors: []Hypervisor{{Name: "hv1"}}}, opts); err != nil {
		t.Fatal(err)
	}
	seen := look(t, opts)
	if err := os.RemoveAll(opts.StateDir); err != nil {
		t.Fatal(err)
	}
	if _, err := Up(t.Context(), pair, opts); !errors.Is(err, ErrLabExists) {
		t.Errorf("up beside the leftovers: %v", err)
	}
	if err := Down(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	seen.mustBeGone(t)
}

func TestAnInterruptedUpTakesAwayWhatItMade(t *testing.T) {
	opts := testOptions(t, "ctrl-c")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen traces
	opts.Progress = func(step string) {
		if step == "guests" {
			seen = look(t, opts)
			cancel()
		}
	}
	if _, err := Up(ctx, pair, opts); !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted up: %v", err)
	}
	if len(seen.processes) < 4 {
		t.Errorf("it was interrupted before it made anything: %+v", seen)
	}
	seen.mustBeGone(t)
}

func TestAFailedUpTakesAwayWhatItMade(t *testing.T) {
	opts := testOptions(t, "failed")
	opts.Kernel = filepath.Join(opts.BinDir, "evenkeel-guest") // no kernel
	opts.Timeout = 20 * time.Second
	_, err := Up(t.Context(), pair, opts)
	if err == nil || !strings.Contains(err.Error(), "guests") {
		t.Fatalf("up with a kernel that is none: %v", err)
	}
	t.Log(err)
	look(t, opts).mustBeGone(t)
}
