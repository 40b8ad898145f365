package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/agent"
)

// cutter stands between a client and libvirt's socket, and cuts every
// connection when it is told to: what a client sees of a daemon that crashes
// or is restarted, without the time that that takes.
type cutter struct {
	lis  net.Listener
	to   string
	work sync.WaitGroup

	mu       sync.Mutex
	open     map[net.Conn]bool // both sides
	accepted int
}

func newCutter(path, to string) (*cutter, error) {
	lis, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	c := &cutter{lis: lis, to: to, open: map[net.Conn]bool{}}
	c.work.Go(c.serve)
	return c, nil
}

func (c *cutter) serve() {
	for {
		client, err := c.lis.Accept()
		if err != nil {
			return
		}
		daemon, err := net.Dial("unix", c.to)
		if err != nil {
			client.Close()
			continue
		}
		c.mu.Lock()
		c.accepted++
		c.open[client], c.open[daemon] = true, true
		c.mu.Unlock()
		c.work.Go(func() { c.pass(client, daemon) })
		c.work.Go(func() { c.pass(daemon, client) })
	}
}

// pass copies one direction. Its end is the end of both.
func (c *cutter) pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range []net.Conn{from, to} {
		end.Close()
		delete(c.open, end)
	}
}

// cut ends every connection that there is.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Close()
	}
}

func (c *cutter) connections() (open, accepted int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open) / 2, c.accepted
}

func (c *cutter) close() {
	c.lis.Close()
	c.cut()
	c.work.Wait()
}

// footprint is what a process holds.
type footprint struct {
	descriptors, goroutines int
	heap                    uint64 // bytes that are in use after a collection
	daemon                  int    // descriptors of libvirtd
}

func (f footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines, heap of %d KiB; libvirtd %d descriptors", f.descriptors, f.goroutines, f.heap>>10, f.daemon)
}

func descriptors(pid string) (int, error) {
	fds, err := os.ReadDir("/proc/" + pid + "/fd")
	return len(fds), err
}

func measureFootprint(daemon int) (f footprint, err error) {
	runtime.GC()
	runtime.GC() // the first one may only have queued finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.heap, f.goroutines = m.HeapAlloc, runtime.NumGoroutine()
	f.descriptors, err = descriptors("self")
	if err != nil {
		return f, err
	}
	f.daemon, err = descriptors(strconv.Itoa(daemon))
	return f, err
}

// The heap may be so much larger than before, for all reconnects together and
// for each: a connection that is not let go of takes some 10 KB.
const (
	heapNoise        = 512 << 10
	heapPerReconnect = 100
)

