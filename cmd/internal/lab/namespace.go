package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is a directory of the lab's state that a host sees elsewhere.
type mount struct {
	source string // below the host's directory
	target string // in the host
}

// mounts are a host's own directories.
var mounts = []mount{
	{"libvirt/lib", "/var/lib/libvirt"},
	{"libvirt/etc", "/etc/libvirt"},
	{"libvirt/log", "/var/log/libvirt"},
	{"libvirt/cache", "/var/cache/libvirt"},
	{"evenkeel/etc", "/etc/evenkeel"},
	{"evenkeel/lib", "/var/lib/evenkeel"},
	{"evenkeel/run", "/run/evenkeel"},
}

// overlaid are the directories in which a mount's target may be missing on the
// machine. The host sees them through an overlay whose upper layer is in its
// /run: nothing has to be made in the machine's own /etc.
var overlaid = []string{"/etc", "/var/lib", "/var/log", "/var/cache"}

// onNewThread runs f on an operating system thread whose namespaces f may
// change: the thread ends with f.
func onNewThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the runtime ends the thread
		if unix.Gettid() == unix.Getpid() {
			// The first thread cannot end, and /proc/self shows its
			// namespaces. Hold it while another one is taken.
			defer runtime.UnlockOSThread()
			done <- onNewThread(f)
			return
		}
		done <- f()
	}()
	return <-done
}

// startSwitch starts the holder of a network namespace for the bridge.
func startSwitch(ctx context.Context, group cgroup, log string) (p Process, err error) {
	err = onNewThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare the network: %w", err)
		}
		p, err = spawn(ctx, group, log, "sleep", "infinity")
		return err
	})
	return p, err
}

// startHolder makes the namespaces of a host, whose files are in dir below the
// lab's state directory, and starts the process that keeps them.
func startHolder(ctx context.Context, group cgroup, host, dir, stateDir, hostsFile string) (p Process, err error) {
	err = onNewThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare namespaces: %w", err)
		}
		if err := mountAll(dir, stateDir); err != nil {
			return err
		}
		if err := os.WriteFile("/etc/hosts", []byte(hostsFile), 0o644); err != nil {
			return err
		}
		if err := os.WriteFile("/etc/hostname", []byte(host+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Sethostname([]byte(host)); err != nil {
			return fmt.Errorf("set host name: %w", err)
		}
		p, err = spawn(ctx, group, filepath.Join(dir, "holder.log"), "sleep", "infinity")
		return err
	})
	if err != nil {
		return Process{}, fmt.Errorf("host %s: %w", host, err)
	}
	return p, nil
}

// mountAll turns the calling thread's view of the machine into a host's.
func mountAll(dir, stateDir string) error {
	if err := mountAt("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mountAt("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	// An overlay may hide the state directory, and would catch the writes to
	// it: keep hold of it, and put it back on top.
	const state = "/run/.lab/state"
	if err := bind(stateDir, state); err != nil {
		return err
	}
	for _, target := range overlaid {
		if err := overlay(target); err != nil {
			return err
		}
		if strings.HasPrefix(stateDir, target+"/") {
			if err := bind(state, stateDir); err != nil {
				return err
			}
		}
	}
	for _, m := range mounts {
		if err := bind(filepath.Join(dir, m.source), m.target); err != nil {
			return err
		}
	}
	return os.MkdirAll("/run/lock", 0o1777)
}

func overlay(target string) error {
	layers := filepath.Join("/run/.lab/overlay", target)
	upper, work := filepath.Join(layers, "upper"), filepath.Join(layers, "work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", target, upper, work)
	err := mountAt("overlay", target, "overlay", 0, options)
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w; the lab needs overlayfs: modprobe overlay", err)
	}
	return err
}

func bind(source, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return mountAt(source, target, "", unix.MS_BIND, "")
}

func mountAt(source, target, fstype string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, fstype, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
