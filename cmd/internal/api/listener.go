package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Bounds of the HTTPS port. Beyond them a connection is closed at once: who
// has no certificate yet must not keep operators out by waiting.
const (
	maxConnections        = 512
	maxConnectionsPerHost = 64
)

// cappedListener closes what comes over the caps.
type cappedListener struct {
	net.Listener
	all, perHost int

	mu    sync.Mutex
	total int
	hosts map[string]int
}

// CapConnections bounds a listener's open connections, in all and of one
// address. Beyond the caps a connection is closed at once.
func CapConnections(lis net.Listener, all, perHost int) net.Listener {
	return capped(lis, all, perHost)
}

func capped(lis net.Listener, all, perHost int) *cappedListener {
	return &cappedListener{Listener: lis, all: all, perHost: perHost, hosts: map[string]int{}}
}

func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		if l.enter(host) {
			return &cappedConn{Conn: conn, leave: func() { l.leave(host) }}, nil
		}
		conn.Close()
	}
}

func (l *cappedListener) enter(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.all || l.hosts[host] >= l.perHost {
		return false
	}
	l.total++
	l.hosts[host]++
	return true
}

func (l *cappedListener) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.hosts[host]--; l.hosts[host] <= 0 {
		delete(l.hosts, host)
	}
}

type cappedConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *cappedConn) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

// listenUnix opens the socket, root's and the group's alone. A socket file
// that nobody answers on was left by a crash and is replaced.
func listenUnix(path, group string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("unix socket: %w", err)
	}
	if err := clearSocket(path); err != nil {
		return nil, fmt.Errorf("unix socket: %w", err)
	}
	lis, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("unix socket: %w", err)
	}
	// Until the mode is set nobody but the owner can connect: that takes the
	// right to write, which no common umask leaves to others.
	gid := -1
	if g, err := user.LookupGroup(group); err == nil {
		gid, _ = strconv.Atoi(g.Gid)
	}
	if err := errors.Join(os.Chown(path, -1, gid), os.Chmod(path, 0o660)); err != nil {
		lis.Close()
		return nil, fmt.Errorf("unix socket: %w", err)
	}
	return lis, nil
}

func clearSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is no socket; move it away", path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if conn, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
		conn.Close()
		return fmt.Errorf("%s is in use: another evenkeeld runs on this host", path)
	}
	return os.Remove(path)
}
