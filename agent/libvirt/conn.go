package libvirt

import (
	"context"
	"fmt"
	"net"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// qemuURI is the connection that the socket is asked for.
const qemuURI = golibvirt.QEMUSystem

// conn is one connection to the daemon. It serves one call at a time, so
// ending it because a context ended disturbs nobody else.
type conn struct {
	wire    *frameConn
	lv      *golibvirt.Libvirt
	spoiled bool // a context ended during a call: not to be used again
}

// dialled hands go-libvirt a connection that is there already; it would dial
// without a context, and only the monolithic daemon's socket.
type dialled struct{ net.Conn }

func (d dialled) Dial() (net.Conn, error) { return d.Conn, nil }

func dialConn(ctx context.Context, path string, uri golibvirt.ConnectURI) (*conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c, err := openConn(ctx, raw, uri)
	if err != nil {
		return nil, fmt.Errorf("open %s at %s: %w", uri, path, err)
	}
	return c, nil
}

// openConn greets the daemon at the other end, and closes raw if it does not
// answer.
func openConn(ctx context.Context, raw net.Conn, uri golibvirt.ConnectURI) (*conn, error) {
	c := &conn{wire: newFrameConn(raw)}
	c.lv = golibvirt.NewWithDialer(dialled{c.wire})
	stop := context.AfterFunc(ctx, c.wire.hangUp)
	err := c.lv.ConnectToURI(uri)
	if err == nil {
		// A first answered call also orders go-libvirt's write of its own
		// "disconnected" channel before its reader looks at it.
		_, err = c.lv.ConnectGetLibVersion()
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.wire.hangUp()
		return nil, err
	}
	return c, nil
}

// do runs one call. When ctx ends first the connection is closed, which makes
// the call return: no goroutine stays behind.
func (c *conn) do(ctx context.Context, call func(*golibvirt.Libvirt) error) error {
	stop := context.AfterFunc(ctx, c.wire.hangUp)
	err := call(c.lv)
	if !stop() {
		c.spoiled = true
		if err != nil {
			return context.Cause(ctx)
		}
	}
	return err
}

// usable says whether the connection may serve another call.
func (c *conn) usable() bool {
	select {
	case <-c.wire.dead:
		return false
	default:
		return !c.spoiled
	}
}

// close ends the connection and waits for go-libvirt's goroutines.
func (c *conn) close() {
	c.wire.hangUp()
	<-c.lv.Disconnected()
}