// grown names what is more than before, after so many reconnects.
func (f footprint) grown(before footprint, reconnects int) error {
	var errs []error
	if f.descriptors > before.descriptors || f.goroutines > before.goroutines || f.daemon > before.daemon {
		errs = append(errs, errors.New("descriptors or goroutines stay behind"))
	}
	if bound := before.heap + heapNoise + uint64(reconnects*heapPerReconnect); f.heap > bound {
		errs = append(errs, fmt.Errorf("a heap of at most %d KiB was to be expected", bound>>10))
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("after %d reconnects %v, before %v: %w", reconnects, f, before, errors.Join(errs...))
}

// TestFault38Reconnects loses its connections to a real libvirtd over and over:
// those of calls, of calls under way, and of the event stream; now and then it
// is the daemon itself that is killed. Afterwards the client holds no more than
// before. 10,000 times with EVENKEEL_LONG.
func TestFault38Reconnects(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	r := newReconnecting(ctx, t)
	warm, times, restarts := 60, 300, 2
	if os.Getenv("EVENKEEL_LONG") != "" {
		warm, times, restarts = 500, 10_000, 10
	}
	r.lose(warm)
	r.restart() // so that libvirtd is a fresh one at both measurements
	r.lose(warm)
	before, n, began := r.rest(nil), r.lost, time.Now()
	for range restarts {
		r.lose(times / restarts)
		r.restart()
	}
	r.lose(warm)
	after := r.rest(&before)
	n = r.lost - n
	t.Logf("%d reconnects in %v, after %d to warm up\nbefore %v\nafter  %v", n, time.Since(began).Round(time.Millisecond), r.lost-n, before, after)
	if err := after.grown(before, n); err != nil {
		t.Error(err)
	}
	if n < times {
		t.Errorf("%d reconnects only", n)
	}
	r.close()
	goleak.VerifyNone(t)
}

// What the test looks at does see connections that are not let go of.
func TestFault38LeakIsSeen(t *testing.T) {
	before, err := measureFootprint(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	server, client := net.Pipe()
	defer server.Close()
	defer client.Close()
	leaked, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer leaked.Close()
	after, err := measureFootprint(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.grown(before, 1000) == nil {
		t.Errorf("%v, then %v: one descriptor more is not seen", before, after)
	}
	fat := before
	fat.heap += heapNoise + 1000*(heapPerReconnect+1)
	if fat.grown(before, 1000) == nil {
		t.Error("a heap that grows with every reconnect is not seen")
	}
}

// reconnecting is a client whose connections are cut.
type reconnecting struct {
	t    *testing.T
	ctx  context.Context // ends only if something hangs
	h    *Host           // by way of the cutter
	own  *Host           // not by way of it
	d    *daemon
	cut  *cutter
	lost int // connections
}

func newReconnecting(ctx context.Context, t *testing.T) *reconnecting {
	t.Helper()
	own, d, err := startHost(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCutter("/run/libvirt/cut-sock", "/run/libvirt/libvirt-sock")
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(Config{Socket: "/run/libvirt/cut-sock"})
	if err != nil {
		t.Fatal(err)
	}
	if err := own.startGuest(ctx, guestXML("one", vmOne, 1)); err != nil {
		t.Fatal(err)
	}
	return &reconnecting{t: t, ctx: ctx, h: h, own: own, d: d, cut: c}
}

// lose loses at least so many connections.
func (r *reconnecting) lose(n int) {
	r.t.Helper()
	_, began := r.cut.connections()
	for accepted := began; accepted < began+n; _, accepted = r.cut.connections() {
		events, err := r.h.Events(r.ctx)
		if err != nil && !errors.Is(err, agent.ErrDisconnected) {
			r.t.Fatal(err)
		}
		r.list()
		asked := make(chan struct{})
		go func() { // a call that may be under way when the cut comes
			defer close(asked)
			_, _ = r.h.Look(r.ctx, vmOne)
		}()
		r.cut.cut()
		<-asked
		if events != nil {
			for range events { // ends because the connection is lost
			}
		}
		if r.ctx.Err() != nil {
			r.t.Fatal("it hangs")
		}
	}
	_, now := r.cut.connections()
	r.lost += now - began
}

// list lists until it succeeds: the first answer after a cut may be that the
// connection is lost.
func (r *reconnecting) list() {
	r.t.Helper()
	for {
		guests, err := r.h.Guests(r.ctx)
		switch {
		case err == nil && len(guests) == 1 && guests[0].PID > 0:
			return
		case err == nil:
			r.t.Fatalf("listed %+v", guests)
		case !errors.Is(err, agent.ErrDisconnected) || r.ctx.Err() != nil:
			r.t.Fatal(err)
		}
		if err := sleep(r.ctx, time.Millisecond); err != nil { // a dialler that backs off answers at once
			r.t.Fatal(err)
		}
	}
}

// restart kills the daemon and starts it anew.
func (r *reconnecting) restart() {
	r.t.Helper()
	if err := r.d.stop(syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.h.Guests(r.ctx); !errors.Is(err, agent.ErrDisconnected) {
		r.t.Fatalf("without a daemon: %v", err)
	}
	var err error
	if r.d, err = startDaemon(); err != nil {
		r.t.Fatal(err)
	}
	if err := untilUp(r.ctx, r.own); err != nil {
		r.t.Fatal(err)
	}
	r.list()
}

// rest measures once nothing is under way: until two looks see the same, or
// for as long as it takes to come down to what there was before.
func (r *reconnecting) rest(before *footprint) footprint {
	r.t.Helper()
	var last footprint
	for end := time.Now().Add(30 * time.Second); ; {
		r.cut.cut()
		r.list()
		f, err := measureFootprint(r.d.cmd.Process.Pid)
		if err != nil {
			r.t.Fatal(err)
		}
		open, _ := r.cut.connections()
		same := f.descriptors == last.descriptors && f.goroutines == last.goroutines && f.daemon == last.daemon
		if open == 1 && same && (before == nil || f.grown(*before, r.lost) == nil) || time.Now().After(end) {
			return f
		}
		last = f
		if err := sleep(r.ctx, 50*time.Millisecond); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *reconnecting) close() {
	r.t.Helper()
	if err := r.own.destroyGuest(r.ctx, vmOne); err != nil {
		r.t.Error(err)
	}
	if err := errors.Join(r.h.Close(), r.own.Close()); err != nil {
		r.t.Error(err)
	}
	r.cut.close()
	if err := r.d.stop(syscall.SIGTERM); err != nil {
		r.t.Error(err)
	}
}
