package libvirt

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/procfs"
)

var _ agent.Hypervisor = (*Host)(nil)

const defaultRunDir = "/run/libvirt"

// Config says where libvirt is. The zero value is right on a common host.
type Config struct {
	// Socket is the daemon's UNIX socket; "" looks for virtqemud-sock, then
	// libvirt-sock, in RunDir, anew at each connection.
	Socket string
	// RunDir is libvirt's run-time directory; "" is /run/libvirt.
	RunDir string
	// CallTimeout ends every call but Migrate and Events, also when the
	// caller's context would wait longer; 0 is 10 s.
	CallTimeout time.Duration
	// JobTimeout bounds the one question of Look that a hung QEMU can hold
	// up; 0 is 2 s.
	JobTimeout time.Duration
	// Logger receives what no caller is told; nil discards it.
	Logger *slog.Logger
}

// Host is this host's libvirt daemon. Its methods may be called concurrently.
type Host struct {
	cfg    Config
	log    *slog.Logger
	dialer *dialer
	pool   *pool
	qemus  finder
	parsed xmlCache
	known  memory

	notices notices

	// Close cancels ctx, which ends every call and stream, and waits for them.
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex // guards closed, and wg.Add against wg.Wait
	closed bool
	wg     sync.WaitGroup
}

// Open makes a Host; it fails on a wrong configuration only, never because
// the daemon is down.
func Open(cfg Config) (*Host, error) {
	if cfg.RunDir == "" {
		cfg.RunDir = defaultRunDir
	}
	for _, p := range []string{cfg.RunDir, cfg.Socket} {
		if p != "" && !filepath.IsAbs(p) {
			return nil, fmt.Errorf("libvirt: path %q is not absolute", p)
		}
	}
	if cfg.CallTimeout < 0 || cfg.JobTimeout < 0 {
		return nil, fmt.Errorf("libvirt: negative timeout (call %s, job %s)", cfg.CallTimeout, cfg.JobTimeout)
	}
	cfg.CallTimeout = orElse(cfg.CallTimeout, 10*time.Second)
	cfg.JobTimeout = orElse(cfg.JobTimeout, 2*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := newDialer(cfg.Socket, cfg.RunDir)
	h := &Host{
		cfg: cfg, log: cfg.Logger, dialer: d, pool: newPool(d),
		qemus: finder{proc: procfs.Host(), runDir: filepath.Clean(cfg.RunDir)},
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Close ends all calls and streams and waits for them. It ends no migration.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.wg.Wait()
	h.pool.close()
	return nil
}

// begin makes Close wait for the caller's work and ties ctx to the Host. The
// returned function ends both.
func (h *Host) begin(ctx context.Context) (context.Context, func(), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, errClosed
	}
	h.wg.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(h.ctx, func() { cancel(errClosed) })
	return ctx, func() { stop(); cancel(nil); h.wg.Done() }, nil
}

// call runs one control call within the time limit. The error says what was
// asked.
func (h *Host) call(ctx context.Context, what string, fn func(*golibvirt.Libvirt) error) error {
	ctx, end, err := h.begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.CallTimeout)
	defer cancel()
	c, err := h.pool.get(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = c.do(ctx, fn)
	if !answered(err) {
		c.spoiled = true
	}
	h.pool.put(c)
	if err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	return nil
}

// URI is the libvirt URI that is opened at the socket.
func (h *Host) URI() string { return string(qemuURI) }

// Socket is the socket that answered last, or would be tried first.
func (h *Host) Socket() string { return h.dialer.socket() }
