package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// ParseIdentity returns who the certificate speaks for. It must have exactly
// one URI SAN, an identity as cluster.ParseIdentity accepts it.
func ParseIdentity(cert *x509.Certificate) (cluster.Identity, error) {
	if len(cert.URIs) != 1 {
		return cluster.Identity{}, fmt.Errorf("%w: it has %d URI SANs, expected one evenkeel://<cluster id>/<kind>/<member id>", ErrNoIdentity, len(cert.URIs))
	}
	id, err := cluster.ParseIdentity(cert.URIs[0].String())
	if err != nil {
		return cluster.Identity{}, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	id.Name = cert.Subject.CommonName
	return id, nil
}

// PeerIdentity returns who is at the other end of a connection whose
// handshake used a configuration of [Material].
func PeerIdentity(cs tls.ConnectionState) (cluster.Identity, error) {
	if len(cs.PeerCertificates) == 0 {
		return cluster.Identity{}, errors.New("peer showed no certificate")
	}
	return ParseIdentity(cs.PeerCertificates[0])
}

// subject names a certificate in an error, whatever is in it.
func subject(cert *x509.Certificate) string {
	return fmt.Sprintf("certificate of %.80q", cert.Subject.CommonName)
}
