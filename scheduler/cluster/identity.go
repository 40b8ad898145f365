package cluster

import (
	"fmt"
	"strings"
)

// Kind says what the holder of a certificate may be.
type Kind string

// The kinds.
const (
	KindAgent    Kind = "agent"    // an evenkeeld on a hypervisor
	KindWitness  Kind = "witness"  // an evenkeeld that only votes
	KindOperator Kind = "operator" // a person or a program that gives orders
)

// Valid says whether k is one of the kinds.
func (k Kind) Valid() bool {
	return k == KindAgent || k == KindWitness || k == KindOperator
}

// Role returns the role of a member with a certificate of this kind, and
// whether there is one: operators are no members.
func (k Kind) Role() (Role, bool) {
	switch k {
	case KindAgent:
		return RoleHypervisor, true
	case KindWitness:
		return RoleWitness, true
	}
	return "", false
}

// Identity is who a certificate speaks for. It travels as the certificate's
// only URI SAN; host names and addresses prove nothing.
type Identity struct {
	ClusterID string // UUID of the cluster
	Kind      Kind
	MemberID  string // UUID of the member, or of the operator
	Name      string // for people; not part of the URI
}

// identityScheme begins every identity's URI.
const identityScheme = "evenkeel://"

// URI returns evenkeel://<cluster id>/<kind>/<member id>.
func (id Identity) URI() string {
	return identityScheme + id.ClusterID + "/" + string(id.Kind) + "/" + id.MemberID
}

// ParseIdentity reads what [Identity.URI] wrote. There is one way to write
// an identity: upper case, escapes, queries and trailing slashes are refused,
// so that equal strings mean equal identities.
func ParseIdentity(uri string) (Identity, error) {
	rest, ok := strings.CutPrefix(uri, identityScheme)
	if !ok {
		return Identity{}, fmt.Errorf("identity %.160q does not begin with %s", uri, identityScheme)
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 {
		return Identity{}, fmt.Errorf("identity %.160q is not %s<cluster id>/<kind>/<member id>", uri, identityScheme)
	}
	id := Identity{ClusterID: parts[0], Kind: Kind(parts[1]), MemberID: parts[2]}
	switch {
	case !validID(id.ClusterID):
		return Identity{}, fmt.Errorf("identity %.160q: cluster id %.40q is not a lower-case UUID", uri, id.ClusterID)
	case !id.Kind.Valid():
		return Identity{}, fmt.Errorf("identity %.160q: kind %.40q is none of %s, %s, %s", uri, id.Kind, KindAgent, KindWitness, KindOperator)
	case !validID(id.MemberID):
		return Identity{}, fmt.Errorf("identity %.160q: member id %.40q is not a lower-case UUID", uri, id.MemberID)
	}
	return id, nil
}
