package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v4"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const (
	agentConfig  = "/etc/evenkeel/agent.yaml"
	agentSocket  = "/run/evenkeel/agent.sock"
	apiPort      = "7470"
	clusterPort  = "7471"
	relayPort    = "7473"
	certValidity = 90 * 24 * time.Hour // so that no warning of their end stands before others
	// agentNice keeps the daemon running on time between busy guests, as
	// CPUWeight does on a real hypervisor.
	agentNice = "-15"
)

// agentYAML is agent.yaml, as cmd/internal/config reads it.
type agentYAML struct {
	Role    string       `yaml:"role"`
	Host    agentHost    `yaml:"host"`
	Cluster agentCluster `yaml:"cluster"`
	Listen  struct {
		API     string `yaml:"api"`
		Cluster string `yaml:"cluster"`
	} `yaml:"listen"`
	TLS struct {
		CA   string `yaml:"ca"`
		Cert string `yaml:"cert"`
		Key  string `yaml:"key"`
	} `yaml:"tls"`
	Libvirt   *agentLibvirt   `yaml:"libvirt,omitempty"`
	Migration *agentMigration `yaml:"migration,omitempty"`
	StateDir  string          `yaml:"stateDir"`
	Socket    string          `yaml:"socket"`
	Lab       bool            `yaml:"lab"`
}

type (
	agentHost struct {
		Name   string `yaml:"name"`
		CPUs   string `yaml:"cpus,omitempty"`
		Memory string `yaml:"memory,omitempty"`
	}
	agentCluster struct {
		ID              string   `yaml:"id"`
		Peers           []string `yaml:"peers"`
		BootstrapExpect int      `yaml:"bootstrapExpect,omitempty"`
	}
	agentLibvirt struct {
		Socket string `yaml:"socket"`
	}
	agentMigration struct {
		Transport string `yaml:"transport"`
		Address   string `yaml:"address"`
		Listen    string `yaml:"listen"`
	}
)

// agentFiles writes what the hosts' agents need: a CA, a certificate and an
// agent.yaml each.
func (l *Lab) agentFiles() error {
	m := l.manifestCopy()
	now := time.Now()
	ca, err := certs.NewCA(m.ClusterID, now, 2*certValidity)
	if err != nil {
		return err
	}
	if err := ca.Save(filepath.Join(l.dir, "ca")); err != nil {
		return err
	}
	for _, h := range m.Hosts {
		if err := l.writeCertificate(ca, h, now); err != nil {
			return fmt.Errorf("certificate of %s: %w", h.Name, err)
		}
		data, err := yaml.Dump(agentConfigOf(m, h))
		if err != nil {
			return err
		}
		path := filepath.Join(l.hostDir(h.Name), "evenkeel/etc/agent.yaml")
		if err := os.WriteFile(path, data, 0o640); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) writeCertificate(ca *certs.CA, h HostState, now time.Time) error {
	address, err := netip.ParseAddr(h.Address)
	if err != nil {
		return err
	}
	request := certs.Request{
		Kind: cluster.KindAgent, Name: h.Name, MemberID: uuid.NewString(),
		IPs: []netip.Addr{address}, DNS: []string{h.Name},
	}
	if h.Role == RoleWitness {
		request.Kind = cluster.KindWitness
	}
	pair, err := ca.Issue(request, now, certValidity)
	if err != nil {
		return err
	}
	dir := filepath.Join(l.hostDir(h.Name), "evenkeel/etc/tls")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	bundle, err := os.ReadFile(filepath.Join(l.dir, "ca", certs.CACertFile))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), bundle, 0o644); err != nil {
		return err
	}
	return pair.Save(filepath.Join(dir, "host.pem"), filepath.Join(dir, "host.key"))
}

func agentConfigOf(m Manifest, h HostState) agentYAML {
	var y agentYAML
	y.Role, y.Host.Name, y.Lab = h.Role, h.Name, true
	y.Cluster.ID = m.ClusterID
	for i, peer := range m.Hosts {
		if peer.Name == h.Name && i < founders(len(m.Hosts)) {
			y.Cluster.BootstrapExpect = founders(len(m.Hosts))
		}
		y.Cluster.Peers = append(y.Cluster.Peers, net.JoinHostPort(peer.Address, clusterPort))
	}
	y.Listen.API = net.JoinHostPort(h.Address, apiPort)
	y.Listen.Cluster = net.JoinHostPort(h.Address, clusterPort)
	y.TLS.CA, y.TLS.Cert, y.TLS.Key = "/etc/evenkeel/tls/ca.pem", "/etc/evenkeel/tls/host.pem", "/etc/evenkeel/tls/host.key"
	y.StateDir, y.Socket = "/var/lib/evenkeel", agentSocket
	if h.Role == RoleHypervisor {
		y.Host.CPUs, y.Host.Memory = h.CPUs, h.Memory.String()
		y.Libvirt = &agentLibvirt{Socket: libvirtSocket}
		y.Migration = &agentMigration{Transport: m.Transport, Address: h.Address, Listen: net.JoinHostPort(h.Address, relayPort)}
	}
	return y
}

