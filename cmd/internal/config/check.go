package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const (
	maxPeers      = 256       // more would not help to find the cluster
	maxSocketPath = 107       // bytes, sockaddr_un less the final zero
	minMemory     = 256 << 20 // bytes, what one VM costs before it has any memory
	minJournal    = 16 << 20  // bytes; less would hold hardly more than checkpoints
)

// hostName is what a host may be called: what DNS and certificates can hold.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

// check judges the values, each alone and then together.
func (s *source) check(c *Config) {
	s.checkRole(c)
	s.checkHost(c)
	s.checkCluster(&c.Cluster)
	s.checkAddresses(c)
	s.checkPaths(c)
	s.checkRoles(c.Roles)
	s.checkWebhooks(c.Webhooks)
	if c.Journal.Size != 0 && c.Journal.Size < minJournal {
		s.blame("journal.size", "write at least 16MiB, or 0B for none", "%v is too little for a journal", c.Journal.Size)
	}
}

func (s *source) checkRole(c *Config) {
	switch c.Role {
	case cluster.RoleHypervisor:
		s.checkMigration(c)
	case cluster.RoleWitness:
		for _, key := range []string{"host.cpus", "host.memory", "libvirt", "migration"} {
			if s.has(key) {
				s.blame(key, "remove it, or make the role hypervisor", "a witness has no VMs")
			}
		}
	default:
		s.blame("role", "write hypervisor or witness", "%.40q is not a role", c.Role)
	}
}

func (s *source) checkHost(c *Config) {
	if !hostName.MatchString(c.Host.Name) {
		s.blame("host.name", "write host: {name: NAME} with letters, digits, dots and dashes, at most 64", "%.80q is not a host name", c.Host.Name)
	}
	if s.has("host.zone") && !hostName.MatchString(c.Host.Zone) {
		s.blame("host.zone", "write letters, digits, dots and dashes, at most 64, such as rack-4", "%.80q is not a zone's name", c.Host.Zone)
	}
	if s.has("host.memory") && c.Host.Memory < minMemory {
		s.blame("host.memory", "give VMs more, or remove the key to measure it", "%v is too little for a VM", c.Host.Memory)
	}
}

func (s *source) checkCluster(c *Cluster) {
	if id, err := uuid.Parse(c.ID); err != nil || id.String() != c.ID {
		what := fmt.Sprintf("%.60q is not a UUID in lower case", c.ID)
		if !s.has("cluster.id") {
			what = "missing"
		}
		s.blame("cluster.id", "write the id that `evenkeel certs` printed when it made the CA", "%s", what)
	}
	s.checkPeers(c.Peers)
	n := c.BootstrapExpect
	switch {
	case !s.has("cluster.bootstrapExpect") || s.bad("cluster.peers"):
	case n != 1 && n != 3 && n != 5:
		s.blame("cluster.bootstrapExpect", "write 1, 3 or 5, or remove the key to join only", "%d members cannot found a cluster", n)
	case n > len(c.Peers):
		s.blame("cluster.bootstrapExpect", "name all founding members, this host too, in cluster.peers", "expects %d members, cluster.peers has %d", n, len(c.Peers))
	}
}

func (s *source) checkPeers(peers []string) {
	const key = "cluster.peers"
	if s.bad(key) {
		return
	}
	if len(peers) == 0 || len(peers) > maxPeers {
		s.blame(key, `name 1 to 256 members, such as peers: ["10.0.0.1:7471"]`, "has %d peers", len(peers))
		return
	}
	first := map[string]int{}
	for i, peer := range peers {
		at := fmt.Sprintf("%s[%d]", key, i)
		if j, seen := first[strings.ToLower(peer)]; seen {
			s.blame(at, "remove one of the two", "%.80q is already peer %d", peer, j)
			continue
		}
		first[strings.ToLower(peer)] = i
		s.checkDialable(at, peer, "10.0.0.1:7471")
	}
}

func (s *source) checkMigration(c *Config) {
	m := &c.Migration
	switch m.Transport {
	case TransportRelay, TransportTCP, TransportTLS, TransportSSH:
	default:
		s.blame("migration.transport", "write relay, tls, ssh or tcp", "%.40q is not a transport", m.Transport)
	}
	s.checkListen("migration.listen", m.Listen)
	if (m.Listen == c.Listen.API || m.Listen == c.Listen.Cluster || m.Listen == c.Metrics) && !s.bad("listen") && !s.bad("migration.listen") {
		s.blame("migration.listen", "choose another port", "%s is also an address of `listen`", m.Listen)
	}
	if m.Address == "" && !s.has("migration.address") {
		return // it follows from advertise.cluster, which is blamed
	}
	if err := checkHostPart(m.Address); err != nil {
		s.blame("migration.address", "write this host's address in the migration network, without port", "%v", err)
	}
}

func (s *source) checkPaths(c *Config) {
	for _, p := range []struct{ key, path string }{
		{"tls.ca", c.TLS.CA},
		{"tls.cert", c.TLS.Cert},
		{"tls.key", c.TLS.Key},
		{"stateDir", c.StateDir},
		{"socket", c.Socket},
	} {
		s.checkPath(p.key, p.path)
	}
	if c.Libvirt.Socket != "" {
		s.checkPath("libvirt.socket", c.Libvirt.Socket)
	}
	for key, path := range map[string]string{"socket": c.Socket, "libvirt.socket": c.Libvirt.Socket} {
		if len(path) > maxSocketPath {
			s.blame(key, "choose a shorter path", "a socket's path has at most %d bytes, this one has %d", maxSocketPath, len(path))
		}
	}
	if c.StateDir == "/" {
		s.blame("stateDir", "use /var/lib/evenkeel", "the root folder is not evenkeel's alone")
	}
	if c.TLS.Cert == c.TLS.Key {
		s.blame("tls.key", "keep them in files of their own", "certificate and key are the same file")
	}
}

func (s *source) checkPath(key, path string) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.ContainsRune(path, 0) {
		s.blame(key, "write it from / on, without . or .. or a slash at the end", "%.120q is not a clean absolute path", path)
	}
}
