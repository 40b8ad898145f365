package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// capabilityNames are those that the probes could conceivably need.
var capabilityNames = map[uintptr]string{
	unix.CAP_BPF: "CAP_BPF", unix.CAP_PERFMON: "CAP_PERFMON", unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN",
	unix.CAP_SYS_RESOURCE: "CAP_SYS_RESOURCE", unix.CAP_DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH", unix.CAP_SYS_PTRACE: "CAP_SYS_PTRACE",
}

// powers is what each feature is tried as, in the child; an error says no.
var powers = map[string]func() error{
	"scheduler": func() error {
		p, err := Open(Options{MaxThreads: 16})
		if err != nil {
			return err
		}
		return errors.Join(trackSelf(p), p.Close())
	},
	// Before 5.11 maps count as locked memory; a service manager's limit of
	// 64 KiB to 8 MiB is too little, and who may not raise it is refused.
	"scheduler-with-little-memlock": func() error {
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
			return err
		}
		p, err := Open(Options{MaxThreads: 16})
		if err != nil {
			return err
		}
		return errors.Join(trackSelf(p), p.Close())
	},
	FeatureOpenWaits: func() error {
		p, err := Open(Options{MaxThreads: 16})
		if err != nil {
			return err
		}
		defer p.Close()
		for _, f := range p.Features() {
			if f.Name == FeatureOpenWaits && !f.On {
				return fmt.Errorf("%w: %s", os.ErrPermission, f.Why)
			}
		}
		_, err = p.Read()
		return err
	},
	"block": func() error {
		b, err := OpenBlock(BlockOptions{MaxVMs: 2})
		if err != nil {
			return err
		}
		return errors.Join(b.Track(BlockTarget{VM: "a", PID: os.Getpid()}), b.attach(b.issue), b.Close())
	},
	"kernel-statistics": func() error {
		s, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		if err != nil {
			return err
		}
		return s.Close()
	},
	"schedstat-of-others": func() error {
		text, err := os.ReadFile("/proc/1/schedstat")
		if err == nil && len(text) == 0 {
			return io.ErrUnexpectedEOF
		}
		return err
	},
}

func trackSelf(p *Probes) error {
	if err := p.Track(Target{VM: "a", PID: os.Getpid(), Threads: threadsOf(os.Getpid())}); err != nil {
		return err
	}
	_, err := p.Read()
	return err
}

// TestPower is no test but the child: it has the capabilities that it was
// started with, and tells what it could do with them.
func TestPower(t *testing.T) {
	name := os.Getenv("EVENKEEL_TEST_POWER")
	if name == "" {
		return
	}
	do, ok := powers[name]
	if !ok {
		t.Fatalf("no power is called %q", name)
	}
	err := do()
	fmt.Println(err)
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, os.ErrPermission), errors.Is(err, ErrPermission):
		os.Exit(3)
	}
	os.Exit(1)
}

// nobody is a user who owns nothing.
const nobody = 65534

// as runs the test binary again, as nobody with just these capabilities.
func as(t *testing.T, binary, power string, caps []uintptr) (allowed bool, said string) {
	t.Helper()
	cmd := exec.Command(binary, "-test.run=^TestPower$")
	cmd.Env = []string{"EVENKEEL_TEST_POWER=" + power}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: caps}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	said = strings.TrimSpace(out.String())
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, said
	case errors.As(err, &exit) && exit.ExitCode() == 3:
		return false, said
	}
	t.Fatalf("%s with %v: %v: %s", power, named(caps), err, said)
	return false, ""
}

func named(caps []uintptr) (out []string) {
	for _, c := range caps {
		out = append(out, capabilityNames[c])
	}
	slices.Sort(out)
	return out
}

// What each feature needs, found by leaving out one capability after the other:
// what is left at the end cannot do without any of them.
func TestLeastPrivilege(t *testing.T) {
	if os.Geteuid() != 0 {
		lacking(t, "only root can give a child some of its powers")
	}
	open(t) // skips where even root cannot
	binary := public(t)
	have := grantable(t)
	needs := map[string]string{}
	for _, power := range slices.Sorted(maps.Keys(powers)) {
		caps := slices.Clone(have)
		if allowed, said := as(t, binary, power, caps); !allowed {
			t.Logf("%s: not even with %v: %s", power, named(caps), said)
			needs[power] = "more"
			continue
		}
		for _, c := range have {
			without := slices.DeleteFunc(slices.Clone(caps), func(x uintptr) bool { return x == c })
			if allowed, said := as(t, binary, power, without); allowed {
				caps = without
			} else {
				t.Logf("%s without %s: %s", power, capabilityNames[c], said)
			}
		}
		needs[power] = strings.Join(named(caps), ",")
		if len(caps) == 0 {
			needs[power] = "none"
		}
		t.Logf("%s needs %s", power, needs[power])
	}
	const two = "CAP_BPF,CAP_PERFMON"
	for _, power := range []string{"scheduler", FeatureOpenWaits, "block"} {
		if needs[power] != two {
			t.Errorf("%s needs %s, expected %s", power, needs[power], two)
		}
	}
	report(t, "needs", needs)
}

// A process that has too few is told which are meant, and not that a limit on
// locked memory might be too low.
func TestMissingCapabilitiesAreNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		lacking(t, "only root can give a child some of its powers")
	}
	open(t)
	binary := public(t)
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	for _, power := range []string{"scheduler", "block"} {
		for _, caps := range [][]uintptr{nil, {unix.CAP_BPF}, {unix.CAP_PERFMON}} {
			allowed, said := as(t, binary, power, caps)
			first, rest, _ := strings.Cut(said, "\n")
			if has(spec, "bpf_map", "memory") {
				rest = "" // before 5.11 that limit may really be too low
			}
			if allowed || !strings.Contains(first, "CAP_BPF") || !strings.Contains(first, "CAP_PERFMON") || strings.Contains(strings.ToUpper(first+rest), "MEMLOCK") {
				t.Errorf("%s with %v: allowed %v, said %q", power, named(caps), allowed, said)
			}
		}
	}
}

// grantable are the capabilities that this machine lets root hand on, the ones
// that we expect to need last: what can be left out is left out before.
func grantable(t *testing.T) (caps []uintptr) {
	t.Helper()
	for _, c := range []uintptr{
		unix.CAP_SYS_ADMIN, unix.CAP_SYS_RESOURCE, unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH,
		unix.CAP_PERFMON, unix.CAP_BPF,
	} {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if held == 1 {
			caps = append(caps, c)
		} else {
			t.Logf("this machine has no %s to give", capabilityNames[c])
		}
	}
	return caps
}

// public is a copy of this test binary that nobody may run: go test's own lies
// in a folder of root's.
func public(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "evenkeel-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "bpf.test")
	if err := os.WriteFile(binary, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return binary
}
