package relay

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/google/uuid"
)

// Protocol is the relays' ALPN name.
const Protocol = "ek-relay/1"

// Channel is one of a migration's streams.
type Channel string

// The channels.
const (
	ChannelLibvirt Channel = "libvirt" // from libvirtd to libvirtd
	ChannelMemory  Channel = "memory"  // from QEMU to QEMU
	ChannelDisks   Channel = "disks"   // from QEMU to QEMU's server of the disks that are copied
)

var channels = []Channel{ChannelLibvirt, ChannelMemory, ChannelDisks}

// socketName is the name of a channel's socket in a passage's directory.
func (c Channel) socketName() string { return string(c) + ".sock" }

// hello opens a channel; the answer to it is a verdict.
type hello struct {
	Move    string  `json:"move"`
	Channel Channel `json:"channel"`
}

type verdict struct {
	Error string `json:"error,omitempty"`
}

// maxMessage bounds a hello, a verdict, a control request and its answer.
const maxMessage = 1<<16 - 1

var moveID = regexp.MustCompile(`^m-[0-9a-f]{1,16}$`)

func (h hello) check() error {
	if !moveID.MatchString(h.Move) {
		return fmt.Errorf("%.40q is no move id", h.Move)
	}
	if !slices.Contains(channels, h.Channel) {
		return fmt.Errorf("%.40q is no channel", h.Channel)
	}
	return nil
}

func checkUUID(what, text string) error {
	if id, err := uuid.Parse(text); err != nil || id.String() != text {
		return fmt.Errorf("%s: %.40q is no UUID", what, text)
	}
	return nil
}

// writeMessage writes v as JSON behind its length (2 bytes, big-endian).
func writeMessage(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(data) > maxMessage {
		return fmt.Errorf("message of %d bytes, at most %d", len(data), maxMessage)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...))
	return err
}

// readMessage is the reverse of writeMessage. It reads no byte too many.
func readMessage(r io.Reader, v any) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint16(head[:])
	if n > maxMessage {
		return fmt.Errorf("message of %d bytes, at most %d", n, maxMessage)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
