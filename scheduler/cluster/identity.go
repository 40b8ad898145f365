package cluster

import (
	"fmt"
	"net/url"
	"strings"
)

// Kind says what a certificate's holder is.
type Kind string

// The kinds.
const (
	KindAgent    Kind = "agent"    // the daemon of a hypervisor
	KindWitness  Kind = "witness"  // the daemon of a witness
	KindOperator Kind = "operator" // a person or a script
)

// Identity is who a certificate speaks for. It travels as the certificate's
// only URI SAN: evenkeel://CLUSTER/KIND/MEMBER.
type Identity struct {
	ClusterID string
	Kind      Kind
	MemberID  string
	Name      string // the certificate's common name: for people, never compared
}

// URI is the identity as a certificate carries it.
func (id Identity) URI() string {
	return fmt.Sprintf("evenkeel://%s/%s/%s", id.ClusterID, id.Kind, id.MemberID)
}

// ParseIdentity reads a certificate's URI SAN.
func ParseIdentity(uri string) (Identity, error) {
	if len(uri) > maxName {
		return Identity{}, fmt.Errorf("identity of %d bytes, at most %d", len(uri), maxName)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return Identity{}, fmt.Errorf("identity: %w", err)
	}
	kind, member, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	id := Identity{ClusterID: u.Host, Kind: Kind(kind), MemberID: member}
	switch {
	case id.Kind != KindAgent && id.Kind != KindWitness && id.Kind != KindOperator,
		!validID(id.ClusterID), !validID(id.MemberID), id.URI() != uri:
		return Identity{}, fmt.Errorf("identity %q: want evenkeel://CLUSTER-UUID/agent|witness|operator/MEMBER-UUID", uri)
	}
	return id, nil
}
