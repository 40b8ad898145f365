package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Material is what one end of a connection needs: its own certificate and
// key, and the CA that the other end's must be of. It re-reads the files when
// they change, so that a renewed certificate needs no restart. Safe for
// concurrent use.
type Material struct {
	caFile, certFile, keyFile string

	now func() time.Time // time.Now, but for tests
	log *slog.Logger

	mu      sync.Mutex
	current *loaded
	stamps  stamps // of the files as they were last tried, good or bad
}

// loaded is one consistent reading of the three files. Never changed.
type loaded struct {
	identity cluster.Identity
	roots    *x509.CertPool
	pair     *tls.Certificate
}

// LoadTLS reads and checks a CA certificate, a certificate and its key.
func LoadTLS(caFile, certFile, keyFile string) (*Material, error) {
	return loadTLS(caFile, certFile, keyFile, time.Now)
}

func loadTLS(caFile, certFile, keyFile string, now func() time.Time) (*Material, error) {
	m := &Material{caFile: caFile, certFile: certFile, keyFile: keyFile, now: now, log: slog.New(slog.DiscardHandler)}
	err := mend(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	m.stamps = stampFiles(caFile, certFile, keyFile)
	m.current, err = m.read()
	if err != nil {
		return nil, err
	}
	return m, nil
}

// LogTo says where re-reading is reported. Call it before the first use.
func (m *Material) LogTo(log *slog.Logger) { m.log = log }

// Identity returns whose certificate this is.
func (m *Material) Identity() cluster.Identity { return m.fresh().identity }

// NotAfter returns when our certificate expires.
func (m *Material) NotAfter() time.Time { return m.fresh().pair.Leaf.NotAfter }

// fresh returns the newest good reading. Three stat calls cost nothing beside
// a handshake, and need no watcher that could die.
func (m *Material) fresh() *loaded {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := stampFiles(m.caFile, m.certFile, m.keyFile)
	if now.same(m.stamps) {
		return m.current
	}
	m.stamps = now
	next, err := m.read()
	if err == nil {
		err = m.checkSameMember(next.identity)
	}
	if err != nil {
		m.log.Warn("certificate files have changed and cannot be used; keeping the old ones", "error", err)
		return m.current
	}
	m.log.Info("certificate files re-read", "not_after", next.pair.Leaf.NotAfter)
	m.current = next
	return m.current
}

// checkSameMember refuses to become somebody else while running.
func (m *Material) checkSameMember(next cluster.Identity) error {
	if was := m.current.identity; next.URI() != was.URI() {
		return &Error{m.certFile, fmt.Errorf("%w: %s, it was %s", ErrWrongMember, next.URI(), was.URI()), "restart the daemon if that is meant"}
	}
	return nil
}

// read reads the three files and checks that they belong together.
func (m *Material) read() (*loaded, error) {
	roots, clusterID, err := readRoots(m.caFile)
	if err != nil {
		return nil, err
	}
	leaf, identity, err := readLeaf(m.certFile)
	if err != nil {
		return nil, err
	}
	key, err := readKey(m.keyFile)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, &Error{m.keyFile, fmt.Errorf("%w %s", ErrKeyMismatch, m.certFile), "take both files from the same `evenkeel certs` run"}
	}
	if identity.ClusterID != clusterID {
		return nil, &Error{m.certFile, fmt.Errorf("%w: %s, the CA in %s is of %s", ErrOtherCluster, identity.ClusterID, m.caFile, clusterID), "issue a certificate by this cluster's CA, or correct the path of the CA"}
	}
	if err := verifyChain(m.certFile, leaf, roots, x509.ExtKeyUsageClientAuth, m.now()); err != nil {
		return nil, err
	}
	pair := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	return &loaded{identity, roots, pair}, nil
}

// readRoots reads the CA file. While a CA is being replaced it holds the old
// and the new one, both of one cluster.
func readRoots(path string) (*x509.CertPool, string, error) {
	certs, err := readCertificates(path)
	if err != nil {
		return nil, "", err
	}
	pool, first := x509.NewCertPool(), ""
	for _, cert := range certs {
		clusterID, err := caCluster(path, cert)
		if err != nil {
			return nil, "", err
		}
		if first == "" {
			first = clusterID
		}
		if clusterID != first {
			return nil, "", &Error{path, fmt.Errorf("%w: it holds CAs of %s and %s", ErrOtherCluster, first, clusterID), "leave only this cluster's CA in it"}
		}
		pool.AddCert(cert)
	}
	return pool, first, nil
}

// readLeaf reads a file with exactly one certificate, that of a member or an
// operator.
func readLeaf(path string) (*x509.Certificate, cluster.Identity, error) {
	certs, err := readCertificates(path)
	if err != nil {
		return nil, cluster.Identity{}, err
	}
	if len(certs) != 1 {
		return nil, cluster.Identity{}, malformed(path, "it holds %d certificates, expected one: evenkeel's CAs sign without intermediates", len(certs))
	}
	identity, err := ParseIdentity(certs[0])
	if err != nil {
		return nil, cluster.Identity{}, &Error{path, err, "issue a certificate with `evenkeel certs`"}
	}
	return certs[0], identity, nil
}
