package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
)

// Bounds of a message in bytes. A request is a few names; the largest answer
// is the VMs of a large fleet.
const (
	maxRequest = 64 << 10
	maxReply   = 64 << 20
)

// jsonCodec carries our plain structs as JSON. A server is strict: an unknown
// field is a misspelt one, and dropping it in silence would do something else
// than was asked. A client takes fields that it does not know: the server may
// be newer.
type jsonCodec struct{ strict bool }

// Name implements connect.Codec; it takes the place of Connect's codec for
// Protocol Buffers in JSON.
func (jsonCodec) Name() string { return "json" }

// Marshal implements connect.Codec.
func (jsonCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements connect.Codec. No body at all means the empty object.
func (c jsonCodec) Unmarshal(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 && c.strict {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if c.strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("not the JSON object that this method takes (%w); docs/reference/json.md has its fields", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more data behind the JSON object; send one object")
	}
	return nil
}

// Compression is switched off: a small body could unfold to a large one.
func handlerOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(jsonCodec{strict: true}), connect.WithCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxRequest), connect.WithSendMaxBytes(maxReply),
	}
}

func clientOptions() []connect.ClientOption {
	return []connect.ClientOption{
		connect.WithCodec(jsonCodec{}), connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxReply), connect.WithSendMaxBytes(maxRequest),
	}
}
