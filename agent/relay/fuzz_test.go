package relay

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzFilter: whatever comes, nothing but whole messages of a migration gets
// to libvirtd.
func FuzzFilter(f *testing.F) {
	const vm = "4b1d1ae8-3c59-4a30-9f21-4d2a4e0c6e01"
	frame := func(program, procedure, kind uint32, body string) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(frameHeader+len(body)))
		for _, w := range []uint32{program, 1, procedure, kind, 7, 0} {
			b = binary.BigEndian.AppendUint32(b, w)
		}
		return append(b, body...)
	}
	f.Add(frame(programRemote, procDomainMigratePrepare3Params, typeCall, "<uuid>"+vm+"</uuid>"))
	f.Add(append(frame(programKeepalive, 1, 2, ""), frame(programRemote, 12, typeCall, vm)...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		var got bytes.Buffer
		err := filter{vm}.run(&got, bytes.NewReader(data))
		if !bytes.HasPrefix(data, got.Bytes()) {
			t.Fatalf("%q became %q", data, got.Bytes())
		}
		if err == nil && got.Len() != len(data) {
			t.Fatalf("%d of %d bytes passed, and nothing was refused", got.Len(), len(data))
		}
		for b := got.Bytes(); len(b) > 0; b = b[binary.BigEndian.Uint32(b):] {
			if p := binary.BigEndian.Uint32(b[4:]); p != programRemote && p != programKeepalive {
				t.Fatalf("a message of program %#x passed", p)
			}
		}
	})
}

// FuzzMessage: a hello, a request or an answer of a stranger breaks nothing.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("\x00\x02{}"))
	f.Add([]byte("\x00\x2b" + `{"move":"m-2f9","channel":"memory"}        `))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h hello
		if err := readMessage(bytes.NewReader(data), &h); err != nil || h.check() != nil {
			return
		}
		var out bytes.Buffer
		if err := writeMessage(&out, h); err != nil {
			t.Fatal(err)
		}
		var again hello
		if err := readMessage(&out, &again); err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

// FuzzURI: what another host announces is no relay's, or is written as it was
// read.
func FuzzURI(f *testing.F) {
	for _, seed := range []string{"relay://10.0.0.1:7473/run/evenkeel/relay", "relay://[::1]:7473/run", "relay://h:1", "qemu+tls://hv2/system", "relay://h:1/%2e%2e/\x00", "relay://a:b@h:1/x?y#z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, dir, ok := ParseURI(text)
		if !ok {
			return
		}
		if again, at, ok := ParseURI(URI(address, dir)); !ok || again != address || at != dir {
			t.Errorf("%q became %q in %q, %v; was %q in %q", text, again, at, ok, address, dir)
		}
	})
}
