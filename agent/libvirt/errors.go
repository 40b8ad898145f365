package libvirt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// ErrNoVM means that the daemon knows no VM with that UUID.
var ErrNoVM = agent.ErrNoVM

// Error is what the daemon itself answered. Its text may be in the daemon's
// language: branch on the code (virErrorNumber), never on the text.
type Error struct {
	Code    uint32
	Message string // valid UTF-8, at most 1 KiB
}

// Error returns libvirt's text.
func (e *Error) Error() string { return fmt.Sprintf("libvirt error %d: %s", e.Code, e.Message) }

// Is makes errors.Is(err, ErrNoVM) true for libvirt's own code for it.
func (e *Error) Is(target error) bool {
	return target == ErrNoVM && e.Code == uint32(golibvirt.ErrNoDomain)
}

// translate turns what go-libvirt returned into our words: an answer of the
// daemon, an ended context, or a lost connection.
func translate(err error) error {
	var answer golibvirt.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		return &Error{Code: answer.Code, Message: clip(answer.Message, 1<<10)}
	case errors.Is(err, golibvirt.ErrUnsupported):
		return &Error{Code: uint32(golibvirt.ErrNoSupport), Message: "the daemon does not know this call: libvirt is too old"}
	case errors.Is(err, agent.ErrDisconnected), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w: %w", agent.ErrDisconnected, err)
}

// answered says whether the daemon answered, well or not: the connection is
// in order then.
func answered(err error) bool {
	return err == nil || errors.As(err, new(golibvirt.Error)) || errors.Is(err, golibvirt.ErrUnsupported)
}

func hasCode(err error, code golibvirt.ErrorNumber) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == uint32(code)
}

// clip bounds a text that others wrote and makes it valid UTF-8.
func clip(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
