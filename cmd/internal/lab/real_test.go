package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// need skips a test on a machine that cannot run labs, unless EVENKEEL_REQUIRE
// names what is missing: then it fails.
func need(t *testing.T) {
	t.Helper()
	required := strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ",")
	err := checkMachine(Options{BinDir: t.TempDir(), NoAgents: true})
	var missing []string
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			if !strings.Contains(line, "evenkeel-guest is missing") { // built below
				missing = append(missing, line)
			}
		}
	}
	if _, err := machineCpuset(); err != nil {
		missing = append(missing, err.Error())
	}
	if len(missing) == 0 {
		return
	}
	if slices.Contains(required, "libvirt") || slices.Contains(required, "qemu") {
		t.Fatalf("EVENKEEL_REQUIRE=%s: %q", os.Getenv("EVENKEEL_REQUIRE"), missing)
	}
	t.Skipf("no lab on this machine: %q", missing)
}

// binaries builds evenkeel-lab, the guests' init and stand-ins for evenkeeld and
// evenkeel once: here the lab is tested, not what runs on it.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "evenkeel-lab-test-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	for name, pkg := range map[string]string{
		"evenkeel-guest": "github.com/evenkeel/evenkeel/cmd/internal/lab/guest",
		"evenkeel-lab":   "github.com/evenkeel/evenkeel/cmd/evenkeel-lab",
		"evenkeeld":      "github.com/evenkeel/evenkeel/cmd/internal/lab/testdata/standin",
		"evenkeel":       "github.com/evenkeel/evenkeel/cmd/internal/lab/testdata/standin",
	} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", filepath.Join(dir, name), pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

// builtIn is the directory of the binaries, once they are built.
var builtIn string

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// testOptions are those of a lab of the test's own.
func testOptions(t *testing.T, name string) Options {
	t.Helper()
	need(t)
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Name: fmt.Sprintf("%s-%d", name, os.Getpid()), StateDir: filepath.Join(t.TempDir(), "lab"), BinDir: bin, NoAgents: true,
		Progress: func(step string) { t.Log(step) },
	}
}

// traces are the things of a lab that live outside its state directory.
type traces struct {
	stateDir, cgroup string
	processes        []Process
	namespaces       []string // such as net:[4026532000]
}

// look finds a lab's traces while it lives, whole or in pieces.
func look(t *testing.T, opts Options) traces {
	t.Helper()
	set, err := machineCpuset()
	if err != nil {
		t.Fatal(err)
	}
	group := set.lab(opts.Name)
	seen := traces{stateDir: opts.StateDir, cgroup: group.path}
	pids, err := group.processes()
	if err != nil {
		t.Fatal(err)
	}
	own := namespacesOf(os.Getpid())
	for _, pid := range pids {
		if p, err := identify(pid); err == nil {
			seen.processes = append(seen.processes, p)
		}
		for _, ns := range namespacesOf(pid) {
			if !slices.Contains(own, ns) && !slices.Contains(seen.namespaces, ns) {
				seen.namespaces = append(seen.namespaces, ns)
			}
		}
	}
	return seen
}

func namespacesOf(pid int) []string {
	var found []string
	for _, kind := range []string{"net", "mnt", "uts"} {
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil {
			found = append(found, ns)
		}
	}
	return found
}

// mustBeGone fails for each trace that is left.
func (seen traces) mustBeGone(t *testing.T) {
	t.Helper()
	for _, path := range []string{seen.stateDir, seen.cgroup} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left over: %s (%v)", path, err)
		}
	}
	for _, p := range seen.processes {
		if p.Alive() {
			t.Errorf("left over: process %d", p.PID)
		}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		for _, ns := range namespacesOf(pid) {
			if slices.Contains(seen.namespaces, ns) {
				t.Errorf("left over: namespace %s, held by process %d", ns, pid)
			}
		}
		if line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")); strings.Contains(string(line), seen.stateDir) && pid != os.Getpid() {
			t.Errorf("left over: process %d: %q", pid, line)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), seen.stateDir) {
		t.Errorf("left over: a mount of %s", seen.stateDir)
	}
}

// upForTest builds a lab that the test's end takes down, and checks that
// nothing is left then.
func upForTest(t *testing.T, s Scenario, opts Options) *Lab {
	t.Helper()
	l, err := Up(t.Context(), s, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		seen := look(t, opts)
		if len(seen.processes) == 0 || len(seen.namespaces) == 0 {
			t.Errorf("a lab that is up has no traces: %+v", seen)
		}
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
		seen.mustBeGone(t)
	})
	return l
}

func eventually(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll(ctx, 50*time.Millisecond, what, done); err != nil {
		t.Fatal(err)
	}
}
