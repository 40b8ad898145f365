package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
)

// A message of libvirt's RPC: its length with the length word itself, then a
// header of six words (https://libvirt.org/kbase/internals/rpc.html).
const (
	frameHeader = 28
	maxFrame    = 32<<20 + 4 // VIR_NET_MESSAGE_MAX and the length word
)

// Programs and types of messages.
const (
	programRemote    = 0x20008086
	programKeepalive = 0x6b656570
	typeCall         = 0
)

// Procedures of the remote program (remote_protocol.x) that the source's
// libvirtd calls at the target in a peer-to-peer migration.
const (
	procConnectOpen                 = 1
	procConnectClose                = 2
	procConnectGetURI               = 110
	procConnectSupportsFeature      = 60
	procAuthList                    = 66
	procConnectGetLibVersion        = 157
	procConnectGetHostname          = 59
	procConnectEventRegister        = 360
	procConnectEventDeregister      = 361
	procDomainMigratePrepare3Params = 303
	procDomainMigrateFinish3Params  = 306
)

var allowed = map[uint32]bool{
	procConnectOpen: true, procConnectClose: true, procConnectGetURI: true, procConnectSupportsFeature: true,
	procAuthList: true, procConnectGetLibVersion: true, procConnectGetHostname: true,
	procConnectEventRegister: true, procConnectEventDeregister: true,
	procDomainMigratePrepare3Params: true, procDomainMigrateFinish3Params: true,
}

var domainUUID = regexp.MustCompile(`<uuid>([^<]{0,64})</uuid>`)

// filter passes messages of libvirt's RPC on to the target's libvirtd as long
// as they belong to a migration of one VM. A socket of libvirt is as good as
// root's password: without it a source could do anything at the target.
type filter struct {
	vm string // UUID
}

// run copies whole messages until from ends or one is refused.
func (f filter) run(to io.Writer, from io.Reader) error {
	var head [frameHeader]byte
	for {
		if _, err := io.ReadFull(from, head[:]); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		length := binary.BigEndian.Uint32(head[:])
		if length < frameHeader || length > maxFrame {
			return fmt.Errorf("message of %d bytes to libvirt, want %d to %d", length, frameHeader, maxFrame)
		}
		if err := f.pass(to, head, from, int64(length-frameHeader)); err != nil {
			return err
		}
	}
}

func (f filter) pass(to io.Writer, head [frameHeader]byte, from io.Reader, left int64) error {
	var body bytes.Buffer // grows with what arrives, not with what was announced
	if n, err := io.CopyN(&body, from, left); err != nil {
		return fmt.Errorf("message to libvirt ends after %d of %d bytes: %w", n, left, err)
	}
	if err := f.check(head, body.Bytes()); err != nil {
		return err
	}
	_, err := to.Write(append(head[:], body.Bytes()...))
	return err
}

func (f filter) check(head [frameHeader]byte, body []byte) error {
	word := func(i int) uint32 { return binary.BigEndian.Uint32(head[4*i:]) }
	program, procedure, kind := word(1), word(3), word(4)
	switch {
	case program == programKeepalive:
		return nil
	case program != programRemote:
		return fmt.Errorf("program %#x of libvirt has no part in a migration", program)
	case kind != typeCall || !allowed[procedure]:
		return fmt.Errorf("procedure %d (message type %d) of libvirt has no part in a migration", procedure, kind)
	}
	for _, m := range domainUUID.FindAllSubmatch(body, -1) {
		if string(m[1]) != f.vm {
			return fmt.Errorf("procedure %d speaks of VM %.40q, not of %s", procedure, m[1], f.vm)
		}
	}
	if procedure == procDomainMigratePrepare3Params && !domainUUID.Match(body) {
		return fmt.Errorf("procedure %d names no VM", procedure)
	}
	return nil
}
