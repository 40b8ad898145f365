package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
)

// JSON carries plain structs as JSON, in place of Connect's codec for Protocol
// Buffers. What a server reads is strict: an unknown field or anything behind
// the value is an error, so that a field on which a newer agent relies, or which
// an operator misspelt, is never dropped in silence. What a client reads may hold
// more than it knows: a server may be newer.
type JSON struct{ Strict bool }

// Name implements connect.Codec.
func (JSON) Name() string { return "json" }

// Marshal implements connect.Codec.
func (JSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements connect.Codec. To a server no body at all means the
// empty object.
func (c JSON) Unmarshal(data []byte, v any) error {
	if c.Strict && len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if c.Strict {
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
type streamCodec struct{ JSON }

// Name implements connect.Codec.
func (streamCodec) Name() string { return "evenkeel" }

// Marshal implements connect.Codec.
func (c streamCodec) Marshal(v any) ([]byte, error) {
	if up, ok := v.(*attachUp); ok {
		return up.digest, nil
	}
	return c.JSON.Marshal(v)
}

// Unmarshal implements connect.Codec. Connect uses its buffer again, so bytes
// are copied.
func (c streamCodec) Unmarshal(data []byte, v any) error {
	if up, ok := v.(*attachUp); ok {
		up.digest = bytes.Clone(data)
		return nil
	}
	return c.JSON.Unmarshal(data, v)
}

// Compression is switched off: a small frame could unfold to a large one, and
// nothing here is large.
func handlerOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(JSON{Strict: true}), connect.WithCodec(streamCodec{JSON{Strict: true}}), connect.WithCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxUp), connect.WithSendMaxBytes(maxDown),
	}
}

func clientOptions() []connect.ClientOption {
	return []connect.ClientOption{
		connect.WithCodec(JSON{}), connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxDown), connect.WithSendMaxBytes(maxUp),
	}
}
