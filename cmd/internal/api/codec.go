package api

import (
	"fmt"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus/rpc"
)

// Bounds of a message in bytes. A request is a few names; the largest answer
// is the VMs of a large fleet.
const (
	maxRequest = 64 << 10
	maxReply   = 64 << 20
)

// jsonCodec is the cluster's codec, with a word for people.
type jsonCodec struct{ rpc.JSON }

var strict = jsonCodec{rpc.JSON{Strict: true}}

// Unmarshal implements connect.Codec.
func (c jsonCodec) Unmarshal(data []byte, v any) error {
	if err := c.JSON.Unmarshal(data, v); err != nil {
		return fmt.Errorf("not the one JSON object that this method takes (%w); docs/reference/json.md has its fields", err)
	}
	return nil
}

// Compression is switched off: a small body could unfold to a large one.
func handlerOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(strict), connect.WithCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxRequest), connect.WithSendMaxBytes(maxReply),
	}
}

func clientOptions() []connect.ClientOption {
	return []connect.ClientOption{
		connect.WithCodec(jsonCodec{}), connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxReply), connect.WithSendMaxBytes(maxRequest),
	}
}
