package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
)

// dialTLS connects and waits for the server's first byte. In TLS 1.3 a client
// is done before the server has looked at its certificate; a refusal would
// surface in the middle of the first request, if a reset did not swallow it. An
// HTTP/2 server speaks first, so waiting costs one round trip and tells.
func dialTLS(ctx context.Context, network, addr string, cfg *tls.Config) (net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	r := bufio.NewReader(conn)
	// A context cannot end a read, but a deadline in the past can.
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	err = conn.HandshakeContext(ctx)
	if err == nil {
		_, err = r.Peek(1)
	}
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		raw.Close()
		return nil, &HandshakeError{addr, err}
	}
	return &peekedConn{conn, r}, nil
}

// HandshakeError means that the TLS handshake failed.
type HandshakeError struct {
	Addr string
	Err  error
}

func (e *HandshakeError) Error() string { return fmt.Sprintf("TLS with %s: %v", e.Addr, e.Err) }

// Unwrap returns what failed.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Refused says whether one end did not accept the other's certificate; else
// something there does not speak TLS, or the connection broke.
func (e *HandshakeError) Refused() bool {
	var ours *certs.Error
	var theirs *net.OpError
	return errors.As(e.Err, &ours) || errors.As(e.Err, &theirs) && theirs.Op == "remote error"
}

// peekedConn gives back the byte that was looked at.
type peekedConn struct {
	*tls.Conn
	r *bufio.Reader
}

func (c *peekedConn) Read(p []byte) (int, error) { return c.r.Read(p) }
