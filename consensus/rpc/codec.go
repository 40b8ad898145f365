package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
)

// jsonCodec carries our plain structs as JSON. What a server reads is strict:
// an unknown field or anything behind the value is an error, so that a field
// which a newer agent relies on is never dropped in silence. What a client
// reads may hold more than it knows: a leader may be newer than its agents.
type jsonCodec struct{ strict bool }

// Name implements connect.Codec; it takes the place of Connect's codec for
// Protocol Buffers in JSON.
func (jsonCodec) Name() string { return "json" }

// Marshal implements connect.Codec.
func (jsonCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements connect.Codec.
func (c jsonCodec) Unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if c.strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("message of %d bytes: %w", len(data), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("message: more data behind the JSON value")
	}
	return nil
}

// streamCodec is the language of agents' streams: digests up as they are, views
// down as JSON.
type streamCodec struct{ jsonCodec }

// Name implements connect.Codec.
func (streamCodec) Name() string { return "evenkeel" }

// Marshal implements connect.Codec.
func (c streamCodec) Marshal(v any) ([]byte, error) {
	if up, ok := v.(*attachUp); ok {
		return up.digest, nil
	}
	return c.jsonCodec.Marshal(v)
}

// Unmarshal implements connect.Codec. Connect uses its buffer again, so bytes
// are copied.
func (c streamCodec) Unmarshal(data []byte, v any) error {
	if up, ok := v.(*attachUp); ok {
		up.digest = bytes.Clone(data)
		return nil
	}
	return c.jsonCodec.Unmarshal(data, v)
}

// Compression is switched off: a small frame could unfold to a large one, and
// nothing here is large.
func handlerOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(jsonCodec{strict: true}), connect.WithCodec(streamCodec{jsonCodec{strict: true}}), connect.WithCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxUp), connect.WithSendMaxBytes(maxDown),
	}
}

func clientOptions() []connect.ClientOption {
	return []connect.ClientOption{
		connect.WithCodec(jsonCodec{}), connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxDown), connect.WithSendMaxBytes(maxUp),
	}
}
