package certs

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The tests live at this instant.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const year = 365 * 24 * time.Hour

// at is a clock that stands still.
func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func newCA(t *testing.T) *CA {
	t.Helper()
	ca, err := NewCA(uuid.NewString(), noon, 10*year)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// member is a folder with ca.pem, host.pem and host.key.
type member struct {
	dir, ca, cert, key string
	id                 cluster.Identity
}

func issue(t *testing.T, ca *CA, kind cluster.Kind, name string, validity time.Duration) *Pair {
	t.Helper()
	pair, err := ca.Issue(Request{Kind: kind, Name: name, MemberID: uuid.NewString(), IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, DNS: []string{name}}, noon, validity)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newMember(t *testing.T, ca *CA, kind cluster.Kind, name string, validity time.Duration) member {
	t.Helper()
	dir := t.TempDir()
	m := member{dir: dir, ca: filepath.Join(dir, "ca.pem"), cert: filepath.Join(dir, "host.pem"), key: filepath.Join(dir, "host.key")}
	pair := issue(t, ca, kind, name, validity)
	m.id = pair.Identity
	if err := pair.Save(m.cert, m.key); err != nil {
		t.Fatal(err)
	}
	writeFile(t, m.ca, encodeCert(ca.Cert))
	return m
}

func (m member) load(t *testing.T, now func() time.Time) *Material {
	t.Helper()
	material, err := loadTLS(m.ca, m.cert, m.key, now)
	if err != nil {
		t.Fatal(err)
	}
	return material
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func readTestFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
