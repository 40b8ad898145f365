package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// The lab's volume is a GlusterFS of one brick, whose server stands beside the
// bridge; every hypervisor mounts it through a client of its own. So libvirt,
// QEMU and evenkeel meet a file system that two hosts share, and a lock that one
// client holds is refused to the others by the server. It is made when the first
// guest asks for it.
const (
	volumePort  = 24007
	volumePoint = "/var/lib/libvirt/shared" // where each host mounts it
	volumeName  = "lab:/vms"                // as the mounts show it
	volumeKind  = "fuse.glusterfs"
)

// brickVolume serves a directory: it keeps no more than what is written, and the
// locks of all clients. Strangers cannot reach the lab's network.
const brickVolume = `volume files
  type storage/posix
  option directory %s
end-volume
volume vms
  type features/locks
  subvolumes files
end-volume
volume server
  type protocol/server
  option transport-type tcp
  option transport.socket.bind-address %s
  option transport.socket.listen-port %d
  option auth.addr.vms.allow *
  subvolumes vms
end-volume
`

// clientVolume passes everything on: nothing is cached at a host.
const clientVolume = `volume vms
  type protocol/client
  option transport-type tcp
  option remote-host %s
  option remote-port %d
  option remote-subvolume vms
end-volume
`

func (l *Lab) volumeDir() string { return filepath.Join(l.dir, "volume") }
func (l *Lab) brick() string     { return filepath.Join(l.volumeDir(), "brick") }

// shareVolume makes the volume and has every hypervisor mount it, unless that
// has been done.
func (l *Lab) shareVolume(ctx context.Context) error {
	l.volume.Lock() // guests start side by side
	defer l.volume.Unlock()
	if !hasProgram("glusterfs") {
		return fmt.Errorf("program glusterfs is missing: apt-get install glusterfs-client")
	}
	if err := l.serveVolume(ctx); err != nil {
		return err
	}
	for _, h := range l.Hosts() {
		if h.Role != RoleHypervisor || h.Volume.Alive() {
			continue
		}
		if err := l.mountVolume(ctx, h.Name); err != nil {
			return fmt.Errorf("volume on %s: %w", h.Name, err)
		}
	}
	return nil
}

func (l *Lab) serveVolume(ctx context.Context) error {
	m := l.manifestCopy()
	if m.VolumeServer.Alive() {
		return nil
	}
	if err := os.MkdirAll(l.brick(), 0o755); err != nil {
		return err
	}
	files := map[string]string{
		"brick.vol":  fmt.Sprintf(brickVolume, l.brick(), switchAddress, volumePort),
		"client.vol": fmt.Sprintf(clientVolume, switchAddress, volumePort),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(l.volumeDir(), name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	p, err := spawn(ctx, l.group().child(switchName), filepath.Join(l.volumeDir(), "brick.out"),
		"nsenter", "--target", strconv.Itoa(m.Switch.PID), "--net", "--",
		"glusterfs", "--no-daemon", "--volfile="+filepath.Join(l.volumeDir(), "brick.vol"), "--log-file="+filepath.Join(l.volumeDir(), "brick.log"))
	if err != nil {
		return err
	}
	return l.record(func(m *Manifest) { m.VolumeServer = p })
}

// mountVolume starts a host's client and waits until the host sees the volume.
func (l *Lab) mountVolume(ctx context.Context, host string) error {
	if _, err := l.Exec(ctx, host, "mkdir", "-p", volumePoint); err != nil {
		return err
	}
	log := filepath.Join(l.volumeDir(), host+".log")
	p, err := l.startInHost(ctx, host, l.LogFile(host, "glusterfs"),
		"glusterfs", "--no-daemon", "--volfile="+filepath.Join(l.volumeDir(), "client.vol"), "--fs-display-name="+volumeName, "--log-file="+log, volumePoint)
	if err != nil {
		return err
	}
	if err := l.recordHost(host, func(h *HostState) { h.Volume = p }); err != nil {
		return err
	}
	return poll(ctx, 50*time.Millisecond, "the volume", func() (bool, error) {
		if !p.Alive() {
			return false, fmt.Errorf("glusterfs ended%s", logTail(log))
		}
		kind, err := l.Exec(ctx, host, "findmnt", "--noheadings", "--output", "FSTYPE", volumePoint)
		if err != nil || kind != volumeKind+"\n" {
			return false, nil
		}
		// It is mounted before its client has found the server, and answers
		// ENOTCONN until then.
		_, err = l.Exec(ctx, host, "ls", volumePoint)
		return err == nil, nil
	})
}