// founders is how many of n hosts found the cluster, an odd number that
// evenkeeld accepts; the others join it.
func founders(n int) int {
	switch {
	case n >= 5:
		return 5
	case n >= 3:
		return 3
	}
	return 1
}

// startAgent starts the host's evenkeeld and waits until its socket answers.
func (l *Lab) startAgent(ctx context.Context, host string) error {
	log := l.LogFile(host, "evenkeeld")
	p, err := l.startInHost(ctx, host, log, "nice", "-n", agentNice, "evenkeeld", "--config", agentConfig)
	if err != nil {
		return err
	}
	if err := l.recordHost(host, func(h *HostState) { h.Agent = p }); err != nil {
		return err
	}
	if err := p.ownSession(ctx); err != nil {
		return fmt.Errorf("evenkeeld of %s: %w", host, err)
	}
	if err := raiseAutogroup(p.PID, agentNice); err != nil {
		return err
	}
	socket, err := l.AgentSocket(host)
	if err != nil {
		return err
	}
	return poll(ctx, 50*time.Millisecond, "evenkeeld of "+host, func() (bool, error) {
		if !p.Alive() {
			return false, fmt.Errorf("evenkeeld of %s ended%s", host, logTail(log))
		}
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
}

// raiseAutogroup does for a process's session what nice does for its threads:
// where the kernel groups tasks by session (autogroup), nice only counts
// within a session, and each QEMU has one of its own. It never touches the
// session that the lab itself runs in.
func raiseAutogroup(pid int, nice string) error {
	ours, err := unix.Getsid(0)
	if err != nil {
		return fmt.Errorf("this process's session: %w", err)
	}
	if sid, err := unix.Getsid(pid); err == nil && sid == ours {
		return fmt.Errorf("raise the priority of process %d: it has no session of its own", pid)
	}
	err = os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "autogroup"), []byte(nice), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("raise the priority of process %d: %w", pid, err)
	}
	return nil
}

// AgentSocket is the unix socket of a host's evenkeeld, as the machine sees it:
// through the host's mount namespace, for the path in the state directory may
// be longer than the 107 bytes that a socket's address holds.
func (l *Lab) AgentSocket(host string) (string, error) { return l.HostPath(host, agentSocket) }

// AgentPID is the process of a host's evenkeeld.
func (l *Lab) AgentPID(host string) (int, error) {
	h, err := l.Host(host)
	if err != nil {
		return 0, err
	}
	if !h.Agent.Alive() {
		return 0, fmt.Errorf("evenkeeld of %s is not running", host)
	}
	return h.Agent.PID, nil
}

// SignalAgent sends a signal to a host's evenkeeld: SIGSTOP freezes it.
// SIGKILL is waited for.
func (l *Lab) SignalAgent(ctx context.Context, host string, sig syscall.Signal) error {
	h, err := l.Host(host)
	if err != nil {
		return err
	}
	if sig == syscall.SIGKILL {
		return h.Agent.kill(ctx)
	}
	return h.Agent.Signal(sig)
}

// StopAgent asks a host's evenkeeld to end and waits until it has.
func (l *Lab) StopAgent(ctx context.Context, host string) error {
	h, err := l.Host(host)
	if err != nil {
		return err
	}
	if err := h.Agent.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return poll(ctx, 10*time.Millisecond, "evenkeeld of "+host+" to end", func() (bool, error) {
		return !h.Agent.Alive(), nil
	})
}

// StartAgent starts a host's evenkeeld, with the identity and the data that it
// had before.
func (l *Lab) StartAgent(ctx context.Context, host string) error {
	return l.change(func() error {
		h, err := l.Host(host)
		if err != nil {
			return err
		}
		if h.Agent.Alive() {
			return fmt.Errorf("evenkeeld of %s is running (process %d)", host, h.Agent.PID)
		}
		return l.startAgent(ctx, host)
	})
}
