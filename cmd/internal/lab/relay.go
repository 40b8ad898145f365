package lab

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"
)

const relaySocket = "/run/evenkeel/relay.sock"

// startRelay starts a hypervisor's relay, if VMs travel that way, and waits
// until it answers.
func (l *Lab) startRelay(ctx context.Context, h HostState) error {
	if h.Role != RoleHypervisor || l.manifestCopy().Transport != TransportRelay {
		return nil
	}
	log := l.LogFile(h.Name, "relay")
	p, err := l.startInHost(ctx, h.Name, log, "evenkeeld", "relay", "--config", agentConfig)
	if err != nil {
		return err
	}
	if err := l.recordHost(h.Name, func(h *HostState) { h.Relay = p }); err != nil {
		return err
	}
	socket, err := l.HostPath(h.Name, relaySocket)
	if err != nil {
		return err
	}
	return poll(ctx, 20*time.Millisecond, "relay of "+h.Name, func() (bool, error) {
		if !p.Alive() {
			return false, fmt.Errorf("relay of %s ended%s", h.Name, logTail(log))
		}
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
}

// SignalRelay sends a signal to a host's relay. SIGKILL is waited for.
func (l *Lab) SignalRelay(ctx context.Context, host string, sig syscall.Signal) error {
	h, err := l.hypervisor(host)
	if err != nil {
		return err
	}
	if sig == syscall.SIGKILL {
		return h.Relay.kill(ctx)
	}
	return h.Relay.Signal(sig)
}

// StartRelay starts a host's relay again.
func (l *Lab) StartRelay(ctx context.Context, host string) error {
	return l.change(func() error {
		h, err := l.hypervisor(host)
		if err != nil {
			return err
		}
		if h.Relay.Alive() {
			return fmt.Errorf("relay of %s is running (process %d)", host, h.Relay.PID)
		}
		return l.startRelay(ctx, h)
	})
}
