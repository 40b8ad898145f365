package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// DaemonPID is the process id of the libvirt daemon, 0 if it cannot be told:
// its cpuset is what QEMU processes inherit. The kernel names the peer of our
// socket; with socket activation that is the one who made the socket
// (systemd), so the process must be called as a libvirt daemon is, and the
// daemons' pid files are the second source.
func (h *Host) DaemonPID(ctx context.Context) (int, error) {
	const what = "find the libvirt daemon"
	ctx, end, err := h.begin(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.CallTimeout)
	defer cancel()
	c, err := h.pool.get(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	pid, err := peerPID(c.wire.Conn)
	h.pool.put(c)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	if h.qemus.isDaemon(pid) {
		return pid, nil
	}
	return h.qemus.daemonFromPIDFile(), nil
}

func peerPID(c net.Conn) (int, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a UNIX socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// daemonNames are the processes that serve the QEMU driver.
var daemonNames = [...]string{"virtqemud", "libvirtd"}

func (f finder) isDaemon(pid int) bool {
	if pid <= 0 {
		return false
	}
	p, err := f.proc.Process(pid)
	return err == nil && (p.Comm == daemonNames[0] || p.Comm == daemonNames[1])
}

// daemonFromPIDFile reads /run/virtqemud.pid or /run/libvirtd.pid.
func (f finder) daemonFromPIDFile() int {
	for _, name := range daemonNames {
		if pid := f.pidIn(name + ".pid"); f.isDaemon(pid) {
			return pid
		}
	}
	return 0
}

// beside is a file beside libvirt's run-time directory.
func (f finder) beside(file string) string { return path.Join(relative(path.Dir(f.runDir)), file) }

// pidIn reads the process id in a file there, 0 if there is none.
func (f finder) pidIn(file string) int {
	text, err := readSmall(f.proc.FS(), f.beside(file), 64)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
