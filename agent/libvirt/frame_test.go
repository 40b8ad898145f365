package libvirt

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// oneWay is a connection that only delivers.
type oneWay struct {
	net.Conn
	io.Reader
}

func (c oneWay) Read(p []byte) (int, error) { return c.Reader.Read(p) }
func (oneWay) Close() error                 { return nil }

func message(length uint32, body int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, length), bytes.Repeat([]byte{0xee}, body)...)
}

func TestFramesPass(t *testing.T) {
	stream := slices.Concat(message(28, 24), message(1028, 1024), message(28, 24))
	for name, r := range map[string]io.Reader{
		"whole":   bytes.NewReader(stream),
		"bytes":   iotest.OneByteReader(bytes.NewReader(stream)),
		"at once": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		c := newFrameConn(oneWay{Reader: r})
		got, err := io.ReadAll(readUntilEOF{c})
		if err != nil || !bytes.Equal(got, stream) {
			t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(stream), err)
		}
		select {
		case <-c.dead:
		default:
			t.Errorf("%s: the end was not noticed", name)
		}
	}
}

// readUntilEOF undoes the wrapping of io.EOF for io.ReadAll.
type readUntilEOF struct{ r io.Reader }

func (r readUntilEOF) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && strings.HasSuffix(err.Error(), io.EOF.Error()) {
		err = io.EOF
	}
	return n, err
}

func TestFramesRefused(t *testing.T) {
	for _, length := range []uint32{0, 27, maxFrame + 1, 1 << 31, 1<<32 - 1, binary.BigEndian.Uint32([]byte("HTTP"))} {
		for name, chunked := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader} {
			c := newFrameConn(oneWay{Reader: chunked(bytes.NewReader(append(message(28, 24), message(length, 64)...)))})
			got, err := io.ReadAll(c)
			if err == nil || !strings.Contains(err.Error(), "is this libvirt's socket?") {
				t.Errorf("%s: length %d: %v", name, length, err)
			}
			if len(got) > 28+3 { // never a whole length word of the bad message
				t.Errorf("%s: length %d: passed %d bytes on", name, length, len(got))
			}
			if _, again := c.Read(make([]byte, 1)); again != err {
				t.Errorf("%s: length %d: then %v", name, length, again)
			}
		}
	}
}

// FuzzFrames: whatever arrives in whatever pieces, what is passed on never
// holds a length word out of bounds.
func FuzzFrames(f *testing.F) {
	f.Add(message(28, 24), uint8(1))
	f.Add(append(message(30, 26), message(1<<31, 9)...), uint8(7))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		c := newFrameConn(oneWay{Reader: bytes.NewReader(stream)})
		var got []byte
		buf := make([]byte, int(piece)+1)
		for {
			n, err := c.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.HasPrefix(stream, got) {
			t.Fatal("bytes changed")
		}
		for len(got) >= 4 {
			n := binary.BigEndian.Uint32(got)
			if n < minFrame || n > maxFrame {
				t.Fatalf("passed on a message of %d bytes", n)
			}
			got = got[min(int(n), len(got)):]
		}
	})
}
