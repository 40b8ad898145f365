package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// peerIdentity reads who is at the other end. The TLS configuration has
// verified the certificate's chain; here it must speak for somebody of this
// cluster, by exactly one URI SAN. Host names and addresses prove nothing.
func peerIdentity(cs tls.ConnectionState, clusterID string) (cluster.Identity, error) {
	if cs.Version < tls.VersionTLS13 || len(cs.PeerCertificates) == 0 {
		return cluster.Identity{}, errors.New("no TLS 1.3 with a certificate at both ends")
	}
	cert := cs.PeerCertificates[0]
	if len(cert.URIs) != 1 {
		return cluster.Identity{}, fmt.Errorf("certificate of %.80q has %d URI SANs, expected one", cert.Subject.CommonName, len(cert.URIs))
	}
	id, err := cluster.ParseIdentity(cert.URIs[0].String())
	if err != nil {
		return cluster.Identity{}, fmt.Errorf("certificate of %.80q: %w", cert.Subject.CommonName, err)
	}
	id.Name = cert.Subject.CommonName
	if id.ClusterID != clusterID {
		return cluster.Identity{}, fmt.Errorf("certificate of %.80q is of cluster %s, this is %s", id.Name, id.ClusterID, clusterID)
	}
	return id, nil
}

// isMember says whether an identity is an evenkeeld's.
func isMember(id cluster.Identity) bool {
	_, ok := id.Kind.Role()
	return ok
}

type identityKey struct{}

func withIdentity(ctx context.Context, id cluster.Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// caller is who makes a call. Connections without an identity do not get as
// far as a handler.
func caller(ctx context.Context) cluster.Identity {
	id, _ := ctx.Value(identityKey{}).(cluster.Identity)
	return id
}
