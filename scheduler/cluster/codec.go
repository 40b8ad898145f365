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
		TakeLock{},
		GiveLock{},
	} {
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
	case Announce, Reserve, Veto, Claim, Release, Start, Advance, EndJob, Testify:
		return true
	}
	return false
}

// OperatorMay says whether an operator may send this command.
func (c Command) OperatorMay() bool {
	switch c.Body.(type) {
	case Cancel, Resolve, SetMode, Pause, Resume, SetSettings, RaiseLevel, AddToken, RemoveMember, TakeLock, GiveLock:
		return true
	}
	return false
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

// stateFile is a State at rest.
type stateFile struct {
	Format    int          `json:"format"`
	Header    header       `json:"header"`
	Members   []Member     `json:"members"`
	Hosts     []Host       `json:"hosts"`
	Places    []placeEntry `json:"places"`
	Moves     []Move       `json:"moves"`
	Decisions []Decision   `json:"decisions"`
	Receipts  []recentID   `json:"receipts"`
}

type placeEntry struct {
	VM string `json:"vm"`
	Place
}

type recentID struct {
	ID string `json:"id"`
	receipt
}

// Encode writes the State; equal States have equal bytes.
func (s State) Encode(w io.Writer) error {
	f := stateFile{Format: 1, Header: s.header}
	for _, m := range s.members.all() {
		f.Members = append(f.Members, m)
	}
	for _, h := range s.hosts.all() {
		f.Hosts = append(f.Hosts, h)
	}
	for vm, p := range s.places.all() {
		f.Places = append(f.Places, placeEntry{vm, p})
	}
	for _, m := range s.moves.all() {
		f.Moves = append(f.Moves, m)
	}
	for _, d := range s.decisions.all() {
		f.Decisions = append(f.Decisions, d)
	}
	for _, id := range s.receipts.all() {
		r, _ := s.recent.get(id)
		f.Receipts = append(f.Receipts, recentID{id, r})
	}
	if err := json.NewEncoder(w).Encode(f); err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return nil
}

// DecodeState reads what Encode wrote.
func DecodeState(r io.Reader) (State, error) {
	var f stateFile
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return State{}, fmt.Errorf("decode state: %w", err)
	}
	if f.Format != 1 || f.Header.Level > CurrentLevel {
		return State{}, fmt.Errorf("decode state: format %d, feature level %d: %w", f.Format, f.Header.Level, ErrFeatureLevel)
	}
	s := State{header: f.Header}
	for _, m := range f.Members {
		s.members = s.members.set(m.ID, m)
	}
	for _, h := range f.Hosts {
		s.hosts = s.hosts.set(h.ID, h)
	}
	for _, p := range f.Places {
		s.places = s.places.set(p.VM, p.Place)
	}
	for _, m := range f.Moves {
		s.moves = s.moves.set(m.Seq, m)
		if m.State.Live() {
			s.live = s.live.set(m.VM, m.Seq)
		}
	}
	for i, dec := range f.Decisions {
		s.decisions = s.decisions.set(f.Header.LastDecision-uint64(len(f.Decisions)-1-i), dec)
	}
	for _, rec := range f.Receipts {
		s.recent = s.recent.set(rec.ID, rec.receipt)
		s.receipts = s.receipts.set(rec.Index, rec.ID)
	}
	return s, nil
}
