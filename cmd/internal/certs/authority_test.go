package certs

import (
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// realCA is one of the present, for what looks at the clock itself.
func realCA(t *testing.T) (*CA, string) {
	t.Helper()
	ca, err := NewCA(uuid.NewString(), time.Now(), year)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ca")
	if err := ca.Save(dir); err != nil {
		t.Fatal(err)
	}
	return ca, dir
}

// The key goes from the host that made it to another, which then signs as
// well as the first.
func TestAuthorityHandsOver(t *testing.T) {
	ca, dir := realCA(t)
	trust := filepath.Join(dir, CACertFile)
	first, second := NewAuthority(ca.ClusterID, trust, dir), NewAuthority(ca.ClusterID, trust, filepath.Join(t.TempDir(), "state", "ca"))
	if !first.Has() || second.Has() {
		t.Fatalf("first has it: %v, second: %v", first.Has(), second.Has())
	}
	if _, err := second.Key(); err == nil {
		t.Error("a key from who has none")
	}
	key, err := first.Key()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there
		if err := second.Adopt(key); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(second.dir, CAKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	host := newKey(t, elliptic.P256())
	csr, err := NewCSR(host)
	if err != nil {
		t.Fatal(err)
	}
	member, err := second.Applicant(csr)
	if err != nil {
		t.Fatal(err)
	}
	id := cluster.Identity{ClusterID: ca.ClusterID, Kind: cluster.KindWitness, MemberID: member, Name: "wit"}
	pem, err := second.Issue(csr, id, []string{"10.0.0.7", "wit.example"})
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	got, err := SaveCertificate(filepath.Join(out, "ca.pem"), filepath.Join(out, "host.pem"), encodeCert(ca.Cert), pem, host, Fingerprint(ca.Cert))
	if err != nil || got != id {
		t.Fatalf("%+v, %v; want %+v", got, err, id)
	}
	leaf, _, err := readLeaf(filepath.Join(out, "host.pem"))
	if err != nil || len(leaf.IPAddresses) != 1 || !slices.Equal(leaf.DNSNames, []string{"wit.example"}) {
		t.Errorf("addresses %v, names %v, %v", leaf.IPAddresses, leaf.DNSNames, err)
	}
	for _, address := range []string{"*", "*.example", "a b", "", "host\x00", strings.Repeat("x", 300)} {
		if _, err := second.Issue(csr, id, []string{address}); err == nil {
			t.Errorf("a certificate for %.20q", address)
		}
	}
	// What does not belong together is not written.
	for name, save := range map[string]func(ca, cert string) error{
		"another key": func(caFile, cert string) error {
			_, err := SaveCertificate(caFile, cert, encodeCert(ca.Cert), pem, newKey(t, elliptic.P256()), Fingerprint(ca.Cert))
			return err
		},
		"another CA": func(caFile, cert string) error {
			other, _ := realCA(t)
			_, err := SaveCertificate(caFile, cert, encodeCert(other.Cert), pem, host, Fingerprint(ca.Cert))
			return err
		},
		"garbage": func(caFile, cert string) error {
			_, err := SaveCertificate(caFile, cert, encodeCert(ca.Cert), []byte("cert"), host, Fingerprint(ca.Cert))
			return err
		},
	} {
		dir := t.TempDir()
		if err := save(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "host.pem")); err == nil {
			t.Errorf("%s: saved", name)
		}
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("%s: left %v", name, files)
		}
	}
}

func TestAuthorityRefuses(t *testing.T) {
	ca, dir := realCA(t)
	other, otherDir := realCA(t)
	mine := NewAuthority(ca.ClusterID, filepath.Join(dir, CACertFile), filepath.Join(t.TempDir(), "ca"))
	foreign, err := NewAuthority(other.ClusterID, "", otherDir).Key()
	if err != nil {
		t.Fatal(err)
	}
	if err := mine.Adopt(foreign); !errors.Is(err, ErrKeyMismatch) || mine.Has() {
		t.Errorf("another CA's key: %v", err)
	}
	if err := mine.Adopt([]byte("key")); !errors.Is(err, ErrMalformed) {
		t.Errorf("garbage: %v", err)
	}
	// A folder of another cluster is not signed with.
	wrong := NewAuthority(ca.ClusterID, filepath.Join(dir, CACertFile), otherDir)
	csr, err := NewCSR(newKey(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Issue(csr, cluster.Identity{}, nil); !errors.Is(err, ErrOtherCluster) || wrong.Has() {
		t.Errorf("another cluster's folder: %v", err)
	}
}

// A joining host believes only the CA that its token names.
func TestPinned(t *testing.T) {
	ca, _ := realCA(t)
	stranger, _ := realCA(t)
	server := func(by *CA, kind cluster.Kind) *Material {
		pair, err := by.Issue(Request{Kind: kind, Name: "hv1", MemberID: uuid.NewString()}, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		file := func(name string) string { return filepath.Join(dir, name) }
		if err := pair.Save(file("host.pem"), file("host.key")); err != nil {
			t.Fatal(err)
		}
		writeFile(t, file("ca.pem"), encodeCert(by.Cert))
		m, err := LoadTLS(file("ca.pem"), file("host.pem"), file("host.key"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	const alpn = "ek-join/1"
	for name, c := range map[string]struct {
		at          *Material
		fingerprint [32]byte
		cluster     string
		want        error
	}{
		"its own":             {server(ca, cluster.KindAgent), Fingerprint(ca.Cert), ca.ClusterID, nil},
		"a witness":           {server(ca, cluster.KindWitness), Fingerprint(ca.Cert), ca.ClusterID, nil},
		"another CA":          {server(stranger, cluster.KindAgent), Fingerprint(ca.Cert), ca.ClusterID, ErrOtherFingerprint},
		"another cluster":     {server(ca, cluster.KindAgent), Fingerprint(ca.Cert), stranger.ClusterID, ErrOtherCluster},
		"an operator answers": {server(ca, cluster.KindOperator), Fingerprint(ca.Cert), ca.ClusterID, ErrWrongKind},
	} {
		t.Run(name, func(t *testing.T) {
			if err := greet(c.at.JoinConfig(alpn), Pinned(c.fingerprint, c.cluster, alpn)); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	// A CA's certificate that is only shown, and signed nothing, proves nothing.
	mixed := server(stranger, cluster.KindAgent)
	cfg := mixed.JoinConfig(alpn)
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair := *mixed.fresh().pair
		pair.Certificate = append(slices.Clone(pair.Certificate), ca.Cert.Raw)
		return &pair, nil
	}
	if err := greet(cfg, Pinned(Fingerprint(ca.Cert), ca.ClusterID, alpn)); err == nil {
		t.Error("a stranger that shows our CA's certificate is believed")
	}
	if err := verifyPinned([]*x509.Certificate{ca.Cert}, Fingerprint(ca.Cert), ca.ClusterID, time.Now()); !errors.Is(err, ErrOtherFingerprint) {
		t.Errorf("the CA's certificate as a host's: %v", err)
	}
}

// greet is the client's view of a handshake.
func greet(server, client *tls.Config) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() { _ = tls.Server(a, server).Handshake() }()
	return tls.Client(b, client).Handshake()
}
