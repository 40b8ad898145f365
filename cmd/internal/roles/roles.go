// Package roles says what a caller of the API may do.
//
//	role := grants.Of(roles.Process{UID: 1000, User: "bob", Groups: gids}, lookup)
//	if !role.Covers(roles.Operate) { ... }
//
// There are three roles, each with what the ones before it may do: view reads,
// operate steers automation, admin changes what could lose a VM or the cluster.
package roles

import "fmt"

// Role is what a caller may do. The empty Role may do nothing.
type Role string

// The roles, from the least.
const (
	View    Role = "view"    // reads
	Operate Role = "operate" // steers automation: mode, pause, moves, policy
	Admin   Role = "admin"   // members, evidence about VMs, upgrades
)

// rank orders the roles; 0 is none of them.
func (r Role) rank() int {
	switch r {
	case View:
		return 1
	case Operate:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// Valid says whether r is one of the roles.
func (r Role) Valid() bool { return r.rank() > 0 }

// Covers says whether who has r may do what needs the given role. What needs
// a role that does not exist is covered by none.
func (r Role) Covers(need Role) bool { return need.Valid() && r.rank() >= need.rank() }

// AtMost returns the lesser of two roles.
func (r Role) AtMost(limit Role) Role {
	if r.rank() > limit.rank() {
		return limit
	}
	return r
}

// Parse reads a role as a certificate, a header or a flag has it.
func Parse(text string) (Role, error) {
	if r := Role(text); r.Valid() {
		return r, nil
	}
	return "", fmt.Errorf("%.40q is no role; the roles are %s, %s and %s", text, View, Operate, Admin)
}
