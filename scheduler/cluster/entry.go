package cluster

import (
	"errors"
	"fmt"
)

// Entries of load snapshots are binary: they are nearly all that the log
// holds. Every other command is JSON, which begins with a brace.
const (
	entryFormat = 1
	// lastEntryFormat bounds the first bytes that later versions may use for
	// binary entries. A replica that meets one stops, as at a higher level.
	lastEntryFormat = 8
	maxActorID      = 128
)

var actorKinds = []Kind{"", KindAgent, KindWitness, KindOperator}

// Digests is the command [Snapshots] of digests that are written already: they
// go to the log as they are, and come back as Snapshots.
type Digests struct{ Batch []Digest }

func (Digests) kind() string { return Snapshots{}.kind() }

func (b Digests) apply(s *State, m Meta, c *Command) error {
	out := Snapshots{Batch: make([]Snapshot, len(b.Batch))}
	for i, d := range b.Batch {
		out.Batch[i] = d.snapshot
	}
	return out.apply(s, m, c)
}

// Sequenced says whether the command needs no id of its own: what it carries
// has sequences, and a repetition changes nothing.
func (c Command) Sequenced() bool {
	switch c.Body.(type) {
	case Snapshots, Digests:
		return true
	}
	return false
}

// encodeDigests writes an entry of load snapshots: format, level, time, actor
// and id, then each digest with its length.
func encodeDigests(c Command, batch []Digest) ([]byte, error) {
	kind := -1
	for i, k := range actorKinds {
		if k == c.Actor.Kind {
			kind = i
		}
	}
	if kind < 0 {
		return nil, fmt.Errorf("actor of kind %.20q", c.Actor.Kind)
	}
	var w writer
	w.byte(entryFormat)
	w.uint(uint64(c.Level))
	w.num(int64(c.At), wireMillisecond)
	w.byte(byte(kind))
	w.text(c.Actor.ID)
	w.text(c.Actor.Name)
	w.text(c.ID)
	w.uint(uint64(len(batch)))
	for _, d := range batch {
		w.bytes(d.data)
	}
	return w.data, nil
}

func decodeDigests(data []byte) (Command, error) {
	r := &reader{data: data, what: "decode command snapshots"}
	format := r.byte()
	level := r.uint()
	if r.err == nil && (format != entryFormat || level > uint64(CurrentLevel)) {
		return Command{}, fmt.Errorf("decode command snapshots of format %d and level %d: %w", format, level, ErrFeatureLevel)
	}
	c := Command{Level: uint32(level), At: Time(r.num(wireMillisecond))}
	kind := r.byte()
	if int(kind) >= len(actorKinds) {
		r.fail("actor of kind %d", kind)
		kind = 0
	}
	c.Actor = Actor{actorKinds[kind], r.text(maxActorID, "bytes of the actor's id"), r.text(maxName, "bytes of the actor's name")}
	c.ID = r.text(maxActorID, "bytes of the command's id")
	if r.err == nil && (c.At < 0 || c.At > maxTime) {
		r.fail("time %d is out of bounds", c.At)
	}
	n := r.count(MaxCommandBytes, 2, "digests")
	var batch []Snapshot
	for i := range n {
		raw := r.bytes(MaxDigestBytes, "bytes of a digest")
		if r.err != nil {
			break
		}
		d, err := ReadDigest(raw)
		if err != nil {
			return Command{}, fmt.Errorf("decode command snapshots: digest %d of %d: %w", i+1, n, err)
		}
		batch = append(batch, d.snapshot)
	}
	if err := r.end(); err != nil {
		return Command{}, err
	}
	c.Body = Snapshots{batch}
	return c, nil
}

// encodeSnapshots is for snapshots that nobody has written down yet.
func encodeSnapshots(c Command, batch []Snapshot) ([]byte, error) {
	digests := make([]Digest, len(batch))
	for i, s := range batch {
		var err error
		if digests[i], err = NewDigest(s); err != nil {
			return nil, err
		}
	}
	return encodeDigests(c, digests)
}

// encodeBinary encodes the commands that have a binary form.
func encodeBinary(c Command) (data []byte, binary bool, err error) {
	switch body := c.Body.(type) {
	case Snapshots:
		data, err = encodeSnapshots(c, body.Batch)
	case Digests:
		data, err = encodeDigests(c, body.Batch)
	default:
		return nil, false, nil
	}
	return data, true, err
}

var errSnapshotsInJSON = errors.New("load snapshots are binary")
