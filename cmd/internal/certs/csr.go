package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/uuid"
)

// maxCSR bounds a certificate request in bytes; a real one has under 300.
const maxCSR = 4 << 10

// KeyFile returns the key in a file, or makes one there (0600). A host that
// asks to join a second time, because the first answer was lost, so asks with
// the same key.
func KeyFile(path string) (*ecdsa.PrivateKey, error) {
	key, err := readKey(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	data, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, createFile(path, data, 0o600)
}

// NewCSR is a request for a certificate of a key. It carries nothing but the
// key: for whom the certificate is, the token says.
func NewCSR(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return der, nil
}

// ParseCSR returns the key in a request, whose holder signed it. What else is
// in it is not looked at.
func ParseCSR(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) > maxCSR {
		return nil, fmt.Errorf("certificate request: %d bytes, at most %d", len(der), maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	pub, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("certificate request: its key is not of ECDSA on P-256, as evenkeel makes them")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: not signed by its key: %w", err)
	}
	return pub, nil
}

// MemberID is the id of a member that joins a cluster with a key: a UUID by the
// hash of both (RFC 9562, version 5). Nobody can ask for an id that is taken,
// and who asks again with its key gets the same.
func MemberID(clusterID string, pub *ecdsa.PublicKey) (string, error) {
	space, err := uuid.Parse(clusterID)
	if err != nil {
		return "", fmt.Errorf("cluster id %.40q: %w", clusterID, err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("public key: %w", err)
	}
	return uuid.NewSHA1(space, der).String(), nil
}
