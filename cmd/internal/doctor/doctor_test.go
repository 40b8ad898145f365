package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const clusterID = "5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11"

// wants checks a finding: its verdict, and words of its reason or fix.
func wants(t *testing.T, f Finding, v Verdict, words string) {
	t.Helper()
	if f.Verdict != v || !strings.Contains(f.Reason+" | "+f.Fix, words) {
		t.Errorf("%s %q, fix %q; want %s with %q", f.Verdict, f.Reason, f.Fix, v, words)
	}
	if (f.Verdict == Warn || f.Verdict == Fail) && f.Fix == "" {
		t.Errorf("%s %q has no fix", f.Verdict, f.Reason)
	}
}

// host writes a certificate and a configuration that fit together.
func host(t *testing.T, kind cluster.Kind, validity time.Duration) *visit {
	t.Helper()
	dir := t.TempDir()
	now := time.Now()
	ca, err := certs.NewCA(clusterID, now, 100*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Save(dir); err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(certs.Request{Kind: kind, Name: "hv1", MemberID: "11111111-1111-4111-8111-111111111111"}, now, validity)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Save(filepath.Join(dir, "host.pem"), filepath.Join(dir, "host.key")); err != nil {
		t.Fatal(err)
	}
	return &visit{
		Patient:    Patient{Now: func() time.Time { return now }},
		configured: true,
		cfg: config.Config{
			Role: cluster.RoleHypervisor, Cluster: config.Cluster{ID: clusterID}, StateDir: filepath.Join(dir, "state", "deep"),
			TLS:    config.TLS{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "host.pem"), Key: filepath.Join(dir, "host.key")},
			Listen: config.Addresses{API: "127.0.0.1:0", Cluster: "127.0.0.1:0"}, Socket: filepath.Join(dir, "agent.sock"),
		},
	}
}

