package config

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestFiles holds what each file in testdata leads to: the configuration with
// all its defaults, or every problem. Rewrite with -rewrite, then read the diff.
func TestFiles(t *testing.T) {
	datadriven.Walk(t, "testdata/files", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "load" {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			hostname := "hv1"
			d.MaybeScanArgs(t, "hostname", &hostname)
			cfg, err := parse("agent.yaml", []byte(d.Input), hostname)
			if err != nil {
				return err.Error() + "\n"
			}
			text, err := json.MarshalIndent(cfg, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			return string(text) + "\n"
		})
	})
}

const examplePath = "../../../deploy/agent.yaml.example"

func TestExampleSaysWhatItMeans(t *testing.T) {
	got, err := Load(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Role:      cluster.RoleHypervisor,
		Host:      Host{Name: "hv1", Zone: "rack-4", CPUs: procfs.CPUs{0, 1, 2, 3}, Memory: 4 * cluster.GiB},
		Cluster:   Cluster{ID: "5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11", Peers: []string{"10.199.0.1:7471", "10.199.0.2:7471", "10.199.0.3:7471"}, BootstrapExpect: 3},
		Listen:    Addresses{API: ":7470", Cluster: ":7471"},
		Metrics:   "127.0.0.1:7472",
		Advertise: Addresses{API: "10.199.0.1:7470", Cluster: "10.199.0.1:7471"},
		TLS:       TLS{CA: "/etc/evenkeel/tls/ca.pem", Cert: "/etc/evenkeel/tls/host.pem", Key: "/etc/evenkeel/tls/host.key"},
		Migration: Migration{Transport: TransportRelay, Address: "10.199.0.1", Listen: ":7473"},
		HoldFile:  "../../../deploy/hold",
		StateDir:  "/var/lib/evenkeel",
		Socket:    "/run/evenkeel/agent.sock",
		Roles:     roles.Default(),
		Journal:   Journal{Size: 2 * cluster.GiB},
		Log:       Log{Level: slog.LevelInfo},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the example differs (-want +got):\n%s", diff)
	}
}

// TestExampleShowsTheDefaults holds the example's promise: what is not marked
// as an example there is the default.
func TestExampleShowsTheDefaults(t *testing.T) {
	example, err := Load(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	least, err := parse("least.yaml", []byte(`{cluster: {id: 5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11, peers: ["10.199.0.1:7471"]}, advertise: {api: "10.199.0.1:7470", cluster: "10.199.0.1:7471"}}`), "hv1")
	if err != nil {
		t.Fatal(err)
	}
	example.Host.Zone, example.Host.CPUs, example.Host.Memory, example.Cluster, example.HoldFile = "", nil, 0, least.Cluster, ""
	if diff := cmp.Diff(least, example); diff != "" {
		t.Errorf("defaults (-) and example (+) differ:\n%s", diff)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "agent.yaml")
	if _, err := Load(missing); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: %v", err)
	}
	for name, data := range map[string][]byte{
		"is larger than": []byte("# " + strings.Repeat("x", MaxFile)),
		"not UTF-8":      {'r', 0xff, 0xfe},
	} {
		path := filepath.Join(t.TempDir(), "agent.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		var problems Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), name) || problems[0].File != path {
			t.Errorf("want a problem with %q that names %s, got %v", name, path, err)
		}
	}
}

func TestMigrationURIs(t *testing.T) {
	for _, c := range []struct {
		migration Migration
		peer, uri string
	}{
		{Migration{TransportRelay, "10.199.0.1", ":7473"}, "relay://10.199.0.1:7473/run/evenkeel/relay", "relay://10.199.0.1:7473/run/evenkeel/relay"},
		{Migration{TransportRelay, "fd00::1", "[fd00::1]:7473"}, "relay://[fd00::1]:7473/run/evenkeel/relay", "relay://[fd00::1]:7473/run/evenkeel/relay"},
		{Migration{TransportTCP, "10.199.0.1", ""}, "qemu+tcp://10.199.0.1/system", "tcp://10.199.0.1"},
		{Migration{TransportTLS, "hv1.example", ""}, "qemu+tls://hv1.example/system", "tcp://hv1.example"},
		{Migration{TransportSSH, "fd00::1", ""}, "qemu+ssh://[fd00::1]/system", "tcp://[fd00::1]"},
	} {
		cfg := Config{Migration: c.migration, Socket: "/run/evenkeel/agent.sock"}
		if got := cfg.PeerURI(); got != c.peer {
			t.Errorf("%+v: peer URI %s, want %s", c.migration, got, c.peer)
		}
		if got := cfg.MigrateURI(); got != c.uri {
			t.Errorf("%+v: memory URI %s, want %s", c.migration, got, c.uri)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]cluster.Bytes{"0B": 0, "1KiB": 1 << 10, "512MiB": 512 << 20, "4GiB": 4 << 30, "1TiB": 1 << 40, "1024TiB": 1 << 50} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "4", "GiB", "4G", "4GB", "4gib", "1.5GiB", "-1GiB", "+1GiB", "4 GiB", "1025TiB", "99999999999999999999B", "1e3MiB", "4GiBGiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

// FuzzParse: nothing panics, a refusal explains itself, and what is accepted
// keeps within its bounds.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile(examplePath)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte("cluster: [\n\t"))
	f.Add([]byte("a: &a [*a]\n<<: *a\nhost: {memory: 1TiB, cpus: 0-8191}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parse("agent.yaml", data, "hv1")
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("refused without problems: %v", err)
			}
			for _, p := range problems {
				if p.What == "" || p.Remedy == "" {
					t.Errorf("problem without words or remedy: %+v", p)
				}
			}
			return
		}
		if n := cfg.Cluster.BootstrapExpect; n > len(cfg.Cluster.Peers) || n < 0 {
			t.Errorf("expects %d members of %d peers", n, len(cfg.Cluster.Peers))
		}
		if cfg.Host.Memory < 0 || cfg.Host.Memory > maxSize || len(cfg.Host.CPUs) > procfs.MaxCPUs {
			t.Errorf("host out of bounds: %+v", cfg.Host)
		}
		if cfg.Role == cluster.RoleWitness {
			return
		}
		for _, uri := range []string{cfg.PeerURI(), cfg.MigrateURI()} {
			if _, err := url.Parse(uri); err != nil {
				t.Errorf("migration leads to an odd URI: %v", err)
			}
		}
	})
}
