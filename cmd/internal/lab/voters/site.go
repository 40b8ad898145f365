package voters

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vishvananda/netns"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Site is a cluster on a network of its own.
type Site struct {
	Cluster string // its id
	Members []*Member

	dir, bin string
	ca       *certs.CA
	warden   *warden
	bridge   netns.NsHandle
	next     int // host part of the next address
}

// New makes a cluster that a member on each of the disks founds; none is
// started. dir is an empty folder with a short name, for it holds sockets, whose
// paths are at most 107 bytes long; bin holds evenkeeld and evenkeel.
func New(dir, bin string, disks ...Disk) (s *Site, err error) {
	s = &Site{Cluster: uuid.NewString(), dir: dir, bin: bin, bridge: netns.None()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.ca, err = certs.NewCA(s.Cluster, time.Now(), 24*time.Hour); err != nil {
		return s, err
	}
	if err := s.ca.Save(filepath.Join(dir, "ca")); err != nil {
		return s, err
	}
	if s.warden, err = startWarden(dir); err != nil {
		return s, err
	}
	if s.bridge, err = newNetwork(); err != nil {
		return s, err
	}
	if err := buildBridge(s.bridge); err != nil {
		return s, err
	}
	var peers []string
	for i := range disks {
		peers = append(peers, net.JoinHostPort(address(i+1), clusterPort))
	}
	for i, d := range disks {
		m, err := s.Add(fmt.Sprint("w", i+1), d)
		if err != nil {
			return s, err
		}
		if err := m.certify(uuid.NewString()); err != nil {
			return s, err
		}
		if err := m.Configure(peers, len(disks)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// address of the i-th member, from 1.
func address(i int) string { return fmt.Sprintf("10.198.0.%d", i) }

// Add makes a machine with a disk, without certificate and configuration.
func (s *Site) Add(name string, d Disk) (*Member, error) {
	s.next++
	m := &Member{Name: name, Address: address(s.next), site: s, dir: filepath.Join(s.dir, name), network: netns.None()}
	s.Members = append(s.Members, m)
	if err := os.MkdirAll(filepath.Join(m.dir, "tls"), 0o755); err != nil {
		return nil, err
	}
	if err := s.warden.inside(-1, func() error { return d.mount(m.state()) }); err != nil {
		return nil, fmt.Errorf("disk of %s: %w", name, err)
	}
	var err error
	if m.network, err = newNetwork(); err != nil {
		return nil, err
	}
	if err := plug(s.bridge, m.network, fmt.Sprint("port", s.next), m.Address); err != nil {
		return nil, fmt.Errorf("network of %s: %w", name, err)
	}
	return m, nil
}

// Start starts all members.
func (s *Site) Start() error {
	for _, m := range s.Members {
		if err := m.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all of it, whatever state it is in.
func (s *Site) Close() error {
	var errs []error
	for _, m := range s.Members {
		errs = append(errs, m.close())
	}
	if s.warden != nil {
		errs = append(errs, s.warden.end())
		s.warden = nil
	}
	for _, m := range s.Members {
		m.wait()
	}
	if s.bridge.IsOpen() {
		errs = append(errs, s.bridge.Close())
	}
	return errors.Join(errs...)
}

// certify gives a member a certificate of the site's CA.
func (m *Member) certify(id string) error { return m.certifyFor(id, time.Hour) }

func (m *Member) certifyFor(id string, validity time.Duration) error {
	pair, err := m.site.ca.Issue(certs.Request{
		Kind: cluster.KindWitness, Name: m.Name, MemberID: id, IPs: []netip.Addr{netip.MustParseAddr(m.Address)},
	}, time.Now(), validity)
	if err != nil {
		return err
	}
	m.ID = id
	bundle, err := os.ReadFile(filepath.Join(m.site.dir, "ca", certs.CACertFile))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.dir, "tls/ca.pem"), bundle, 0o600); err != nil {
		return err
	}
	return pair.Save(filepath.Join(m.dir, "tls/host.pem"), filepath.Join(m.dir, "tls/host.key"))
}

// Configure writes a member's agent.yaml: where it finds the cluster, and how
// many found it, 0 for one that only joins.
func (m *Member) Configure(peers []string, founders int) error {
	bootstrap := ""
	if founders > 0 {
		bootstrap = fmt.Sprint(", bootstrapExpect: ", founders)
	}
	text := strings.NewReplacer(
		"DIR", m.dir, "NAME", m.Name, "CLUSTER", m.site.Cluster, "PEERS", strings.Join(peers, `", "`), "BOOTSTRAP", bootstrap,
		"API", net.JoinHostPort(m.Address, "7470"), "PORT", net.JoinHostPort(m.Address, clusterPort),
	).Replace(`role: witness
host: {name: NAME}
cluster: {id: CLUSTER, peers: ["PEERS"]BOOTSTRAP}
listen: {api: "API", cluster: "PORT"}
tls: {ca: DIR/tls/ca.pem, cert: DIR/tls/host.pem, key: DIR/tls/host.key}
stateDir: DIR/state
socket: DIR/agent.sock
lab: true
`)
	return os.WriteFile(m.config(), []byte(text), 0o600)
}

// clusterPort is evenkeeld's for Raft and streams.
const clusterPort = "7471"
