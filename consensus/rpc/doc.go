// Package rpc carries what agents and members say to each other over one port
// (7471) and mutual TLS 1.3. The connection's ALPN tells two languages apart:
// "ek-raft/1" is a stream of the Raft library's, "ek-agent/1" is HTTP/2 with
// the calls of this package.
//
//	server, err := rpc.Listen(rpc.Config{Listen: ":7471", Advertise: "hv1:7471", Identity: me, ServerTLS: m.ServerConfig, ClientTLS: m.ClientConfig, ...})
//	node, err := consensus.Open(consensus.Config{Network: server.Network(), ...})
//	server.Serve(node)
//
//	uplink := rpc.NewUplink(rpc.UplinkConfig{Client: server.Client(), Peers: peers, Leader: node.Leader, ...})
//	go uplink.Run(ctx)
//	uplink.Publish(snapshot)             // latest wins, never blocks
//	view := <-uplink.Views()             // what the State holds for this host
//	index, err := uplink.Propose(ctx, command)
//
// An agent speaks to the leader through its Uplink alone, whether the leader
// is another host, the same process, or the agent is no Raft member at all.
package rpc
