package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// headerActor carries for whom a member forwards a request. It is believed
// from members only, and a request that has it is never forwarded again: two
// members that take each other for the leader do not play ball with it.
const headerActor = "Ek-Actor"

// caller is who sent a request.
type caller struct {
	kind      cluster.Kind  // of the other end of the connection
	actor     cluster.Actor // in whose name it is
	role      roles.Role    // what it may do
	forwarded bool          // a member passes it on
}

// operates says whether the caller may give orders: an operator, or a member
// that forwards for one. A host's own certificate gives none.
func (c caller) operates() bool { return c.actor.Kind == cluster.KindOperator }

// member says whether the other end is a member of the cluster.
func (c caller) member() bool { return c.kind == cluster.KindAgent || c.kind == cluster.KindWitness }

type callerKey struct{}

// introduction is what a connection proves about its other end, or why it
// proves nothing.
type introduction struct {
	caller caller
	err    error
}

// whoIs returns the caller of a request.
func whoIs(ctx context.Context) (caller, error) {
	in, ok := ctx.Value(callerKey{}).(introduction)
	if !ok {
		return caller{}, connect.NewError(connect.CodeUnauthenticated, errors.New("nobody is known at the other end"))
	}
	if in.err != nil {
		return caller{}, connect.NewError(connect.CodePermissionDenied, in.err)
	}
	return in.caller, nil
}

// byCertificate introduces a caller on HTTPS, unless it was removed. Each
// request is looked at, so a connection that is open does not help.
func (s *Server) byCertificate(r *http.Request) introduction {
	in := byCertificate(r)
	if in.err == nil && s.cfg.Revoked != nil && r.TLS != nil {
		if id, err := certs.PeerIdentity(*r.TLS); err != nil || s.cfg.Revoked(id.MemberID) {
			return introduction{err: fmt.Errorf("the certificate of %.80q (%s) is revoked: its member was removed from the cluster, or an operator revoked it", id.Name, id.MemberID)}
		}
	}
	return in
}

// byCertificate introduces a caller on HTTPS.
func byCertificate(r *http.Request) introduction {
	if r.TLS == nil {
		return introduction{err: errors.New("this port needs a client certificate")}
	}
	id, err := certs.PeerIdentity(*r.TLS)
	if err != nil {
		return introduction{err: err}
	}
	role, err := certs.RoleOf(r.TLS.PeerCertificates[0])
	if err != nil {
		return introduction{err: err}
	}
	c := caller{kind: id.Kind, role: role, actor: cluster.Actor{Kind: id.Kind, ID: id.MemberID, Name: id.Name}}
	text := r.Header.Get(headerActor)
	if text == "" {
		return introduction{caller: c}
	}
	if !c.member() {
		return introduction{err: fmt.Errorf("header %s from a certificate of kind %s; only members forward", headerActor, id.Kind)}
	}
	actor, err := readActor(text)
	if err != nil {
		return introduction{err: err}
	}
	c.forwarded = true
	if actor.Kind == cluster.KindOperator {
		if c.role, err = forwardedRole(r.Header.Get(headerRole)); err != nil {
			return introduction{err: err}
		}
		// The record names the member that vouches, too.
		actor.ID, actor.Name = actor.ID+" via "+id.MemberID, actor.Name+" via "+id.Name
	}
	c.actor = actor
	return introduction{caller: c}
}

// writeActor puts an actor into a header, whatever letters its name has.
func writeActor(a cluster.Actor) string {
	data, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings only
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func readActor(text string) (cluster.Actor, error) {
	var a cluster.Actor
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = strict.Unmarshal(data, &a)
	}
	if err != nil {
		return a, fmt.Errorf("header %s: %w", headerActor, err)
	}
	if !a.Kind.Valid() || !isText(a.ID) || !isText(a.Name) {
		return a, fmt.Errorf("header %s: kind %.20q, id %.80q, name %.80q: id and name must be printable and of 1 to %d bytes", headerActor, a.Kind, a.ID, a.Name, maxActor)
	}
	return a, nil
}

// maxActor bounds an actor's id and name in bytes.
const maxActor = 80

func isText(s string) bool {
	if s == "" || len(s) > maxActor || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
