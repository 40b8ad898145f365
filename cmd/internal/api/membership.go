package api

import (
	"context"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Membership is what the server needs to change who is in the cluster.
type Membership interface {
	// CanSign says why no host can join through this leader, or nil.
	CanSign(ctx context.Context) error
	// Fingerprint is the SHA-256 of the CA's certificate, in hex.
	Fingerprint() (string, error)
	// Meet lists addresses, host:port of the cluster port, where members are.
	Meet() []string
	// TransferTo hands leadership over to a member, "" to any voter.
	TransferTo(ctx context.Context, member string) error
}

// The requests that change who is in the cluster.
type (
	// AddMemberRequest lets a host join, once. Who asks makes a secret of 16
	// random bytes and sends only its hash.
	AddMemberRequest struct {
		Act
		Name         string       `json:"name"`
		Role         cluster.Role `json:"role,omitempty"` // hypervisor (default) or witness
		ValidSeconds float64      `json:"valid_seconds"`  // at most a week
		Hash         string       `json:"hash"`           // SHA-256 of the secret, in hex
		// Replace: the host had this name and lost its disk; its old member id is
		// revoked when it joins.
		Replace bool `json:"replace,omitempty"`
	}
	// RemoveMemberRequest takes a member out and revokes its certificate.
	RemoveMemberRequest struct {
		Act
		Member string `json:"member"`          // name or id
		Force  bool   `json:"force,omitempty"` // although it has VMs or moves in flight
	}
	// TransferLeaderRequest hands leadership over.
	TransferLeaderRequest struct {
		Act
		Member string `json:"member,omitempty"` // name or id; "": any voter
	}
	// FinalizeRequest raises the feature level to what all members know.
	FinalizeRequest struct{ Act }
	// LockRequest takes the cluster's lock, or prolongs it.
	LockRequest struct {
		Act
		Lock       string  `json:"lock"`   // an id of one's own choice; who knows it prolongs and gives back
		Holder     string  `json:"holder"` // for people: a host
		ForSeconds float64 `json:"for_seconds"`
	}
	// UnlockRequest gives the lock back.
	UnlockRequest struct {
		Act
		Lock  string `json:"lock,omitempty"`
		Force bool   `json:"force,omitempty"` // take it from whoever has it
	}
)

// Join is what a host needs to know to join, beside the secret.
type Join struct {
	Token       string       `json:"token"` // id
	Cluster     string       `json:"cluster"`
	Name        string       `json:"name"`
	Role        cluster.Role `json:"role"`
	Fingerprint string       `json:"fingerprint"` // SHA-256 of the CA's certificate, in hex
	Addresses   []string     `json:"addresses"`   // host:port of members
	Expires     Time         `json:"expires"`
	// Line is the whole token for `evenkeel cluster join`, filled in by who knows
	// the secret.
	Line string `json:"line,omitempty"`
}
