package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"
	"unicode"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// maxName bounds a common name, in bytes (RFC 5280, ub-common-name).
const maxName = 64

// Request says for whom a certificate is to be issued.
type Request struct {
	Kind     cluster.Kind
	Name     string       // host or person; for people only
	MemberID string       // UUID of the member or operator
	IPs      []netip.Addr // for browsers and curl, which compare them; may be empty
	DNS      []string     // likewise
	Role     roles.Role   // of operators only; empty: operate
}

// Issue makes a key and signs a certificate for it.
func (ca *CA) Issue(req Request, now time.Time, validity time.Duration) (*Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key for %s: %w", req.Name, err)
	}
	cert, err := ca.Certify(req, &key.PublicKey, now, validity)
	if err != nil {
		return nil, err
	}
	id := cluster.Identity{ClusterID: ca.ClusterID, Kind: req.Kind, MemberID: req.MemberID, Name: req.Name}
	return &Pair{Identity: id, Cert: cert, key: key}, nil
}

// Certify signs a certificate for a key that somebody else holds.
func (ca *CA) Certify(req Request, pub *ecdsa.PublicKey, now time.Time, validity time.Duration) (*x509.Certificate, error) {
	if err := req.check(); err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	notAfter := now.Add(validity)
	switch {
	case validity <= 0:
		return nil, fmt.Errorf("issue certificate for %s: validity %v is not positive", req.Name, validity)
	case now.After(ca.Cert.NotAfter):
		return nil, &Error{"CA of cluster " + ca.ClusterID, fmt.Errorf("%w on %s", ErrExpired, day(ca.Cert.NotAfter)), "make a new CA"}
	case notAfter.After(ca.Cert.NotAfter):
		return nil, fmt.Errorf("issue certificate for %s: it would be valid until %s, its CA only until %s; ask for a shorter validity", req.Name, day(notAfter), day(ca.Cert.NotAfter))
	}
	id := cluster.Identity{ClusterID: ca.ClusterID, Kind: req.Kind, MemberID: req.MemberID, Name: req.Name}
	template, err := req.template(id, now.Add(-backdate), notAfter)
	if err != nil {
		return nil, fmt.Errorf("issue certificate for %s: %w", req.Name, err)
	}
	cert, err := sign(template, ca.Cert, pub, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", req.Name, err)
	}
	return cert, nil
}

func (req Request) check() error {
	if !req.Kind.Valid() {
		return fmt.Errorf("kind %.40q is none of %s, %s, %s", req.Kind, cluster.KindAgent, cluster.KindWitness, cluster.KindOperator)
	}
	if req.Name == "" || len(req.Name) > maxName {
		return fmt.Errorf("name %.80q is empty or longer than %d bytes", req.Name, maxName)
	}
	for _, r := range req.Name {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return fmt.Errorf("name %q has an unprintable character", req.Name)
		}
	}
	switch {
	case req.Role == "":
	case req.Kind != cluster.KindOperator:
		return fmt.Errorf("a certificate of kind %s has no role", req.Kind)
	case !req.Role.Valid():
		return fmt.Errorf("role %.40q is none of %s, %s, %s", req.Role, roles.View, roles.Operate, roles.Admin)
	}
	for _, ip := range req.IPs {
		if !ip.IsValid() {
			return fmt.Errorf("an IP address for %s is the zero netip.Addr", req.Name)
		}
	}
	return checkUUID("member id", req.MemberID)
}

func (req Request) template(id cluster.Identity, notBefore, notAfter time.Time) (*x509.Certificate, error) {
	uri, err := url.Parse(id.URI())
	if err != nil {
		return nil, err
	}
	// An operator's certificate can call, never answer.
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if req.Kind != cluster.KindOperator {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"evenkeel"}, CommonName: req.Name},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           usages,
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{uri},
		DNSNames:              req.DNS,
	}
	if req.Kind == cluster.KindOperator {
		role := req.Role
		if role == "" {
			role = roles.Operate
		}
		template.Subject.OrganizationalUnit = []string{string(role)}
	}
	for _, ip := range req.IPs {
		template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
	}
	return template, nil
}

// sign returns the certificate as a reader will parse it.
func sign(template, parent *x509.Certificate, pub *ecdsa.PublicKey, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// day prints the end of a validity for people.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
