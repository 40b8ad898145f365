package rpc

import (
	"encoding/json"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The two languages of the port.
const (
	ProtocolRaft  = "ek-raft/1"
	ProtocolAgent = "ek-agent/1"
)

// The calls of ek-agent/1.
const (
	procPeer      = "/evenkeel.agent.v1/Peer"
	procJoin      = "/evenkeel.agent.v1/Join"
	procPropose   = "/evenkeel.agent.v1/Propose"
	procReadIndex = "/evenkeel.agent.v1/ReadIndex"
	procAttach    = "/evenkeel.agent.v1/Attach"
)

// The messages. Their JSON names are a contract between versions: they are
// never renamed, and new ones are sent only where the feature level says that
// the other end knows them.
type (
	peerRequest  struct{}
	peerResponse struct {
		Peer consensus.PeerInfo `json:"peer"`
	}

	joinRequest struct {
		Address string `json:"address"`
	}
	joinResponse struct{}

	proposeRequest struct {
		// Command is the envelope of cluster.EncodeCommand. Its actor and time are
		// not believed: the certificate says who asks, the leader when.
		Command json.RawMessage `json:"command"`
		// Operator is the person for whom an agent forwards.
		Operator *operator `json:"operator,omitempty"`
	}
	operator struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	proposeResponse struct {
		Index   uint64           `json:"index"`
		Refusal *cluster.Refusal `json:"refusal,omitempty"`
	}

	readIndexRequest  struct{}
	readIndexResponse struct {
		Index uint64 `json:"index"`
	}

	// attachUp is a snapshot as [cluster.NewDigest] writes it; empty it only says
	// that the agent lives. It travels as it is, see streamCodec.
	attachUp   struct{ digest []byte }
	attachDown struct {
		View   cluster.View      `json:"view"`
		Ticket *consensus.Ticket `json:"ticket,omitempty"` // if it is not the last one
	}
)

// Bounds of a message in bytes.
const (
	maxUp   = 1 << 20
	maxDown = 4 << 20
)
