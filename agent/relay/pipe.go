package relay

import (
	"errors"
	"io"
	"net"
	"sync"
)

// halfCloser is a connection whose writing side can be closed alone: TLS over
// TCP, and UNIX sockets.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// bufferSize is a few of TLS' records of 16 KiB.
const bufferSize = 256 << 10

// pipe copies both ways until both ends have said all, or one way fails. There
// is no limit of time: libvirt's keepalives and the daemon end a dead passage.
func pipe(near, far halfCloser, outward func(io.Writer, io.Reader) error, count func(int64)) error {
	var ways sync.WaitGroup
	errs := make([]error, 2)
	way := func(i int, to, from halfCloser, copyAll func(io.Writer, io.Reader) error) {
		errs[i] = copyAll(counted{to, count}, from)
		if errs[i] != nil {
			to.Close()
			from.Close()
			return
		}
		_ = to.CloseWrite() // fails if the other way has closed it
	}
	ways.Go(func() { way(0, far, near, outward) })
	ways.Go(func() { way(1, near, far, copyBytes) })
	ways.Wait()
	return errors.Join(errs...)
}

func copyBytes(to io.Writer, from io.Reader) error {
	_, err := io.CopyBuffer(to, onlyReader{from}, make([]byte, bufferSize))
	return err
}

// onlyReader hides a WriteTo that would choose a buffer of its own.
type onlyReader struct{ io.Reader }

// counted tells of the bytes that were written.
type counted struct {
	io.Writer
	count func(int64)
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.count(int64(n))
	return n, err
}