func TestCertificates(t *testing.T) {
	const long = 90 * 24 * time.Hour
	wants(t, host(t, cluster.KindAgent, long).certificates(), Pass, "agent hv1")
	wants(t, host(t, cluster.KindAgent, 10*24*time.Hour).certificates(), Warn, "expires in")
	wants(t, host(t, cluster.KindWitness, long).certificates(), Fail, "is of kind witness, the role is hypervisor")
	wants(t, host(t, cluster.KindOperator, long).certificates(), Fail, "is of kind operator")

	v := host(t, cluster.KindAgent, long)
	v.cfg.Cluster.ID = "00000000-0000-4000-8000-000000000000"
	wants(t, v.certificates(), Fail, "use a certificate of this cluster")

	v = host(t, cluster.KindAgent, long)
	v.cfg.TLS.Key = filepath.Join(filepath.Dir(v.cfg.TLS.Key), "ca.key")
	wants(t, v.certificates(), Fail, "key does not belong to the certificate")

	v = host(t, cluster.KindAgent, long)
	if err := os.Chmod(v.cfg.TLS.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	wants(t, v.certificates(), Fail, "chmod 600")

	v = host(t, cluster.KindAgent, time.Millisecond)
	time.Sleep(5 * time.Millisecond) // certificates have no finer clock than the machine's
	wants(t, v.certificates(), Fail, "expired")
}

func TestConfiguration(t *testing.T) {
	v := &visit{Patient: Patient{ConfigPath: filepath.Join(t.TempDir(), "agent.yaml")}}
	wants(t, v.configuration(), Fail, "no such file")
	if err := os.WriteFile(v.ConfigPath, []byte("rol: witness\nadvertise: {api: \"10.0.0.1:7470\", cluster: \"10.0.0.1:7471\"}\ncluster: {id: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := v.configuration()
	wants(t, f, Fail, "evenkeel config validate "+v.ConfigPath)
	wants(t, f, Fail, ":1:1: rol: unknown key; did you mean role? (and ")
	if v.configured {
		t.Error("a bad configuration counts as read")
	}
}

// tree is a machine's /proc and /sys.
func tree(files map[string]string) procfs.Reader {
	fs := fstest.MapFS{}
	for path, text := range files {
		fs[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return procfs.New(fs)
}

func TestKernel(t *testing.T) {
	v := &visit{Patient: Patient{Proc: tree(nil)}}
	wants(t, v.kernel(), Fail, "CONFIG_DEBUG_INFO_BTF")
	v.Proc = tree(map[string]string{"sys/kernel/btf/vmlinux": strings.Repeat("x", 2048)})
	wants(t, v.kernel(), Pass, "type information of 2 KiB")
}

func TestCapabilities(t *testing.T) {
	status := func(hex string) procfs.Reader {
		return tree(map[string]string{"proc/self/status": "Name:\tx\nCapEff:\t" + hex + "\nThreads:\t1\n"})
	}
	lacking := Fail
	if os.Geteuid() != 0 {
		lacking = Warn // it says nothing about the daemon
	}
	for hex, want := range map[string]Verdict{
		"000001ffffffffff": Pass,
		"000000c000000000": Pass, // CAP_PERFMON and CAP_BPF
		"0000000000200000": Pass, // CAP_SYS_ADMIN
		"0000008000000000": lacking,
		"0000000000000000": lacking,
	} {
		v := &visit{Patient: Patient{Proc: status(hex)}}
		wants(t, v.capabilities(), want, "CAP")
		if want != Pass && os.Geteuid() != 0 {
			wants(t, v.capabilities(), want, "run doctor as root")
		}
	}
	v := &visit{Patient: Patient{Proc: tree(nil)}}
	wants(t, v.capabilities(), Fail, "mount /proc")
}

func TestProbe(t *testing.T) {
	for _, c := range []struct {
		features []bpf.Feature
		err      error
		verdict  Verdict
		words    string
	}{
		{[]bpf.Feature{{Name: "culprits", On: true}, {Name: "quota", On: true}}, nil, Pass, "loads and attaches: culprits, quota"},
		{[]bpf.Feature{{Name: "culprits", On: true}, {Name: "quota", Why: "too old"}}, nil, Warn, "without quota (too old)"},
		{nil, fmt.Errorf("probe: %w: no BTF", bpf.ErrUnsupported), Fail, "without it waits come from schedstat"},
		{nil, errors.New("verifier says no"), Fail, "report it"},
	} {
		v := &visit{Patient: Patient{Probe: func() ([]bpf.Feature, error) { return c.features, c.err }}}
		wants(t, v.probe(), c.verdict, c.words)
	}
	v := &visit{Patient: Patient{Probe: func() ([]bpf.Feature, error) { return nil, bpf.ErrPermission }}}
	want := Fail
	if os.Geteuid() != 0 {
		want = Warn
	}
	wants(t, v.probe(), want, "")
}

func TestThreads(t *testing.T) {
	v := &visit{
		Patient: Patient{Proc: tree(map[string]string{"proc/70/task/71/schedstat": "10 20 3\n", "proc/70/task/72/schedstat": "10 20 3\n"})},
		guests:  []agent.Guest{{Name: "db-01", PID: 70, VCPUThreads: []int{71, -1, 72}}},
	}
	wants(t, v.threads(), Pass, "2 vCPUs of 1 VMs")
	v.guests = append(v.guests, agent.Guest{Name: "lost"}, agent.Guest{Name: "gone", PID: 80, VCPUThreads: []int{81}})
	f := v.threads()
	wants(t, f, Fail, "lost: no QEMU process found")
	wants(t, f, Fail, "gone vCPU 0")
	v.guests = nil
	wants(t, v.threads(), Skip, "no VM runs here")
	v.listed = errNotLooked
	wants(t, v.threads(), Skip, "libvirt does not list VMs")
}

func TestStateDir(t *testing.T) {
	v := host(t, cluster.KindAgent, time.Hour)
	f := v.stateDir()
	if f.Verdict == Skip || !strings.Contains(f.Reason, "a sync takes") {
		t.Errorf("%+v", f)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(v.cfg.TLS.CA), ".evenkeel-doctor-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	v.cfg.StateDir = v.cfg.TLS.Cert
	wants(t, v.stateDir(), Fail, "is no folder")
}

func TestPorts(t *testing.T) {
	v := host(t, cluster.KindAgent, time.Hour)
	wants(t, v.ports(), Pass, "are free")
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	v.cfg.Listen.API = lis.Addr().String()
	wants(t, v.ports(), Pass, "the running evenkeeld's")
	v.daemon = errors.New("nobody answers")
	wants(t, v.ports(), Fail, "is taken, and not by an evenkeeld")
	v.cfg.Listen.API = "192.0.2.1:7470" // TEST-NET: no host has it
	wants(t, v.ports(), Fail, "to an address of this host")
}

func TestMigration(t *testing.T) {
	v := host(t, cluster.KindAgent, time.Hour)
	v.cfg.Migration = config.Migration{Transport: config.TransportTCP, Address: "10.0.0.1"}
	wants(t, v.migration(), Warn, "unencrypted")
	v.cfg.Lab = true
	wants(t, v.migration(), Pass, "qemu+tcp://10.0.0.1/system")
}

func TestSkew(t *testing.T) {
	peer := func(name string, answers bool, ahead float64) api.Peer {
		return api.Peer{Name: name, Answers: answers, ClockAheadSeconds: ahead, Message: "no answer within 1s"}
	}
	v := &visit{members: []api.Peer{peer("hv1", true, 0), peer("hv2", true, -0.4)}}
	wants(t, v.skew(), Pass, "2 members answer")
	v.members[1].ClockAheadSeconds = -2
	wants(t, v.skew(), Warn, "hv2 by -2.0 s")
	v.members[1].ClockAheadSeconds = 9
	wants(t, v.skew(), Fail, "hv2 by +9.0 s")
	v.members[1] = peer("hv2", false, 0)
	wants(t, v.skew(), Warn, "hv2: no answer within 1s")
	v.daemon = errors.New("nobody")
	wants(t, v.skew(), Skip, "no evenkeeld answers")
}

// Without a configuration every check still says something, and nothing is
// said twice.
func TestExamineAnEmptyHost(t *testing.T) {
	findings := Examine(t.Context(), Patient{
		ConfigPath: filepath.Join(t.TempDir(), "none.yaml"), Proc: procfs.Host(), Now: time.Now, Probe: func() ([]bpf.Feature, error) { return nil, nil },
		Members: func(context.Context, string) ([]api.Peer, error) { return nil, errors.New("nobody") },
	})
	seen := map[string]bool{}
	for _, f := range findings {
		if seen[f.Check] || f.Check == "" || f.Reason == "" {
			t.Errorf("%+v", f)
		}
		seen[f.Check] = true
	}
	if !Failed(findings) || len(findings) < 12 {
		t.Errorf("%d findings, failed %v", len(findings), Failed(findings))
	}
}

// The real kernel, where the tests may use it.
func TestRealProbe(t *testing.T) {
	p, err := bpf.Open(bpf.Options{MaxThreads: 1})
	if err != nil {
		if strings.Contains(os.Getenv("EVENKEEL_REQUIRE"), "bpf") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	v := &visit{Patient: Patient{Proc: procfs.Host(), Probe: func() ([]bpf.Feature, error) { return nil, nil }}}
	wants(t, v.kernel(), Pass, "type information")
	wants(t, v.schedstat(), Pass, "accounts")
	wants(t, v.capabilities(), Pass, "CAP_BPF")
}
