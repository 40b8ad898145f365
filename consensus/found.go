package consensus

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/hashicorp/raft"
)

// Found makes a cluster of one member in its data directory, while its daemon
// does not run. Unlike a configuration that lets the daemon found one, it
// cannot happen a second time on an empty disk. If the member has a cluster it
// says so and changes nothing.
func Found(dir, clusterID, member, address string) (already bool, err error) {
	if _, err := Claim(dir, clusterID, member); err != nil {
		return false, err
	}
	logger := raftLogger(slog.New(slog.DiscardHandler))
	b, err := openFiles(dir, logger)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	_, trans := raft.NewInmemTransport(raft.ServerAddress(address))
	c := raft.DefaultConfig()
	c.LocalID, c.Logger = raft.ServerID(member), logger
	one := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(member), Address: raft.ServerAddress(address)}}}
	err = raft.BootstrapCluster(c, b.logs, b.stable, b.snaps, trans, one)
	if errors.Is(err, raft.ErrCantBootstrap) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("found the cluster in %s: %w", dir, err)
	}
	return false, nil
}
