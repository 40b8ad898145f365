package cluster

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Chain is a digest of everything that made a State, in hex: SHA-256 over the
// digest before, and index, term and bytes of the entry. Since Apply reads
// nothing else, States with one chain are the same State; encoding a State of a
// thousand hosts to hash it would take most of a second, this takes
// microseconds. Empty before the first entry.
type Chain string

// next is the chain after an entry. What is only tried out leaves it alone.
func (c Chain) next(m Meta) Chain {
	if m.Entry == nil {
		return c
	}
	h := sha256.New()
	h.Write([]byte(c))
	var place [16]byte
	binary.BigEndian.PutUint64(place[:8], m.Index)
	binary.BigEndian.PutUint64(place[8:], m.Term)
	h.Write(place[:])
	h.Write(m.Entry)
	return Chain(hex.EncodeToString(h.Sum(nil)))
}

// valid says whether it is one, or none at all.
func (c Chain) valid() bool {
	b, err := hex.DecodeString(string(c))
	return err == nil && (len(b) == 0 || len(b) == sha256.Size)
}
