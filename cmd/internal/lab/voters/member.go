package voters

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// Member is one machine with an evenkeeld. Its methods are called by one
// goroutine at a time.
type Member struct {
	Name    string
	ID      string // "" before it has a certificate
	Address string // without port

	site    *Site
	dir     string
	network netns.NsHandle
	cmd     *exec.Cmd // of the newest process
	ended   chan struct{}
	starved bool
	rivals  []*exec.Cmd // for its CPU
}

func (m *Member) config() string  { return filepath.Join(m.dir, "agent.yaml") }
func (m *Member) state() string   { return filepath.Join(m.dir, "state") }
func (m *Member) socket() string  { return filepath.Join(m.dir, "agent.sock") }
func (m *Member) logFile() string { return filepath.Join(m.dir, "log") }

// File is where a file of the member's data directory is seen from outside.
func (m *Member) File(name string) string {
	return m.site.warden.path(filepath.Join(m.state(), name))
}

// Start starts its evenkeeld, and does not wait for it.
func (m *Member) Start() error {
	if m.Alive() {
		return fmt.Errorf("%s runs already", m.Name)
	}
	log, err := os.OpenFile(m.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(m.site.bin, "evenkeeld"), "--config", m.config())
	cmd.Stdout, cmd.Stderr = log, log
	if err := m.site.warden.inside(int(m.network), cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", m.Name, err)
	}
	ended := make(chan struct{})
	m.cmd, m.ended = cmd, ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}

// Alive says whether its evenkeeld runs.
func (m *Member) Alive() bool {
	if m.cmd == nil {
		return false
	}
	select {
	case <-m.ended:
		return false
	default:
		return true
	}
}

// Signal sends one to its evenkeeld.
func (m *Member) Signal(sig syscall.Signal) error {
	if !m.Alive() {
		return fmt.Errorf("%s does not run", m.Name)
	}
	return m.cmd.Process.Signal(sig)
}

// Kill ends its evenkeeld without a word.
func (m *Member) Kill() error {
	if err := m.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-m.ended
	return nil
}

// Stop ends its evenkeeld in good order.
func (m *Member) Stop() error {
	if err := m.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if _, err := m.Exit(30 * time.Second); err != nil {
		return fmt.Errorf("stop %s: %w", m.Name, err)
	}
	return nil
}

// Exit waits until its evenkeeld ends by itself and returns the exit code.
func (m *Member) Exit(within time.Duration) (code int, err error) {
	select {
	case <-m.ended:
		return m.cmd.ProcessState.ExitCode(), nil
	case <-time.After(within):
		return 0, fmt.Errorf("evenkeeld of %s has not ended within %v", m.Name, within)
	}
}

// Log is all that its evenkeeld has said.
func (m *Member) Log() string {
	text, err := os.ReadFile(m.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Evenkeel runs an operator's command at the member's socket, in its mount
// namespace, and returns its standard output; an error has the rest.
func (m *Member) Evenkeel(ctx context.Context, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(m.site.bin, "evenkeel"), append([]string{"--socket", m.socket()}, argv...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := m.site.warden.inside(int(m.network), cmd.Start); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return stdout.String(), fmt.Errorf("at %s: evenkeel %v: %w: %s", m.Name, argv, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// Status is what `evenkeel status` says at the member.
func (m *Member) Status(ctx context.Context) (*api.Status, error) {
	return answer[api.Status](ctx, m, "status")
}

// Peers are what `evenkeel cluster peers` says at the member.
func (m *Member) Peers(ctx context.Context) (*api.PeerList, error) {
	return answer[api.PeerList](ctx, m, "cluster", "peers")
}

func answer[T any](ctx context.Context, m *Member, argv ...string) (*T, error) {
	out, err := m.Evenkeel(ctx, append([]string{"--timeout", "5s", "-o", "json"}, argv...)...)
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return nil, fmt.Errorf("at %s: evenkeel %v: %w in %q", m.Name, argv, err, out)
	}
	return v, nil
}

// Cut drops the member's packets; Mend ends that.
func (m *Member) Cut(c Cut) error { return drop(m.network, c) }

// Mend ends Cut.
func (m *Member) Mend() error { return nft(m.network, "delete table inet fault") }

// Link pulls the member's cable or puts it back.
func (m *Member) Link(up bool) error {
	return within(m.network, func(h *netlink.Handle) error { return setLink(h, port, up) })
}

// Move gives the member another address, in its network and its configuration.
func (m *Member) Move(to string, peers []string, founders int) error {
	m.Address = to
	if err := setAddress(m.network, to); err != nil {
		return err
	}
	if err := m.certify(m.ID); err != nil {
		return err
	}
	return m.Configure(peers, founders)
}

// Freeze has every write to the member's disk, which is Ext4, wait until Thaw.
func (m *Member) Freeze() error {
	return m.site.warden.inside(-1, func() error { return command("fsfreeze", "--freeze", m.state()) })
}

// Thaw ends Freeze.
func (m *Member) Thaw() error {
	return m.site.warden.inside(-1, func() error { return command("fsfreeze", "--unfreeze", m.state()) })
}

// ballast is the file with which a disk is filled.
const ballast = "ballast"

// Fill leaves the member's disk, which is Tmpfs, without a free byte.
func (m *Member) Fill() error {
	f, err := os.OpenFile(m.File(ballast), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size >>= 1 {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill the disk of %s: %w", m.Name, err)
		}
	}
	return nil
}

// Empty ends Fill.
func (m *Member) Empty() error { return os.Remove(m.File(ballast)) }

// close ends the process; one that cannot die while its disk is frozen dies
// with the warden.
func (m *Member) close() error {
	var err error
	if m.Alive() {
		err = m.cmd.Process.Kill()
	}
	if m.network.IsOpen() {
		err = errors.Join(err, m.network.Close())
	}
	return err
}

func (m *Member) wait() {
	if m.cmd != nil {
		<-m.ended
	}
	_ = m.unstarve()
}

// Wipe empties the member's disk, while no evenkeeld runs.
func (m *Member) Wipe() error {
	if m.Alive() {
		return fmt.Errorf("%s runs: its disk is in use", m.Name)
	}
	found, err := filepath.Glob(m.File("*"))
	for _, f := range found {
		err = errors.Join(err, os.RemoveAll(f))
	}
	return err
}
