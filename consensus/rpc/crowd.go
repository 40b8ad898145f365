package rpc

import (
	"net"
	"sync"
)

// crowd holds the open connections and their caps. Over the cap of one member
// its oldest connection gives way: after a cut link it is the old ones that
// are dead and do not know it yet.
type crowd struct {
	perPeer, all int

	mu     sync.Mutex
	closed bool
	peers  map[string][]net.Conn // by member and protocol, oldest first
	total  int
}

// enter takes a connection in; false means that there is no room.
func (c *crowd) enter(peer string, conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.peers[peer]
	if c.closed || c.total >= c.all && len(mine) == 0 {
		return false
	}
	if len(mine) >= c.perPeer || c.total >= c.all {
		mine[0].Close() // its owner's leave then finds nothing
		mine = mine[1:]
		c.total--
	}
	if c.peers == nil {
		c.peers = make(map[string][]net.Conn)
	}
	c.peers[peer] = append(mine[:len(mine):len(mine)], conn)
	c.total++
	return true
}

func (c *crowd) leave(peer string, conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, known := range c.peers[peer] {
		if known == conn {
			c.peers[peer] = append(c.peers[peer][:i:i], c.peers[peer][i+1:]...)
			c.total--
			break
		}
	}
	if len(c.peers[peer]) == 0 {
		delete(c.peers, peer)
	}
}

// count is the number of open connections.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// close ends every connection and lets none in any more.
func (c *crowd) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conns := range c.peers {
		for _, conn := range conns {
			conn.Close()
		}
	}
}
