package rpc

import (
	"errors"
	"net"
	"time"
)

// boundedConn is an incoming Raft stream. The library reads a request, answers
// it, reads the next; it bounds neither a request's size nor the time that one
// takes to arrive. Between requests a stream may rest as long as it likes: the
// library keeps it for the next election.
type boundedConn struct {
	net.Conn
	stall time.Duration // longest pause within a request
	left  int64         // bytes that the request may still have
	inner bool          // within a request
}

// Bounds of a request in bytes. Appends carry at most 16 entries of at most
// 4 MiB; a State is bounded by its file format.
const (
	maxRaftRequest  = 80 << 20
	maxRaftSnapshot = 1<<30 + 1<<20
	rpcInstall      = 2 // the library's number for "install snapshot", a request's first byte
)

var errRaftRequest = errors.New("raft request too large")

// Read implements net.Conn.
func (c *boundedConn) Read(p []byte) (int, error) {
	deadline := time.Time{}
	if c.inner {
		deadline = time.Now().Add(c.stall)
	}
	if err := c.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if !c.inner && n > 0 {
		c.inner, c.left = true, maxRaftRequest
		if p[0] == rpcInstall {
			c.left = maxRaftSnapshot
		}
	}
	if c.left -= int64(n); err == nil && c.left < 0 {
		err = errRaftRequest
	}
	return n, err
}

// Write implements net.Conn: an answer ends a request.
func (c *boundedConn) Write(p []byte) (int, error) {
	c.inner = false
	return c.Conn.Write(p)
}
