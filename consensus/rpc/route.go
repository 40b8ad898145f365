package rpc

import (
	"slices"
	"sync"
)

// route remembers where the leader was last seen, and whom to ask next.
type route struct {
	peers []string
	own   func() (member, addr string, ok bool)
	more  func() []string // addresses beside peers

	mu    sync.Mutex
	known string // where it answered, or a redirect pointed
	dead  string // where the last attempt failed
	turn  int
}

// target is the address to try: where the leader is known to be, else where
// this process's own node sees it, else the peers in turn.
func (r *route) target() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known != "" {
		return r.known
	}
	if r.own != nil {
		// A node may go on naming a dead leader for seconds: every other attempt
		// asks somebody else.
		if _, addr, ok := r.own(); ok && addr != r.dead {
			return addr
		}
	}
	r.dead = ""
	peers := r.peers
	if r.more != nil {
		peers = slices.Concat(peers, r.more())
	}
	if len(peers) == 0 {
		return ""
	}
	r.turn++
	return peers[r.turn%len(peers)]
}

// found notes that the leader answered at an address.
func (r *route) found(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known, r.dead = addr, ""
}

// failed notes that an attempt failed, and follows a redirect.
func (r *route) failed(addr string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to, ok := leaderIn(err); ok && to != addr {
		r.known, r.dead = to, ""
		return
	}
	if r.known == addr {
		r.known = ""
	}
	r.dead = addr
}
