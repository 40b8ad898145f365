package consensus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// streamLayer lets the library's transport run over a Network.
type streamLayer struct {
	Network
	node *atomic.Pointer[Node] // nil until the replica runs
}

// Dial implements raft.StreamLayer. The library knows only addresses, and
// counts whatever answers there as the member of its configuration: if that
// member's address had gone to another one, one disk's word would count twice.
func (s streamLayer) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	node := s.node.Load()
	if node == nil {
		return nil, errors.New("starting")
	}
	if !node.named() { // it would campaign for ever, and be refused everywhere
		return nil, errAbsent
	}
	servers := node.seats()
	server, ok := servers.at(string(addr))
	if !ok {
		return nil, fmt.Errorf("%s is in the configuration no longer", addr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.DialRaft(ctx, string(addr), server.Member)
}
