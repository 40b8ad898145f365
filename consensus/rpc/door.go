package rpc

import (
	"net"
	"sync"
)

// door bounds the handshakes under way, in all and from one address: until it
// is over we know nobody, and must not let strangers pile up.
type door struct {
	all, perHost int

	mu     sync.Mutex
	closed bool
	inside map[net.Conn]string
	hosts  map[string]int
}

func (d *door) enter(conn net.Conn) bool {
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.inside) >= d.all || d.hosts[host] >= d.perHost {
		return false
	}
	if d.inside == nil {
		d.inside, d.hosts = make(map[net.Conn]string), make(map[string]int)
	}
	d.inside[conn] = host
	d.hosts[host]++
	return true
}

func (d *door) leave(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	host := d.inside[conn]
	delete(d.inside, conn)
	if d.hosts[host]--; d.hosts[host] <= 0 {
		delete(d.hosts, host)
	}
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for conn := range d.inside {
		conn.Close()
	}
}
