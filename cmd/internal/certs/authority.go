package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Authority is a member's part in issuing certificates: the CA's key in its
// state directory, if it has it. The key never enters the log or a snapshot;
// it goes from voter to voter over mutual TLS, so that hosts can join after a
// failover too. Whoever wants it nowhere but offline removes the folder on
// every host and issues with `evenkeel certs host`.
type Authority struct {
	clusterID string
	caFile    string // what this member trusts
	dir       string // ca.pem and ca.key

	mu sync.Mutex // one writer of the folder
}

// dnsName is what a host may be called in its certificate: no wildcards.
var dnsName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

// hostValidity is how long a joined host's certificate is valid.
const hostValidity = 365 * 24 * time.Hour

// NewAuthority is the authority of a member that trusts the CA in caFile and
// keeps the key, if at all, in dir.
func NewAuthority(clusterID, caFile, dir string) *Authority {
	return &Authority{clusterID: clusterID, caFile: caFile, dir: dir}
}

// Has says whether this member can issue certificates.
func (a *Authority) Has() bool {
	ca, err := LoadCA(a.dir)
	return err == nil && ca.ClusterID == a.clusterID
}

// Applicant is the member id of who asks for a certificate.
func (a *Authority) Applicant(csr []byte) (string, error) {
	pub, err := ParseCSR(csr)
	if err != nil {
		return "", err
	}
	return MemberID(a.clusterID, pub)
}

// Issue signs a certificate, in PEM, for the key in a request. Addresses are
// IP addresses and names of the host, for browsers and curl.
func (a *Authority) Issue(csr []byte, id cluster.Identity, addresses []string) ([]byte, error) {
	ca, err := LoadCA(a.dir)
	if err != nil {
		return nil, err
	}
	if ca.ClusterID != a.clusterID {
		return nil, &Error{a.dir, fmt.Errorf("%w: %s, this member is of %s", ErrOtherCluster, ca.ClusterID, a.clusterID), "move it away"}
	}
	pub, err := ParseCSR(csr)
	if err != nil {
		return nil, err
	}
	req := Request{Kind: id.Kind, Name: id.Name, MemberID: id.MemberID}
	for _, text := range addresses {
		if ip, err := netip.ParseAddr(text); err == nil {
			req.IPs = append(req.IPs, ip)
		} else if dnsName.MatchString(text) {
			req.DNS = append(req.DNS, text)
		} else {
			return nil, fmt.Errorf("certificate request: %.80q is neither an IP address nor a host name", text)
		}
	}
	now := time.Now()
	cert, err := ca.Certify(req, pub, now, min(hostValidity, ca.Cert.NotAfter.Sub(now)))
	if err != nil {
		return nil, err
	}
	return encodeCert(cert), nil
}

// Key is the CA's key in PEM, for another voter.
func (a *Authority) Key() ([]byte, error) {
	if !a.Has() {
		return nil, errors.New("this member has no CA key")
	}
	return readFile(filepath.Join(a.dir, CAKeyFile))
}

// Adopt keeps the CA's key that another voter handed over. It must belong to
// the CA that this member trusts.
func (a *Authority) Adopt(keyPEM []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Has() {
		return nil
	}
	certs, err := readCertificates(a.caFile)
	if err != nil {
		return err
	}
	key, err := parseKey("the CA key that was handed over", keyPEM)
	if err != nil {
		return err
	}
	if !key.PublicKey.Equal(certs[0].PublicKey) {
		return &Error{"the CA key that was handed over", ErrKeyMismatch, "compare " + a.caFile + " on both hosts"}
	}
	return (&CA{ClusterID: a.clusterID, Cert: certs[0], key: key}).keep(a.dir)
}

// keep writes the CA's files, private to the daemon, over what a crash may have
// left of an earlier attempt.
func (ca *CA) keep(dir string) error {
	keyPEM, err := encodeKey(ca.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(dir, CACertFile), filepath.Join(dir, CAKeyFile)
	if old, err := readFile(certFile); err == nil && !bytes.Equal(old, encodeCert(ca.Cert)) {
		return &Error{certFile, fmt.Errorf("%w: it is another CA's", ErrExists), "move it away"}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := replaceFile(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	return replaceFile(certFile, encodeCert(ca.Cert), 0o644)
}

// SaveCertificate checks what a joining host was given against its key and the
// CA that its token names, and writes it: the CA's certificates and the host's.
func SaveCertificate(caFile, certFile string, caPEM, certPEM []byte, key *ecdsa.PrivateKey, fingerprint [sha256.Size]byte) (cluster.Identity, error) {
	const given = "the certificate that the leader sent"
	cas, err := parseCertificates("the CA that the leader sent", caPEM)
	if err != nil {
		return cluster.Identity{}, err
	}
	if !slices.ContainsFunc(cas, func(c *x509.Certificate) bool { return Fingerprint(c) == fingerprint }) {
		return cluster.Identity{}, &Error{"the CA that the leader sent", ErrOtherFingerprint, "make another token"}
	}
	leaves, err := parseCertificates(given, certPEM)
	if err != nil {
		return cluster.Identity{}, err
	}
	id, err := ParseIdentity(leaves[0])
	if err == nil && !key.PublicKey.Equal(leaves[0].PublicKey) {
		err = ErrKeyMismatch
	}
	if err != nil {
		return cluster.Identity{}, &Error{given, err, "make another token"}
	}
	if err := replaceFile(caFile, caPEM, 0o644); err != nil {
		return cluster.Identity{}, err
	}
	return id, replaceFile(certFile, certPEM, 0o644)
}
