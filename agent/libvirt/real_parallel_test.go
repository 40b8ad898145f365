package libvirt

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// way relays every connection between the two QEMUs, as evenkeel's relay does,
// and counts them.
type way struct {
	listener net.Listener
	far      string // where host B's QEMU listens
	made     atomic.Int32
	wg       sync.WaitGroup
}

func openWay(t *testing.T, root, socket string) *way {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	w := &way{listener: l, far: root + socket}
	w.wg.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			w.made.Add(1)
			w.wg.Go(func() { w.pass(t, from) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.wg.Wait()
		os.Remove(w.far)
	})
	return w
}

func (w *way) pass(t *testing.T, from net.Conn) {
	defer from.Close()
	to, err := net.Dial("unix", w.far)
	if err != nil {
		t.Error("to host B's QEMU:", err)
		return
	}
	defer to.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to) // a migration may end either side at any time
		from.Close()
	})
	_, _ = io.Copy(to, from)
	to.Close()
	back.Wait()
}

// parallel: the memory goes over as many connections of one relayed socket as
// were asked for, beside the stream's own.
func (m mover) parallel(t *testing.T) {
	m.start(t, "one", vmOne, 1)
	w := openWay(t, m.root, memorySocket)
	r := m.request(vmOne)
	r.Parallel, r.AutoConverge = 3, true
	if err := m.h.Migrate(m.ctx, r); err != nil {
		t.Fatal(err)
	}
	m.sees(t, vmOne, absent)
	m.peerSees(t, vmOne, running)
	if n := w.made.Load(); n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
	m.destroyAtPeer(t, vmOne)
}
