package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// Names of the CA's files in its folder.
const (
	CACertFile = "ca.pem" // 0644; every member has a copy
	CAKeyFile  = "ca.key" // 0600; stays where certificates are issued
)

// backdate is how long before now a certificate begins to be valid, so that a
// host whose clock is a little slow accepts one that was made this moment.
const backdate = 5 * time.Minute

// CA signs the certificates of one cluster.
type CA struct {
	ClusterID string
	Cert      *x509.Certificate
	key       *ecdsa.PrivateKey
}

// NewCA makes a CA for the cluster with this UUID.
func NewCA(clusterID string, now time.Time, validity time.Duration) (*CA, error) {
	if err := checkUUID("cluster id", clusterID); err != nil {
		return nil, err
	}
	if validity <= 0 {
		return nil, fmt.Errorf("make CA: validity %v is not positive", validity)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"evenkeel"}, CommonName: "evenkeel CA " + clusterID},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // signs certificates of members, never another CA
		URIs:                  []*url.URL{caURI(clusterID)},
	}
	cert, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make CA certificate: %w", err)
	}
	return &CA{ClusterID: clusterID, Cert: cert, key: key}, nil
}

// Save writes ca.pem and ca.key into dir, which it makes if need be. It never
// overwrites: the certificates of a whole cluster hang on these files.
func (ca *CA) Save(dir string) error {
	keyPEM, err := encodeKey(ca.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(dir, CACertFile), filepath.Join(dir, CAKeyFile)
	if err := createFile(certFile, encodeCert(ca.Cert), 0o644); err != nil {
		return err
	}
	if err := createFile(keyFile, keyPEM, 0o600); err != nil {
		os.Remove(certFile) // ours, made a moment ago; it would never match that key
		return err
	}
	return nil
}

// LoadCA reads the CA that [CA.Save] wrote into dir.
func LoadCA(dir string) (*CA, error) {
	certFile, keyFile := filepath.Join(dir, CACertFile), filepath.Join(dir, CAKeyFile)
	certs, err := readCertificates(certFile)
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	cert := certs[0] // the issuing CA stands first; others only while it is being replaced
	clusterID, err := caCluster(certFile, cert)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, &Error{keyFile, ErrKeyMismatch, "take " + CACertFile + " and " + CAKeyFile + " from the same CA"}
	}
	return &CA{ClusterID: clusterID, Cert: cert, key: key}, nil
}

// caURI marks a CA certificate with its cluster.
func caURI(clusterID string) *url.URL {
	return &url.URL{Scheme: "evenkeel", Host: clusterID, Path: "/ca"}
}

// caCluster returns the id of the cluster whose CA the certificate is.
func caCluster(where string, cert *x509.Certificate) (string, error) {
	if !cert.IsCA || len(cert.URIs) != 1 {
		return "", malformed(where, "%s is not the certificate of an evenkeel CA", subject(cert))
	}
	clusterID := cert.URIs[0].Host
	if cert.URIs[0].String() != caURI(clusterID).String() || checkUUID("", clusterID) != nil {
		return "", malformed(where, "the URI %.160q in it is not evenkeel://<cluster id>/ca", cert.URIs[0])
	}
	return clusterID, nil
}

// checkUUID accepts the canonical lower-case form only: ids are compared as
// strings.
func checkUUID(what, id string) error {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.String() != id {
		return fmt.Errorf("%s %.40q is not a UUID in lower case, such as %s", what, id, uuid.Max)
	}
	return nil
}
