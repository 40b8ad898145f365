package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// planOnly is a lab of which nothing exists but the plan.
func planOnly(t *testing.T, s Scenario) *Lab {
	t.Helper()
	s.fillDefaults()
	m := Manifest{Version: manifestVersion, Name: "t", ClusterID: uuid.NewString(), Transport: s.Transport}
	for i, h := range s.Hypervisors {
		m.Hosts = append(m.Hosts, HostState{Name: h.Name, Role: RoleHypervisor, Address: hostAddress(i), CPUs: "0-1,3", Memory: h.Memory})
	}
	if s.Witness {
		m.Hosts = append(m.Hosts, HostState{Name: witnessName, Role: RoleWitness, Address: hostAddress(len(m.Hosts)), CPUs: "0-3"})
	}
	l := &Lab{dir: t.TempDir(), manifest: m}
	if err := l.makeDirs(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// loadConfig reads a host's agent.yaml with the reader that evenkeeld uses.
func loadConfig(t *testing.T, l *Lab, host string) config.Config {
	t.Helper()
	c, err := config.Load(filepath.Join(l.hostDir(host), "evenkeel/etc/agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEvenkeeldReadsWhatTheLabWrites(t *testing.T) {
	l := planOnly(t, pair)
	if err := l.agentFiles(); err != nil {
		t.Fatal(err)
	}
	c := loadConfig(t, l, "hv2")
	if c.Role != cluster.RoleHypervisor || c.Host.Name != "hv2" || c.Host.Memory != 4<<30 || c.Host.CPUs.String() != "0-1,3" {
		t.Errorf("hv2 is %+v", c.Host)
	}
	if c.Cluster.ID != l.ClusterID() || c.Cluster.BootstrapExpect != 3 || len(c.Cluster.Peers) != 3 || c.Cluster.Peers[0] != "10.199.0.1:7471" {
		t.Errorf("its cluster is %+v", c.Cluster)
	}
	if c.Listen.API != "10.199.0.2:7470" || c.Libvirt.Socket != libvirtSocket || c.Migration.Address != "10.199.0.2" || !c.Lab {
		t.Errorf("it is %+v", c)
	}
	if w := loadConfig(t, l, witnessName); w.Role != cluster.RoleWitness {
		t.Errorf("the witness is %+v", w)
	}
}

func TestCertificatesSayWhoIsWho(t *testing.T) {
	l := planOnly(t, pair)
	if err := l.agentFiles(); err != nil {
		t.Fatal(err)
	}
	members := map[string]bool{}
	for host, kind := range map[string]cluster.Kind{"hv1": cluster.KindAgent, "hv2": cluster.KindAgent, witnessName: cluster.KindWitness} {
		dir := filepath.Join(l.hostDir(host), "evenkeel/etc/tls")
		material, err := certs.LoadTLS(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "host.pem"), filepath.Join(dir, "host.key"))
		if err != nil {
			t.Fatal(err)
		}
		id := material.Identity()
		if id.Kind != kind || id.Name != host || id.ClusterID != l.ClusterID() {
			t.Errorf("%s is certified as %+v", host, id)
		}
		members[id.MemberID] = true
		if left := time.Until(material.NotAfter()); left < 24*time.Hour {
			t.Errorf("%s is certified for %v only", host, left)
		}
		if info, err := os.Stat(filepath.Join(dir, "host.key")); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("the key of %s: %v, %v", host, info.Mode(), err)
		}
	}
	if len(members) != 3 {
		t.Errorf("member ids %v", members)
	}
}

func TestAnOddNumberFoundsTheCluster(t *testing.T) {
	for hosts, want := range map[int][]int{
		1: {1},
		2: {1, 0},
		3: {3, 3, 3},
		4: {3, 3, 3, 0},
		6: {5, 5, 5, 5, 5, 0},
	} {
		s := Scenario{}
		for i := range hosts {
			s.Hypervisors = append(s.Hypervisors, Hypervisor{Name: string(rune('a' + i))})
		}
		l := planOnly(t, s)
		if err := l.agentFiles(); err != nil {
			t.Fatal(err)
		}
		for i, h := range s.Hypervisors {
			if got := loadConfig(t, l, h.Name).Cluster.BootstrapExpect; got != want[i] {
				t.Errorf("host %d of %d expects %d founders, want %d", i+1, hosts, got, want[i])
			}
		}
	}
}
