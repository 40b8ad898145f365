package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// qemuConf: QEMU runs as root and without libvirt's wrappings, for there is
// neither systemd nor a security module in a host, and stays in the host's
// cgroup. Its output goes to files, so no virtlogd is needed.
const qemuConf = `user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
stdio_handler = "file"
`

// libvirtdConf listens without authentication, on an address that exists only
// in the lab's network.
const libvirtdConf = `listen_tls = 0
listen_tcp = 1
listen_addr = %q
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
host_uuid = %q
log_outputs = "2:stderr"
`

// libvirtSocket is where libvirtd listens, in its host.
const libvirtSocket = "/run/libvirt/libvirt-sock"

func (l *Lab) writeLibvirtConfig(h HostState) error {
	dir := filepath.Join(l.hostDir(h.Name), "libvirt/etc")
	files := map[string]string{
		"qemu.conf":     qemuConf,
		"libvirtd.conf": fmt.Sprintf(libvirtdConf, h.Address, h.UUID),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// startLibvirtd starts the host's libvirtd and waits until it answers.
func (l *Lab) startLibvirtd(ctx context.Context, host string) error {
	if err := l.seedCapabilities(host); err != nil {
		return err
	}
	log := l.LogFile(host, "libvirtd")
	p, err := l.startInHost(ctx, host, log, "libvirtd", "--listen")
	if err != nil {
		return err
	}
	if err := l.recordHost(host, func(h *HostState) { h.Libvirtd = p }); err != nil {
		return err
	}
	err = poll(ctx, 50*time.Millisecond, "libvirtd of "+host, func() (bool, error) {
		if !p.Alive() {
			return false, fmt.Errorf("libvirtd of %s ended%s", host, logTail(log))
		}
		_, err := l.Exec(ctx, host, "virsh", "--quiet", "list", "--name")
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	return l.learnCapabilities(ctx, host)
}

// StartLibvirtd starts a host's libvirtd again after KillLibvirtd.
func (l *Lab) StartLibvirtd(ctx context.Context, host string) error {
	return l.change(func() error {
		h, err := l.hypervisor(host)
		if err != nil {
			return err
		}
		if h.Libvirtd.Alive() {
			return fmt.Errorf("libvirtd of %s is running (process %d)", host, h.Libvirtd.PID)
		}
		return l.startLibvirtd(ctx, host)
	})
}

// SignalLibvirtd sends a signal to a host's libvirtd; its guests run on.
// SIGKILL is waited for.
func (l *Lab) SignalLibvirtd(ctx context.Context, host string, sig syscall.Signal) error {
	h, err := l.hypervisor(host)
	if err != nil {
		return err
	}
	if sig == syscall.SIGKILL {
		return h.Libvirtd.kill(ctx)
	}
	return h.Libvirtd.Signal(sig)
}

// LibvirtSocket is where a host's libvirtd listens, as the machine sees it.
func (l *Lab) LibvirtSocket(host string) (string, error) { return l.HostPath(host, libvirtSocket) }
