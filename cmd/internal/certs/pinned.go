package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Fingerprint names a certificate: the SHA-256 of its DER.
func Fingerprint(cert *x509.Certificate) [sha256.Size]byte { return sha256.Sum256(cert.Raw) }

// CAFingerprint is that of the CA which issues, the first in the file.
func CAFingerprint(caFile string) ([sha256.Size]byte, error) {
	certs, err := readCertificates(caFile)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return Fingerprint(certs[0]), nil
}

// CA is the file of the CA's certificates, after a look at it.
func (m *Material) CA() ([]byte, error) {
	data, err := readFile(m.caFile)
	if err != nil {
		return nil, err
	}
	_, err = parseCertificates(m.caFile, data)
	return data, err
}

// JoinConfig is for an end that listens for hosts which have no certificate
// yet. It shows its CA's certificate as well: the host knows only the CA's
// fingerprint.
func (m *Material) JoinConfig(alpn string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair := *m.fresh().pair
			cas, err := readCertificates(m.caFile)
			if err != nil {
				return nil, err
			}
			pair.Certificate = slices.Clone(pair.Certificate)
			for _, ca := range cas {
				pair.Certificate = append(pair.Certificate, ca.Raw)
			}
			return &pair, nil
		},
	}
}

// ErrOtherFingerprint means that the CA at the other end is not the one that
// the token names.
var ErrOtherFingerprint = errors.New("its CA is not the one that the token names")

// Pinned is for a host that joins: it accepts a member of the cluster whose
// certificate was issued by the CA with that fingerprint.
func Pinned(fingerprint [sha256.Size]byte, clusterID, alpn string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpn},
		InsecureSkipVerify: true, // VerifyConnection does it, by the fingerprint
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := checkProtocol(cs, []string{alpn}); err != nil {
				return err
			}
			return verifyPinned(cs.PeerCertificates, fingerprint, clusterID, time.Now())
		},
	}
}

func verifyPinned(chain []*x509.Certificate, fingerprint [sha256.Size]byte, clusterID string, now time.Time) error {
	i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return Fingerprint(c) == fingerprint })
	if i < 1 {
		return &Error{"peer", ErrOtherFingerprint, "check the address, and that nobody sits between; else make another token with `evenkeel cluster add`"}
	}
	ca, where := chain[i], "peer's "+subject(chain[0])
	id, err := ParseIdentity(chain[0])
	if err != nil {
		return &Error{where, err, "check that the port is evenkeel's"}
	}
	if of, err := caCluster(where, ca); err != nil || of != clusterID || id.ClusterID != clusterID {
		return &Error{where, fmt.Errorf("%w: %s, the token is for %s", ErrOtherCluster, id.ClusterID, clusterID), "check the address"}
	}
	if err := (Peer{Kinds: []cluster.Kind{cluster.KindAgent, cluster.KindWitness}}).check(id); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return verifyChain(where, chain[0], roots, x509.ExtKeyUsageServerAuth, now)
}
