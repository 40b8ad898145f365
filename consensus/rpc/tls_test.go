package rpc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// authority is a CA of one cluster.
type authority struct {
	cluster string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, clusterID string) *authority {
	t.Helper()
	key := newKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &authority{clusterID, sign(t, tmpl, tmpl, key, key), key}
}

// badge is a certificate with its key.
type badge struct {
	id   cluster.Identity
	ca   *authority
	pair tls.Certificate
}

func (ca *authority) issue(t *testing.T, kind cluster.Kind, name string) *badge {
	t.Helper()
	return ca.issueFor(t, cluster.Identity{ClusterID: ca.cluster, Kind: kind, MemberID: uuid.NewString(), Name: name})
}

func (ca *authority) issueFor(t *testing.T, id cluster.Identity) *badge {
	t.Helper()
	uri, err := url.Parse(id.URI())
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	leaf := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: id.Name}, URIs: []*url.URL{uri},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, ca.cert, key, ca.key)
	return &badge{id, ca, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, tmpl, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// config demands a certificate of the badge's CA at the other end, and lets
// host names be.
func (b *badge) config(protocols ...string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(b.ca.cert)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols, Certificates: []tls.Certificate{b.pair},
		ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true, SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("no certificate")
			}
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			return err
		},
	}
}
