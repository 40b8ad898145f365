// Package consensus is the one door to Raft. Open a [Node], propose commands,
// read the State that all replicas share:
//
//	node, err := consensus.Open(consensus.Config{Member: id, Cluster: uuid, Dir: dir, Network: server.Network(), ...})
//	index, err := node.Propose(ctx, cluster.Command{Actor: me, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
//	state, index := node.State()
//
// The same call serves first start, restart and growth: a node with an empty
// data directory asks its peers, founds the cluster with them if none has
// one, and else asks the leader to be admitted. No type of the Raft library
// leaves the package. consensus/rpc carries its streams and the agents'.
package consensus
