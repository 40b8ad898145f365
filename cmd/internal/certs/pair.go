package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Pair is a certificate and its key.
type Pair struct {
	Identity cluster.Identity
	Cert     *x509.Certificate
	key      *ecdsa.PrivateKey
}

// Save writes the certificate (0644) and the key (0600), each as a whole.
// It replaces what is there, since that is how a certificate is renewed; a
// daemon that looks between the two writes keeps its old pair for that moment.
func (p *Pair) Save(certFile, keyFile string) error {
	keyPEM, err := encodeKey(p.key)
	if err != nil {
		return err
	}
	if err := replaceFile(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	return replaceFile(certFile, encodeCert(p.Cert), 0o644)
}

func encodeCert(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typeCertificate, Bytes: cert.Raw})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: typeKey, Bytes: der}), nil
}
