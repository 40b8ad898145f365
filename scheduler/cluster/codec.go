package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// MaxCommandBytes bounds an encoded command.
const MaxCommandBytes = 4 << 20

// envelope is a command in the log. Decisions are kept readable on purpose:
// they are few, and an operator may have to read them with a hex dump.
type envelope struct {
	Level uint32          `json:"level"`
	Kind  string          `json:"kind"`
	ID    string          `json:"id,omitempty"`
	Actor Actor           `json:"actor"`
	At    Time            `json:"at"`
	Body  json.RawMessage `json:"body"`
}

// bodies lists every kind of command that this binary knows.
var bodies = func() map[string]reflect.Type {
	m := make(map[string]reflect.Type)
	for _, b := range []Body{
		Announce{},
		Snapshots{},
		Decide{},
		Reserve{},
		Veto{},
		Claim{},
		Release{},
		Start{},
		Advance{},
		EndJob{},
		Testify{},
		Expire{},
		Cancel{},
		Resolve{},
		Verify{},
		SetMode{},
		Pause{},
		Resume{},
		Freeze{},
		SetSettings{},
		RaiseLevel{},
		AddToken{},
		UseToken{},
		RemoveMember{},
		RevokeCertificate{},
		TakeLock{},
		GiveLock{},
		SetCordon{},
		LiftCordon{},
		SetVMRule{},
		SetRules{},
		SetQuiet{},
		ForeseeQuiet{},
		Deliver{},
		Describe{},
	} {
		m[b.kind()] = reflect.TypeOf(b)
	}
	for _, b := range laterBodies {
		m[b.kind()] = reflect.TypeOf(b)
	}
	return m
}()

// Kind names the command, as in the log.
func (c Command) Kind() string { return c.Body.kind() }

// AgentMay says whether a host's agent may send this command. The others come
// from the leader itself or from an operator.
func (c Command) AgentMay() bool {
	switch c.Body.(type) {
	case Announce, Describe, Reserve, Veto, Claim, Release, Start, Advance, EndJob, Testify:
		return true
	}
	return false
}

// OperatorMay says whether an operator may send this command.
func (c Command) OperatorMay() bool {
	switch b := c.Body.(type) {
	case Cancel, Resolve, SetMode, Pause, Resume, SetSettings, RaiseLevel, AddToken, RemoveMember, TakeLock, GiveLock, SetCordon, LiftCordon, SetVMRule, SetRules, SetQuiet, RevokeCertificate:
		return true
	case Decide:
		return b.byOperator()
	}
	l, ok := c.Body.(later)
	return ok && l.operators()
}

// EncodeCommand gives the command's bytes in the log; equal commands have
// equal bytes.
func EncodeCommand(c Command) ([]byte, error) {
	if c.Body == nil {
		return nil, errors.New("encode command: no body")
	}
	out, isBinary, err := encodeBinary(c)
	if !isBinary {
		out, err = encodeJSON(c)
	}
	if err != nil {
		return nil, fmt.Errorf("encode command %s: %w", c.Body.kind(), err)
	}
	if len(out) > MaxCommandBytes {
		return nil, fmt.Errorf("encode command %s: %d bytes, at most %d", c.Body.kind(), len(out), MaxCommandBytes)
	}
	return out, nil
}

func encodeJSON(c Command) ([]byte, error) {
	body, err := json.Marshal(c.Body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{c.Level, c.Body.kind(), c.ID, c.Actor, c.At, body})
}

// DecodeCommand reads what EncodeCommand wrote. A command of a higher feature
// level is ErrFeatureLevel even where this binary cannot read its body; so is
// an unknown kind.
func DecodeCommand(data []byte) (Command, error) {
	if len(data) > MaxCommandBytes {
		return Command{}, fmt.Errorf("decode command: %d bytes, at most %d", len(data), MaxCommandBytes)
	}
	if len(data) > 0 && data[0] > 0 && data[0] <= lastEntryFormat {
		return decodeDigests(data)
	}
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return Command{}, fmt.Errorf("decode command: %w", err)
	}
	typ, known := bodies[e.Kind]
	if e.Level > CurrentLevel || !known {
		return Command{}, fmt.Errorf("decode command %.40q of level %d: %w", e.Kind, e.Level, ErrFeatureLevel)
	}
	if e.Kind == (Snapshots{}).kind() {
		return Command{}, fmt.Errorf("decode command %s: %w", e.Kind, errSnapshotsInJSON)
	}
	body := reflect.New(typ)
	if err := strict(e.Body, body.Interface()); err != nil {
		return Command{}, fmt.Errorf("decode command %s: %w", e.Kind, err)
	}
	if len(e.ID) > 128 || len(e.Actor.ID) > 128 || len(e.Actor.Name) > maxName || e.At < 0 || e.At > maxTime {
		return Command{}, fmt.Errorf("decode command %s: id, actor or time out of bounds", e.Kind)
	}
	return Command{e.Level, e.ID, e.Actor, e.At, body.Elem().Interface().(Body)}, nil
}

func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after the body")
	}
	return nil
}
