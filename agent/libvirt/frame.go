package libvirt

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
)

// Bounds of one message of libvirt's wire protocol: its length word and
// header, and VIR_NET_MESSAGE_MAX plus the length word.
const (
	minFrame = 28
	maxFrame = 32<<20 + 4
)

// frameConn is the connection that go-libvirt reads from. go-libvirt makes a
// buffer of whatever length the other side names, and panics below the
// header's size; here such a message ends the connection instead. It also
// tells when the connection has ended, at whichever side.
type frameConn struct {
	net.Conn
	once sync.Once
	dead chan struct{} // closed when reading failed or the connection was closed

	// Owned by the one reader.
	head [4]byte // the length word of the message that begins
	have int     // bytes of it that arrived
	left uint32  // bytes of the present message still to come
	err  error   // once reading failed it keeps failing the same way
}

func newFrameConn(c net.Conn) *frameConn {
	return &frameConn{Conn: c, dead: make(chan struct{})}
}

// Read passes on what arrives, having looked at every length word first.
func (c *frameConn) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.Conn.Read(p)
	if bad := c.follow(p[:n]); bad != nil {
		n, err = 0, bad
	}
	if err != nil {
		// Not the net.OpError itself: go-libvirt spins on those that call themselves temporary.
		c.err = fmt.Errorf("libvirt connection: %w", err)
		c.hangUp()
		return n, c.err
	}
	return n, nil
}

// follow walks the messages' boundaries through the bytes that arrived.
func (c *frameConn) follow(b []byte) error {
	for len(b) > 0 {
		if c.left > 0 {
			skip := min(int64(c.left), int64(len(b)))
			c.left -= uint32(skip)
			b = b[skip:]
			continue
		}
		n := copy(c.head[c.have:], b)
		c.have += n
		b = b[n:]
		if c.have < len(c.head) {
			continue
		}
		length := binary.BigEndian.Uint32(c.head[:])
		if length < minFrame || length > maxFrame {
			return fmt.Errorf("message of %d bytes, want %d to %d: is this libvirt's socket?", length, minFrame, maxFrame)
		}
		c.have, c.left = 0, length-uint32(len(c.head))
	}
	return nil
}

// hangUp ends the connection, which makes every call that waits on it return.
// Doing it again does nothing.
func (c *frameConn) hangUp() {
	c.once.Do(func() {
		c.Conn.Close()
		close(c.dead)
	})
}

// Close is hangUp for go-libvirt, which takes an error for a connection that
// could not be closed.
func (c *frameConn) Close() error {
	c.hangUp()
	return nil
}
