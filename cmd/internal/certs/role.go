package certs

import (
	"crypto/x509"
	"fmt"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// RoleOf returns what the holder of a certificate may do at the API. An
// operator's has its role as the subject's only organizational unit; without
// one, as from before there were roles, it operates. Members only read: an
// order that they pass on carries the role of whose it is.
//
// The unit and not the URI holds the role: the URI is who somebody is, and
// stays the same when what they may do changes. Nobody but the CA writes
// either; nothing of a signing request's subject is taken over.
func RoleOf(cert *x509.Certificate) (roles.Role, error) {
	id, err := ParseIdentity(cert)
	if err != nil {
		return "", err
	}
	units := cert.Subject.OrganizationalUnit
	switch {
	case id.Kind != cluster.KindOperator:
		return roles.View, nil
	case len(units) == 0:
		return roles.Operate, nil
	case len(units) > 1:
		return "", fmt.Errorf("%s has %d organizational units, expected one with its role", subject(cert), len(units))
	}
	role, err := roles.Parse(units[0])
	if err != nil {
		return "", fmt.Errorf("%s: %w", subject(cert), err)
	}
	return role, nil
}
