package wiretap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func message(program uint32, p Procedure, d Direction, body string) frame {
	f := make(frame, headerBytes, headerBytes+len(body))
	for i, w := range []uint32{uint32(headerBytes + len(body)), program, 1, uint32(p), uint32(d), 7, 0} {
		binary.BigEndian.PutUint32(f[4*i:], w)
	}
	return append(f, body...)
}

// echo is a libvirtd that answers each call with a reply of the same body.
func echo(t *testing.T) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tap")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); os.RemoveAll(dir) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					f, err := readFrame(c)
					if err != nil {
						return
					}
					binary.BigEndian.PutUint32(f[16:], uint32(Reply))
					if _, err := c.Write(f); err != nil {
						return
					}
				}
			}()
		}
	}()
	return path
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, c net.Conn, f frame) {
	t.Helper()
	if _, err := c.Write(f); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, want frame) {
	t.Helper()
	if got, err := readFrame(c); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("received %q, %v; want %q", got, err, want)
	}
}

func TestOnlyTheArmedMessageIsHeld(t *testing.T) {
	path := echo(t)
	tap, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := tap.Arm(Finish, Reply)
	migration, other := dial(t, path), dial(t, path)
	send(t, migration, message(programRemote, Prepare, Call, "cookie"))
	receive(t, migration, message(programRemote, Prepare, Reply, "cookie"))
	send(t, migration, message(programRemote, Finish, Call, ""))
	<-stop.Reached()
	// Others go on, also with the same number in another program.
	send(t, other, message(0x6b656570, Finish, Call, ""))
	receive(t, other, message(0x6b656570, Finish, Reply, ""))
	stop.Pass()
	receive(t, migration, message(programRemote, Finish, Reply, ""))
	send(t, migration, message(programRemote, Finish, Call, "again"))
	receive(t, migration, message(programRemote, Finish, Reply, "again"))

	cutting := tap.Arm(Perform, Call)
	cutting.Cut()
	send(t, migration, message(programRemote, Perform, Call, ""))
	if _, err := readFrame(migration); !errors.Is(err, io.EOF) && err == nil {
		t.Errorf("a cut connection ends with %v", err)
	}
	if err := tap.Close(); err != nil {
		t.Fatal(err)
	}
	after := dial(t, path)
	send(t, after, message(programRemote, Perform, Call, "")) // libvirtd's own socket is back
	receive(t, after, message(programRemote, Perform, Reply, ""))
}

func TestLibvirtdTakesItsSocketBack(t *testing.T) {
	path := echo(t)
	tap, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	// What a libvirtd does that is started anew; it is this process, so a
	// listener that is closed stands for it.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fresh, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	fresh.SetUnlinkOnClose(false)
	if err := fresh.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tap.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the new libvirtd's socket: %v", err)
	}
	if _, err := os.Stat(path + moved); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old socket is still there: %v", err)
	}
}

func TestNonsenseEndsTheConnection(t *testing.T) {
	for _, length := range []uint32{0, headerBytes - 1, maxFrame + 1} {
		f := message(programRemote, Prepare, Call, "")
		binary.BigEndian.PutUint32(f, length)
		if _, err := readFrame(bytes.NewReader(f)); err == nil {
			t.Errorf("a message of %d bytes is read", length)
		}
	}
	if _, err := readFrame(bytes.NewReader(message(programRemote, Prepare, Call, "cookie")[:30])); err == nil {
		t.Error("half a message is read")
	}
}
