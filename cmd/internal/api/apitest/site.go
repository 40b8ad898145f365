package apitest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/user"
	"path/filepath"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Site is a cluster whose members' servers run in this process: real
// certificates, HTTPS on loopback, a unix socket each.
type Site struct {
	Dir     string // certificates: ca.pem, hv1.pem, hv1.key, ..., alice.pem, alice.key
	Group   *Group
	servers map[string]*api.Server
	limits  api.Limits

	stop context.CancelFunc
	done sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

var members = []struct {
	id, name string
	kind     cluster.Kind
}{
	{HV1, "hv1", cluster.KindAgent}, {HV2, "hv2", cluster.KindAgent}, {W1, "w1", cluster.KindWitness},
}

// alice is the operator's id.
const alice = "44444444-4444-4444-8444-444444444444"

// Patient are limits under which nothing is late, however busy the machine
// is; only a change that finds no leader gives up soon.
func Patient() api.Limits {
	return api.Limits{Read: time.Minute, Status: time.Minute, Ask: time.Minute, Ping: time.Minute, Try: time.Minute, Act: time.Second}
}

// Open starts a site in a folder; the path should be short, for it holds unix
// sockets.
func Open(dir string, world World, limits api.Limits, logger *slog.Logger) (*Site, error) {
	s := &Site{Dir: dir, limits: limits, Group: NewGroup(nil, HV2), servers: map[string]*api.Server{}}
	if err := s.issue(); err != nil {
		return nil, err
	}
	addresses := map[string]string{}
	for _, m := range members {
		if err := s.listen(m.id, m.name, m.kind, logger); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		addresses[m.id] = s.servers[m.id].Addr().String()
	}
	s.Group.Set(world(addresses))
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, server := range s.servers {
		s.done.Go(func() { s.failed(server.Run(ctx)) })
	}
	return s, nil
}

func (s *Site) listen(id, name string, kind cluster.Kind, logger *slog.Logger) error {
	material, err := certs.LoadTLS(s.File("ca.pem"), s.File(name+".pem"), s.File(name+".key"))
	if err != nil {
		return err
	}
	cfg := api.Config{
		Replica: s.Group.Replica(id), Self: material.Identity(), Name: name, Version: "0.1.0-test",
		Listen: "127.0.0.1:0", Socket: s.Socket(name), Group: ownGroup(), Roles: ownRoles(),
		ServerTLS: material.ServerConfig, ClientTLS: material.ClientConfig, Limits: s.limits, Now: s.Group.Now, Logger: logger,
		Revoked: func(id string) bool {
			state, _ := s.Group.Replica(id).State()
			return state.Revoked(id)
		},
	}
	if id == HV2 { // the others have to ask it
		if cfg.Definitions, err = deposited(s.File("definitions")); err != nil {
			return err
		}
	}
	if kind == cluster.KindAgent {
		cfg.Local = s.Group.Replica(id)
	}
	s.servers[id], err = api.Listen(cfg)
	return err
}

// ownRoles makes whoever runs the tests an admin.
func ownRoles() *roles.Grants {
	grants := roles.Default()
	if u, err := user.Current(); err == nil {
		grants.Admin = append(grants.Admin, u.Username)
	}
	return &grants
}

// ownGroup lets whoever runs the tests use the sockets.
func ownGroup() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return ""
	}
	return g.Name
}

// File is the path of a certificate or key.
func (s *Site) File(name string) string { return filepath.Join(s.Dir, name) }

// Socket is the path of a member's unix socket.
func (s *Site) Socket(member string) string { return filepath.Join(s.Dir, member+".sock") }

// Addr is where a member's HTTPS listens.
func (s *Site) Addr(id string) string { return s.servers[id].Addr().String() }

func (s *Site) issue() error {
	now := time.Now()
	ca, err := certs.NewCA(ClusterID, now, 2*time.Hour)
	if err != nil {
		return err
	}
	if err := ca.Save(s.Dir); err != nil {
		return err
	}
	for _, m := range members {
		if err := s.Issue(ca, certs.Request{Kind: m.kind, Name: m.name, MemberID: m.id}); err != nil {
			return err
		}
	}
	return s.Issue(ca, certs.Request{Kind: cluster.KindOperator, Name: "alice", MemberID: alice})
}

// Issue writes NAME.pem and NAME.key.
func (s *Site) Issue(ca *certs.CA, req certs.Request) error {
	if req.Kind != cluster.KindOperator {
		req.IPs = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}
	pair, err := ca.Issue(req, time.Now(), time.Hour)
	if err != nil {
		return fmt.Errorf("apitest: %w", err)
	}
	return pair.Save(s.File(req.Name+".pem"), s.File(req.Name+".key"))
}

func (s *Site) failed(err error) {
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.errs = append(s.errs, err)
	}
}

// Close stops the servers and says what went wrong with them.
func (s *Site) Close() error {
	if s.stop == nil { // never ran
		for _, server := range s.servers {
			s.failed(server.Close())
		}
		return errors.Join(s.errs...)
	}
	s.stop()
	s.done.Wait()
	return errors.Join(s.errs...)
}
