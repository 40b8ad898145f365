package wiretap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Procedure is a procedure of libvirt's remote program
// (remote_protocol.x: REMOTE_PROC_DOMAIN_MIGRATE_*).
type Procedure uint32

// The steps of a migration that cross a socket.
const (
	Prepare Procedure = 303 // DOMAIN_MIGRATE_PREPARE3_PARAMS, at the target
	Perform Procedure = 305 // DOMAIN_MIGRATE_PERFORM3_PARAMS, at the source
	Finish  Procedure = 306 // DOMAIN_MIGRATE_FINISH3_PARAMS, at the target
	Confirm Procedure = 307 // DOMAIN_MIGRATE_CONFIRM3_PARAMS, at the source; only of managed migrations
)

// Direction tells a call from its reply.
type Direction uint32

// The directions: libvirt's virNetMessageType.
const (
	Call  Direction = 0
	Reply Direction = 1
)

func (d Direction) String() string {
	if d == Call {
		return "call"
	}
	return "reply"
}

func (p Procedure) String() string {
	switch p {
	case Prepare:
		return "PREPARE3_PARAMS"
	case Perform:
		return "PERFORM3_PARAMS"
	case Finish:
		return "FINISH3_PARAMS"
	case Confirm:
		return "CONFIRM3_PARAMS"
	}
	return fmt.Sprintf("procedure %d", uint32(p))
}

// A message is its length, which counts the length word itself, then program,
// version, procedure, type, serial and status, then its body; all words are
// big-endian (https://libvirt.org/kbase/internals/rpc.html).
const (
	headerBytes   = 28
	maxFrame      = 32<<20 + 4 // VIR_NET_MESSAGE_MAX and the length word
	programRemote = 0x20008086
)

// frame is one whole message.
type frame []byte

func readFrame(r io.Reader) (frame, error) {
	var head [headerBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < headerBytes || length > maxFrame {
		return nil, fmt.Errorf("message of %d bytes, want %d to %d: is this libvirt's socket?", length, headerBytes, maxFrame)
	}
	whole := bytes.NewBuffer(head[:]) // grows with what arrives, not with what was announced
	if n, err := io.CopyN(whole, r, int64(length-headerBytes)); err != nil {
		return nil, fmt.Errorf("message ends after %d of %d bytes: %w", n+headerBytes, length, err)
	}
	return whole.Bytes(), nil
}

func (f frame) word(i int) uint32 { return binary.BigEndian.Uint32(f[4*i:]) }

// is says whether the message is a procedure's call or reply.
func (f frame) is(p Procedure, d Direction) bool {
	return f.word(1) == programRemote && Procedure(f.word(3)) == p && Direction(f.word(4)) == d
}
