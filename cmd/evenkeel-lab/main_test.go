package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

func runTest(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// TestHelp holds every command's help and defaults.
func TestHelp(t *testing.T) {
	for _, command := range []string{"", "up", "down", "status", "exec", "run", "demo"} {
		args := slices.DeleteFunc([]string{command, "--help"}, func(s string) bool { return s == "" })
		code, got, _ := runTest(t, args...)
		if code != 0 {
			t.Fatalf("%q: exit code %d", args, code)
		}
		golden := filepath.Join("testdata", "help-"+command+".txt")
		if command == "" {
			golden = "testdata/help.txt"
		}
		if *rewrite {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%q prints\n%s\nwant (%s; -rewrite accepts it)\n%s", args, got, golden, want)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"status --jsn", exitUsage, "unknown flag: --jsn"},
		{"exec hv1", exitUsage, "usage: evenkeel-lab exec HOST -- COMMAND"},
		{"exec -- virsh list", exitUsage, "usage: evenkeel-lab exec HOST -- COMMAND"},
		{"down now", exitUsage, "usage: evenkeel-lab down"},
		{"up one two", exitUsage, "usage: evenkeel-lab up"},
		{"up no-such-scenario", exitFailed, "demo"},
		{"status", exitFailed, "evenkeel-lab up"},
		{"exec hv1 -- true", exitFailed, "evenkeel-lab up"},
		{"frobnicate", exitUsage, "unknown command"},
		{"statsu", exitUsage, "did you mean status"},
	} {
		args := append(strings.Fields(tt.args), "--state-dir", empty)
		if i := slices.Index(args, "--"); i >= 0 { // what follows -- is not ours
			args = append([]string{"--state-dir", empty}, strings.Fields(tt.args)...)
		}
		code, _, stderr := runTest(t, args...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: exit code %d and %q, want %d and %q", tt.args, code, stderr, tt.code, tt.want)
		}
	}
}

func TestChangesAreToldInWords(t *testing.T) {
	age := 5 * time.Second
	young := time.Second
	before := lab.Status{
		Hosts: []lab.HostStatus{{Name: "hv1", Libvirtd: 10, Agent: 11}, {Name: "hv2", Libvirtd: 20}},
		Guests: []lab.GuestStatus{
			{Name: "a", UUID: "1", Hosts: []string{"hv1"}, Boots: 1, Age: &young},
			{Name: "b", UUID: "2", Hosts: []string{"hv1"}, Boots: 1, Age: &young},
		},
	}
	after := lab.Status{
		Hosts: []lab.HostStatus{{Name: "hv1", Libvirtd: 10}, {Name: "hv2", Libvirtd: 20, Agent: 21}},
		Guests: []lab.GuestStatus{
			{Name: "a", UUID: "1", Hosts: []string{"hv2"}, Boots: 1, Age: &young},
			{Name: "b", UUID: "2", Hosts: []string{"hv1"}, Boots: 2, Missing: 3, Age: &age},
			{Name: "c", UUID: "3", Hosts: []string{"hv2"}},
		},
	}
	want := []string{
		"evenkeeld on hv1 ended (process 11)",
		"evenkeeld on hv2 started (process 21)",
		"a: on hv2, was on hv1",
		"b booted again",
		"b: 3 heartbeats are missing",
		"b: no heartbeat for 5.0 s",
		"c started on hv2",
	}
	if got := changes(before, after); !slices.Equal(got, want) {
		t.Errorf("changes:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := changes(after, after); len(got) > 0 {
		t.Errorf("nothing changed, but it says %q", got)
	}
}

func TestStatusTable(t *testing.T) {
	age := 300 * time.Millisecond
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out bytes.Buffer
	err := printStatus(&out, lab.Status{
		Name: "lab", StateDir: "/s", CreatedAt: now.Add(-90 * time.Second),
		Hosts: []lab.HostStatus{
			{Name: "hv1", Role: "hypervisor", Address: "10.199.0.1", CPUs: "0", Up: true, Libvirtd: 10, Agent: 11, Guests: []string{"a"}},
			{Name: "witness", Role: "witness", Address: "10.199.0.2", CPUs: "0-1"},
		},
		Guests: []lab.GuestStatus{
			{Name: "a", Hosts: []string{"hv1", "hv2"}, VCPUs: 1, Load: "cpu:100", Beats: 3, LongestGap: 1100 * time.Millisecond, Age: &age, Work: 7},
			{Name: "b", VCPUs: 2},
		},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := `lab lab in /s, up, made 1m30s ago

HOST     ROLE        ADDRESS     CPUS  UP   LIBVIRTD  EVENKEELD  GUESTS
hv1      hypervisor  10.199.0.1  0     yes  10        11         a
witness  witness     10.199.0.2  0-1   no   -         -          -

GUEST  ON       VCPUS  LOAD     BEATS  MISSING  LONGEST GAP  LAST BEAT  WORK
a      hv1+hv2  1      cpu:100  3      0        1.1 s        0.3 s ago  7
b      -        2      -        0      0        0.0 s        none yet   0
`
	if out.String() != want {
		t.Errorf("status:\n%s\nwant\n%s", out.String(), want)
	}
}
