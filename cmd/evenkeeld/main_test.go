package main

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// site is a directory with a CA, a witness' certificate and an agent.yaml.
type site struct {
	dir, cluster string
	ca           *certs.CA
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t.TempDir(), uuid.NewString(), nil}
	s.ca = s.newCA(t, s.cluster, "ca")
	s.issue(t, s.ca, cluster.KindWitness)
	return s
}

func (s *site) newCA(t *testing.T, id, name string) *certs.CA {
	t.Helper()
	ca, err := certs.NewCA(id, time.Now(), 2*time.Hour)
	if err == nil {
		err = ca.Save(filepath.Join(s.dir, name))
	}
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func (s *site) issue(t *testing.T, ca *certs.CA, kind cluster.Kind) {
	t.Helper()
	pair, err := ca.Issue(certs.Request{Kind: kind, Name: "wit", MemberID: uuid.NewString(), IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, time.Now(), time.Hour)
	if err == nil {
		err = pair.Save(filepath.Join(s.dir, "host.pem"), filepath.Join(s.dir, "host.key"))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// freeAddress is one of loopback's that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// config writes agent.yaml with some lines replaced or added.
func (s *site) config(t *testing.T, cluster, extra string) string {
	t.Helper()
	text := strings.NewReplacer("DIR", s.dir, "CLUSTER", cluster, "ADDRESS", freeAddress(t)).Replace(`role: witness
host: {name: wit}
cluster: {id: CLUSTER, peers: ["ADDRESS"], bootstrapExpect: 1}
listen: {api: "127.0.0.1:7470", cluster: "ADDRESS"}
tls: {ca: DIR/ca/ca.pem, cert: DIR/host.pem, key: DIR/host.key}
stateDir: DIR/state
socket: DIR/agent.sock
`) + extra
	path := filepath.Join(s.dir, "agent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Bad input ends the daemon before it has touched anything, with an error that
// names the place, and with the exit code for configuration.
func TestRefusesBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, s *site) (config string)
		want    []string
	}{
		"no file":     {func(_ *testing.T, s *site) string { return s.dir + "/none.yaml" }, []string{"none.yaml", "agent.yaml.example"}},
		"unknown key": {func(t *testing.T, s *site) string { return s.config(t, s.cluster, "rolle: witness\n") }, []string{"agent.yaml:8", "rolle", "role"}},
		"wrong type":  {func(t *testing.T, s *site) string { return s.config(t, s.cluster, "lab: perhaps\n") }, []string{"agent.yaml:8", "lab"}},
		"a certificate of another CA": {func(t *testing.T, s *site) string {
			s.issue(t, s.newCA(t, s.cluster, "other"), cluster.KindWitness)
			return s.config(t, s.cluster, "")
		}, []string{"host.pem"}},
		"another cluster's id": {func(t *testing.T, s *site) string { return s.config(t, uuid.NewString(), "") }, []string{"cluster.id", s0}},
		"an operator's certificate": {func(t *testing.T, s *site) string {
			s.issue(t, s.ca, cluster.KindOperator)
			return s.config(t, s.cluster, "")
		}, []string{"operator", "witness"}},
		"another member's data": {func(t *testing.T, s *site) string {
			state := filepath.Join(s.dir, "state", "raft")
			if err := os.MkdirAll(state, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(state, "raft.db"), []byte("somebody's"), 0o600); err != nil {
				t.Fatal(err)
			}
			return s.config(t, s.cluster, "")
		}, []string{"raft"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			path := c.prepare(t, s)
			err := run(t.Context(), []string{"--config", path}, io.Discard, io.Discard)
			if err == nil {
				t.Fatal("it ran")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
			if code := exitCode(err); name != "another member's data" && code != exitConfig {
				t.Errorf("exit code %d, want %d", code, exitConfig)
			}
			if text, err := os.ReadFile(filepath.Join(s.dir, "state", "raft", "raft.db")); err == nil && string(text) != "somebody's" {
				t.Error("the foreign file was changed")
			}
		})
	}
}

// s0 is a word of the message that both ids stand in.
const s0 = "certificate is of cluster"

func TestUsage(t *testing.T) {
	err := run(t.Context(), []string{"--konfig", "x"}, io.Discard, io.Discard)
	if !errors.As(err, new(errUsage)) || exitCode(err) != exitUsage {
		t.Errorf("%v, exit code %d", err, exitCode(err))
	}
}
