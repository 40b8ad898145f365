package config

import (
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/agent/relay"
	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// DefaultPath is where the daemon looks for its configuration.
const DefaultPath = "/etc/evenkeel/agent.yaml"

// Config is agent.yaml after checking, with the defaults filled in.
type Config struct {
	Role      cluster.Role
	Host      Host
	Cluster   Cluster
	Listen    Addresses
	Metrics   string    // host:port of the read-only listener for /metrics and /healthz; empty: none
	Advertise Addresses // what other members and operators dial
	TLS       TLS
	Libvirt   Libvirt   // of hypervisors only
	Migration Migration // of hypervisors only
	StateDir  string
	Socket    string       // unix socket for operators on this host
	Roles     roles.Grants // what users and groups of this host may do at the socket
	Journal   Journal
	Webhooks  []Webhook `json:",omitempty"`
	Log       Log
	HoldFile  string // while it is there the host neither gives nor takes VMs: `hold` beside agent.yaml
	Lab       bool   // a test fleet on one machine: `mode auto` asks for nothing
}

// Host describes the machine as far as it cannot or should not be measured.
type Host struct {
	Name   string        // default: the host name
	Zone   string        // what fails together: a room, a rack; empty: this host alone
	CPUs   procfs.CPUs   // for VMs; empty: those that libvirt's slice allows
	Memory cluster.Bytes // for VMs; 0: MemTotal less the larger of 2 GiB and 5 %
}

// Cluster says which cluster the host belongs to.
type Cluster struct {
	ID    string   // UUID, the one in the certificates
	Peers []string // host:port of members to find the cluster by; may name this host
	// BootstrapExpect is how many members must see each other before they found
	// the cluster, if none of them knows of one: 1, 3 or 5. 0: never found one,
	// only join.
	BootstrapExpect int
}

// Addresses are host:port.
type Addresses struct {
	API     string // HTTPS for operators, 7470
	Cluster string // Raft and the agents' streams, 7471
}

// TLS names files of PEM.
type TLS struct {
	CA, Cert, Key string
}

// Libvirt says how to reach the host's libvirtd.
type Libvirt struct {
	Socket string // empty: the usual places of the monolithic and the modular daemon
}

// Transport is how VMs get to this host: how its libvirtd is reached, and its
// QEMU.
type Transport string

// The transports.
const (
	TransportRelay Transport = "relay" // through evenkeel's relays, over the cluster's own mutual TLS
	TransportTCP   Transport = "tcp"   // no encryption: closed networks only
	TransportTLS   Transport = "tls"   // libvirt's own TLS, and QEMU's for the memory
	TransportSSH   Transport = "ssh"   // root's SSH, for libvirt's orders only: the memory is not encrypted
)

// Migration says how VMs get to this host.
type Migration struct {
	Transport Transport
	Address   string // IP address or host name, without port
	Listen    string // host:port of the relay
}

// PeerURI returns the libvirt URI by which the source's libvirtd reaches this
// host's, or where the relay is.
func (c Config) PeerURI() string {
	m := c.Migration
	if m.Transport == TransportRelay {
		_, port, _ := net.SplitHostPort(m.Listen)
		return relay.URI(net.JoinHostPort(m.Address, port), c.RelayDir())
	}
	return "qemu+" + string(m.Transport) + "://" + m.host() + "/system"
}

// MigrateURI returns where the source's QEMU sends the VM's memory. Libvirt
// picks the port.
func (c Config) MigrateURI() string {
	if c.Migration.Transport == TransportRelay {
		return c.PeerURI()
	}
	return "tcp://" + c.Migration.host()
}

// RelayDir is where the relay keeps the sockets of the moves in hand.
func (c Config) RelayDir() string { return filepath.Join(filepath.Dir(c.Socket), "relay") }

// RelayControl is the socket by which the daemon commands the relay.
func (c Config) RelayControl() string { return filepath.Join(filepath.Dir(c.Socket), "relay.sock") }

// host is the address as URIs want it.
func (m Migration) host() string {
	if strings.Contains(m.Address, ":") {
		return "[" + m.Address + "]"
	}
	return m.Address
}

// Journal is a voter's memory of what was applied.
type Journal struct {
	Size cluster.Bytes // of its files together; 0: no journal
}

// Log says what is logged.
type Log struct {
	Level slog.Level
}

// defaults are the values of keys that the file does not have.
func defaults(hostname string) Config {
	return Config{
		Role:      cluster.RoleHypervisor,
		Host:      Host{Name: hostname},
		Listen:    Addresses{API: ":7470", Cluster: ":7471"},
		Metrics:   "127.0.0.1:7472",
		TLS:       TLS{CA: "/etc/evenkeel/tls/ca.pem", Cert: "/etc/evenkeel/tls/host.pem", Key: "/etc/evenkeel/tls/host.key"},
		Migration: Migration{Transport: TransportRelay, Listen: ":7473"},
		StateDir:  "/var/lib/evenkeel",
		Socket:    "/run/evenkeel/agent.sock",
		Roles:     roles.Default(),
		Journal:   Journal{Size: 2 * cluster.GiB},
		Log:       Log{Level: slog.LevelInfo},
	}
}

// derive fills in what follows from other keys: the addresses to advertise
// from those to listen on if they are concrete, the one for migration from the
// one for the cluster.
func (c *Config) derive() {
	for _, pair := range []struct{ to, from *string }{
		{&c.Advertise.API, &c.Listen.API},
		{&c.Advertise.Cluster, &c.Listen.Cluster},
	} {
		if *pair.to == "" && concrete(*pair.from) {
			*pair.to = *pair.from
		}
	}
	if c.Role == cluster.RoleWitness {
		c.Migration = Migration{}
		return
	}
	if c.Migration.Address == "" {
		c.Migration.Address, _, _ = net.SplitHostPort(c.Advertise.Cluster)
	}
}

// concrete says whether others can dial the address: it names a host.
func concrete(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsUnspecified()
}
