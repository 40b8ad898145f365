package main

import (
	"errors"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
)

// Exit codes; docs/reference/json.md has them too.
const (
	exitDone        = 0
	exitFailed      = 1
	exitPlan        = 2 // plan --detailed-exitcode: there is a plan
	exitBlocked     = 3
	exitMigration   = 5 // a migration failed or was aborted
	exitUsage       = 64
	exitUnreachable = 69
	exitForbidden   = 77
	exitConfig      = 78
)

type (
	// usage is a command line that makes no sense.
	usage struct{ err error }
	// exits is an error that knows its code.
	exits struct {
		code int
		err  error
	}
)

func (u usage) Error() string { return u.err.Error() }
func (u usage) Unwrap() error { return u.err }
func (e exits) Error() string { return e.err.Error() }
func (e exits) Unwrap() error { return e.err }

// errSilent ends with a code when everything has been said.
var errSilent = errors.New("")

func exitCode(err error) int {
	var known exits
	var call *api.Error
	switch {
	case errors.As(err, &known):
		return known.code
	case errors.As(err, new(usage)):
		return exitUsage
	case errors.As(err, &call):
		return codeOf(call.Cause)
	case errors.As(err, new(config.Problems)):
		return exitConfig
	case errors.As(err, new(*certs.Error)):
		return exitConfig
	}
	return exitFailed
}

func codeOf(c api.Cause) int {
	switch c {
	case api.CauseUsage:
		return exitUsage
	case api.CauseBlocked:
		return exitBlocked
	case api.CauseUnreachable:
		return exitUnreachable
	case api.CauseForbidden:
		return exitForbidden
	}
	return exitFailed
}
