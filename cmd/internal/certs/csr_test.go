package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func requestOf(t testing.TB, key any, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Only a key counts in a request, and only who holds it.
func TestParseCSR(t *testing.T) {
	key := newKey(t, elliptic.P256())
	good, err := NewCSR(key)
	if err != nil {
		t.Fatal(err)
	}
	if pub, err := ParseCSR(good); err != nil || !pub.Equal(&key.PublicKey) {
		t.Fatalf("%v, %v", pub, err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged := append([]byte(nil), good...)
	forged[len(forged)-3] ^= 1
	for name, der := range map[string][]byte{
		"nothing": nil, "words": []byte("please"), "cut": good[:len(good)/2], "more": append(append([]byte(nil), good...), 0), "huge": make([]byte, maxCSR+1),
		"forged": forged, "another curve": requestOf(t, newKey(t, elliptic.P384()), &x509.CertificateRequest{}), "another kind": requestOf(t, edwards, &x509.CertificateRequest{}),
	} {
		if pub, err := ParseCSR(der); err == nil || !strings.HasPrefix(err.Error(), "certificate request: ") {
			t.Errorf("%s: %v, %v", name, pub, err)
		}
	}
}

func TestMemberIDFollowsTheKey(t *testing.T) {
	key, other, c := newKey(t, elliptic.P256()), newKey(t, elliptic.P256()), uuid.NewString()
	a, err := MemberID(c, &key.PublicKey)
	if err != nil || checkUUID("", a) != nil {
		t.Fatalf("%q, %v", a, err)
	}
	if again, _ := MemberID(c, &key.PublicKey); again != a {
		t.Errorf("%s, then %s", a, again)
	}
	if b, _ := MemberID(c, &other.PublicKey); b == a {
		t.Error("two keys, one id")
	}
	if b, _ := MemberID(uuid.NewString(), &key.PublicKey); b == a {
		t.Error("two clusters, one id")
	}
	if _, err := MemberID("x", &key.PublicKey); err == nil {
		t.Error("a cluster that is no UUID")
	}
}

func TestKeyFileIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host.key")
	first, err := KeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if again, err := KeyFile(path); err != nil || !again.Equal(first) {
		t.Errorf("another key the second time: %v", err)
	}
	writeFile(t, path, []byte("not a key"))
	if _, err := KeyFile(path); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrOpenKey) {
		t.Errorf("over a foreign file: %v", err)
	}
	if string(readTestFile(t, path)) != "not a key" {
		t.Error("a foreign file was overwritten")
	}
}

func FuzzCSR(f *testing.F) {
	key := newKey(f, elliptic.P256())
	good, err := NewCSR(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:40])
	f.Add(requestOf(f, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "root"}, DNSNames: []string{"*"}}))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, der []byte) {
		pub, err := ParseCSR(der)
		if err != nil {
			return
		}
		if pub.Curve != elliptic.P256() {
			t.Errorf("curve %v", pub.Curve)
		}
		if id, err := MemberID("c0000000-0000-4000-8000-000000000000", pub); err != nil || checkUUID("", id) != nil {
			t.Errorf("id %q, %v", id, err)
		}
	})
}
