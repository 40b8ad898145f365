package libvirt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pkiDir is where both hosts' QEMUs find their certificates, by qemu.conf.
const pkiDir = "/etc/libvirt/pki"

// pki are the files of that directory by name: host A's are made, host B, which
// begins with a view of host A's, gets the same.
func pki() (map[string][]byte, error) {
	names := []string{"ca-cert.pem", "server-cert.pem", "server-key.pem", "client-cert.pem", "client-key.pem"}
	files := map[string][]byte{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(pkiDir, name))
		if err != nil {
			return newPKI()
		}
		files[name] = text
	}
	return files, nil
}

func newPKI() (map[string][]byte, error) {
	files := map[string][]byte{}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	issue := func(name string, cert *x509.Certificate, key *ecdsa.PrivateKey) error {
		der, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, caKey)
		files[name] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		return err
	}
	if err := issue("ca-cert.pem", ca, caKey); err != nil {
		return nil, err
	}
	for i, end := range []struct {
		name  string
		usage x509.ExtKeyUsage
	}{{"server", x509.ExtKeyUsageServerAuth}, {"client", x509.ExtKeyUsageClientAuth}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		err = issue(end.name+"-cert.pem", &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: end.name}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{end.usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}, key)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		files[end.name+"-key.pem"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return files, nil
}

func writePKI(files map[string][]byte) error {
	if err := os.MkdirAll(pkiDir, 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(pkiDir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// encrypted: QEMU takes its certificates for the memory. Without them such a
// migration fails, and the VM runs on; one that is not to be encrypted does not
// ask for them.
func (m mover) encrypted(t *testing.T) {
	m.start(t, "one", vmOne, 1)
	r := m.request(vmOne)
	r.MigrateURI, r.TLS = "tcp://127.0.0.1", true
	if err := m.h.Migrate(m.ctx, r); err != nil {
		t.Fatal(err)
	}
	m.sees(t, vmOne, absent)
	m.peerSees(t, vmOne, running)
	m.destroyAtPeer(t, vmOne)

	m.start(t, "two", vmTwo, 1)
	away := pkiDir + ".away"
	if err := os.Rename(pkiDir, away); err != nil {
		t.Fatal(err)
	}
	r.VM = vmTwo
	if err := m.h.Migrate(m.ctx, r); err == nil || !strings.Contains(err.Error(), "pki") {
		t.Errorf("without certificates: %v", err)
	}
	m.untilEnded(t, vmTwo)
	m.sees(t, vmTwo, running)
	m.peerSees(t, vmTwo, absent)
	r.TLS = false
	if err := m.h.Migrate(m.ctx, r); err != nil {
		t.Error("not encrypted: ", err)
	}
	m.peerSees(t, vmTwo, running)
	m.destroyAtPeer(t, vmTwo)
	if err := os.Rename(away, pkiDir); err != nil {
		t.Error(err)
	}
}
