package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// verifyPeer checks the certificate that the other end showed: its time, its
// CA, its cluster. usage is what it is used for.
func (m *Material) verifyPeer(cs tls.ConnectionState, usage x509.ExtKeyUsage) error {
	if len(cs.PeerCertificates) == 0 {
		return &Error{"peer", fmt.Errorf("%w: it showed none", ErrNoIdentity), "give it a certificate of this cluster"}
	}
	leaf, own := cs.PeerCertificates[0], m.fresh()
	where := "peer's " + subject(leaf)
	id, err := ParseIdentity(leaf)
	if err != nil {
		return &Error{where, err, "give it a certificate by `evenkeel certs`"}
	}
	// Before the chain: another cluster has another CA too, and the cluster is
	// the better explanation.
	if id.ClusterID != own.identity.ClusterID {
		return &Error{where, fmt.Errorf("%w: %s, ours is %s", ErrOtherCluster, id.ClusterID, own.identity.ClusterID), "check which cluster the addresses lead to"}
	}
	return verifyChain(where, leaf, own.roots, usage, m.now())
}

// verifyChain checks a certificate's time, CA and usage.
func verifyChain(where string, leaf *x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, now time.Time) error {
	switch {
	case now.Before(leaf.NotBefore):
		return &Error{where, fmt.Errorf("%w: it is from %s on, this host's clock says %s", ErrNotYetValid, day(leaf.NotBefore), day(now)), "check the clocks of both hosts"}
	case now.After(leaf.NotAfter):
		return &Error{where, fmt.Errorf("%w: on %s, this host's clock says %s", ErrExpired, day(leaf.NotAfter), day(now)), "issue a new one with `evenkeel certs host` or `evenkeel certs operator` where the CA's key is; no restart is needed"}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	return explain(where, err)
}

// explain puts the verifier's findings into our words. The leaf's own times
// are right by now, so a wrong time is the CA's.
func explain(where string, err error) error {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return &Error{where, ErrOtherCA, "issue it by this cluster's CA, or copy that CA's ca.pem to this host"}
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return &Error{where, fmt.Errorf("%w: an operator's cannot serve", ErrWrongKind), "use the certificate of an agent or a witness"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Error{where, fmt.Errorf("its CA: %w", ErrExpired), "make a new CA and issue new certificates"}
	}
	return &Error{where, err, "issue a new one with `evenkeel certs`"}
}

// Peer narrows down who the other end may be. The zero Peer allows every
// member and operator of the cluster.
type Peer struct {
	Kinds    []cluster.Kind // empty: any
	MemberID string         // empty: any
}

// check says whether the identity is an allowed one.
func (p Peer) check(id cluster.Identity) error {
	where := fmt.Sprintf("peer's certificate of %.80q", id.Name)
	if len(p.Kinds) > 0 && !slices.Contains(p.Kinds, id.Kind) {
		return &Error{where, fmt.Errorf("%w: %s, expected %s", ErrWrongKind, id.Kind, p.Kinds), "use a certificate of that kind"}
	}
	if p.MemberID != "" && id.MemberID != p.MemberID {
		return &Error{where, fmt.Errorf("%w: %s, expected %s", ErrWrongMember, id.MemberID, p.MemberID), "check which host the address leads to"}
	}
	return nil
}

// Expect returns a copy of cfg, one of [Material]'s, that also refuses peers
// who are not as described.
func Expect(cfg *tls.Config, want Peer) *tls.Config {
	cfg = cfg.Clone()
	before := cfg.VerifyConnection
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := before(cs); err != nil {
			return err
		}
		id, err := PeerIdentity(cs)
		if err != nil {
			return err
		}
		return want.check(id)
	}
	return cfg
}
