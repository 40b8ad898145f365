// Package definitions is a voter's memory of how each host's VMs were last
// defined, so that a host which dies does not take the only copy along.
//
//	store, err := definitions.Open(dir, time.Now)
//	wanted, err := store.List(host, "hv1", marks) // what the host has; says what is new
//	err = store.Keep(host, packed)                // the new ones
//	host, err := store.Host("hv1")
//	text, err := store.Text(host.ID, vm)
//
// It is no part of the State. A definition of some 2 KiB a VM would make each of
// Raft's snapshots of 10,000 VMs larger by 20 MB, over and over, for what changes
// once a month. So each host brings its definitions to every voter by itself:
// first a list of their sums, then those that the voter does not have. A voter
// that was wiped, or has just become one, has everything after the next list.
//
// A VM that its host lists no more is kept for a week, for it may have gone by
// mistake.
package definitions

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"time"
	"unicode/utf8"
)

// Bounds.
const (
	MaxVMs   = 4096     // that one host lists
	MaxBytes = 16 << 10 // of a compressed definition
	maxText  = 4 << 20  // of one that is unpacked: libvirt's own limit
	maxName  = 512
	maxHosts = 4096
)

// Mark is a VM that a host has, and the SHA-256 of its definition in hex.
type Mark struct {
	VM  string `json:"vm"` // UUID
	Sum string `json:"sum"`
}

// Definition is a VM's definition, compressed with gzip.
type Definition struct {
	Mark
	Name string `json:"name"`
	XML  []byte `json:"xml"`
}

// Pack compresses a definition. One that is too large is not kept.
func Pack(vm, name, text string) (Definition, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return Definition{}, err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return Definition{}, err
	}
	if err := w.Close(); err != nil {
		return Definition{}, err
	}
	d := Definition{Mark{vm, sum(text)}, name, out.Bytes()}
	if len(text) > maxText || len(d.XML) > MaxBytes {
		return d, fmt.Errorf("definition of VM %.80s has %d bytes, compressed %d: more than the %d that a voter keeps", name, len(text), len(d.XML), MaxBytes)
	}
	return d, d.check()
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// unpack gives the text back, if it is the one that the sum is of.
func (d Definition) unpack() (string, error) {
	r, err := gzip.NewReader(bytes.NewReader(d.XML))
	if err != nil {
		return "", fmt.Errorf("definition of VM %s: %w", d.VM, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err != nil {
		return "", fmt.Errorf("definition of VM %s: %w", d.VM, err)
	}
	if len(text) > maxText || sum(string(text)) != d.Sum {
		return "", fmt.Errorf("definition of VM %s is not the one of SHA-256 %s", d.VM, d.Sum)
	}
	return string(text), nil
}

var (
	idPattern  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	sumPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (m Mark) check() error {
	switch {
	case !idPattern.MatchString(m.VM):
		return fmt.Errorf("VM %.80q is no UUID", m.VM)
	case !sumPattern.MatchString(m.Sum):
		return fmt.Errorf("VM %s: %.80q is no SHA-256 in hex", m.VM, m.Sum)
	}
	return nil
}

func (d Definition) check() error {
	if err := d.Mark.check(); err != nil {
		return err
	}
	switch {
	case len(d.XML) == 0 || len(d.XML) > MaxBytes:
		return fmt.Errorf("VM %s: a compressed definition of %d bytes, want 1 to %d", d.VM, len(d.XML), MaxBytes)
	case len(d.Name) > maxName || !utf8.ValidString(d.Name):
		return fmt.Errorf("VM %s: its name is no text of at most %d bytes", d.VM, maxName)
	}
	return nil
}

// Host is what is remembered of one host.
type Host struct {
	ID   string    `json:"id"` // member id
	Name string    `json:"name"`
	At   time.Time `json:"at"`  // of its last list
	VMs  []VM      `json:"vms"` // by UUID
}

// VM is one VM of a host.
type VM struct {
	Mark
	Name string    `json:"name"`
	At   time.Time `json:"at"`            // when this definition came
	Left time.Time `json:"left,omitzero"` // since when the host lists it no more
}
