package certs

import "errors"

// What can be wrong with a certificate. An [Error] wraps one of these, or the
// system's own error.
var (
	ErrExpired      = errors.New("certificate has expired")
	ErrNotYetValid  = errors.New("certificate is not valid yet")
	ErrOtherCA      = errors.New("certificate is of another CA")
	ErrOtherCluster = errors.New("certificate is of another cluster")
	ErrKeyMismatch  = errors.New("key does not belong to the certificate")
	ErrNoIdentity   = errors.New("certificate names no evenkeel identity")
	ErrWrongKind    = errors.New("certificate is of the wrong kind")
	ErrWrongMember  = errors.New("certificate is of another member")
	ErrExists       = errors.New("file exists already")
	ErrMalformed    = errors.New("file is malformed")
	ErrOpenKey      = errors.New("key can be read by everyone")
)

// Error is a certificate, key or CA that cannot be used.
type Error struct {
	Where  string // the file, or whose certificate it was
	Err    error  // what is wrong
	Remedy string // what to do about it
}

// Error names input, problem and remedy in one line.
func (e *Error) Error() string { return e.Where + ": " + e.Err.Error() + "; " + e.Remedy }

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }
