package libvirt

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const (
	imageDir    = "/var/lib/libvirt/images" // each host's own
	disksSocket = "/run/disks.sock"
	diskBytes   = 8 << 20
)

// TestCopyOnLibvirt has VMs take disks along that only their host has: into
// images that the target's libvirt made for them, over sockets that are relayed.
func TestCopyOnLibvirt(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("hosts", func(t *testing.T) {
		p := startPeer(t)
		started := p.ask(t, "start", "")
		if started.Err != "" {
			t.Fatal(started.Err)
		}
		c := copier{mover{bench{ctx, h}, p, rootOf(started.PID)}}
		if err := h.makePool(ctx); err != nil {
			t.Fatal(err)
		}
		if r := p.ask(t, "pool", ""); r.Err != "" {
			t.Fatal(r.Err)
		}
		t.Run("images", c.images)
		t.Run("done", c.done)
		t.Run("aborted", c.aborted)
		t.Run("disks unreachable", c.unreachable)
	})
	if err := errors.Join(h.Close(), d.stop(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t)
}

// makePool makes this host's images' directory a storage pool.
func (h *Host) makePool(ctx context.Context) error {
	if err := os.MkdirAll(imageDir, 0o755); err != nil {
		return err
	}
	return h.storage(ctx, "make a pool", func(lv *golibvirt.Libvirt) error {
		_, err := lv.StoragePoolCreateXML("<pool type='dir'><name>images</name><target><path>"+imageDir+"</path></target></pool>", 0)
		return err
	})
}

type copier struct{ mover }

// images: what is there is nobody's to make anew, and what is outside the pools
// nobody's at all.
func (c copier) images(t *testing.T) {
	i, file := NewImages(c.h), filepath.Join(imageDir, "new.qcow2")
	if _, err := i.Identify(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before it is made: %v", err)
	}
	if err := i.Make(c.ctx, file, "qcow2", diskBytes); err != nil {
		t.Fatal(err)
	}
	size, err := qcow2Size(file)
	if err != nil || size != diskBytes {
		t.Errorf("%d bytes, %v", size, err)
	}
	id, err := i.Identify(file)
	if err != nil || id == (agent.FileID{}) {
		t.Errorf("%+v, %v", id, err)
	}
	if err := i.Make(c.ctx, file, "qcow2", diskBytes); err == nil {
		t.Error("it was made a second time")
	}
	// One that libvirt has not seen yet is deleted, too.
	behind := filepath.Join(imageDir, "behind.raw")
	if err := os.WriteFile(behind, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{file, behind} {
		if err := i.Delete(c.ctx, f); err != nil {
			t.Error(err)
		}
		if _, err := i.Identify(f); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s after it was deleted: %v", f, err)
		}
	}
	outside := filepath.Join(t.TempDir(), "a.raw")
	if err := i.Make(c.ctx, outside, "raw", diskBytes); err == nil {
		t.Error("an image was made outside of the pools")
	}
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := i.Delete(c.ctx, outside); err == nil {
		t.Error("a file outside of the pools was deleted")
	}
	rooms, err := NewSurvey(c.h).Rooms(c.ctx)
	if err != nil || len(rooms) != 1 || rooms[0].Dir != imageDir || rooms[0].Free <= 0 {
		t.Errorf("%+v, %v", rooms, err)
	}
}

// begin starts a VM with two disks of its host's own, full of noise; it returns
// what the survey says of them.
func (c copier) begin(t *testing.T) (raw, qcow2 string, copies []cluster.DiskCopy) {
	t.Helper()
	raw, qcow2 = filepath.Join(imageDir, "one.raw"), filepath.Join(imageDir, "one.qcow2")
	noise := make([]byte, diskBytes)
	random := rand.NewChaCha8([32]byte{7})
	if _, err := random.Read(noise); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(raw, noise, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		for _, f := range []string{raw, qcow2} {
			os.Remove(f)
		}
	})
	second := strings.Replace(fileDisk("vdb", qcow2, "writeback"), "type='raw'", "type='qcow2'", 1)
	if err := c.h.startGuest(c.ctx, diskXML("one", vmOne, fileDisk("vda", raw, "writeback"), second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.h.destroyGuest(c.ctx, vmOne); err != nil && !errors.Is(err, ErrNoVM) {
			t.Errorf("clean up: %v", err)
		}
	})
	need, err := NewSurvey(c.h).Need(c.ctx, vmOne)
	if err != nil {
		t.Fatal(err)
	}
	if list := need.Stays(cluster.Leeway{}); len(list) != 2 || list[0].Code != cluster.CodeStorageNotShared {
		t.Errorf("without the policy: %+v", list)
	}
	if list := need.Stays(cluster.Leeway{Copies: true}); len(list) != 0 {
		t.Errorf("with it: %+v", list)
	}
	want := []cluster.DiskCopy{
		{Target: "vda", Path: raw, Format: "raw", Size: diskBytes},
		{Target: "vdb", Path: qcow2, Format: "qcow2", Size: diskBytes},
	}
	for i, d := range need.Copies {
		if d.Used < diskBytes || d.Used > 2*diskBytes {
			t.Errorf("%s: %d bytes in use", d.Target, d.Used)
		}
		need.Copies[i].Used = 0
	}
	if !slices.Equal(need.Copies, want) {
		t.Errorf("%+v", need.Copies)
	}
	return raw, qcow2, need.Copies
}

// receive has host B make the images.
func (c copier) receive(t *testing.T, copies []cluster.DiskCopy) {
	t.Helper()
	for _, d := range copies {
		if r := c.peer.tell(t, peerRequest{Op: "make", Disk: d}); r.Err != "" {
			t.Fatal(r.Err)
		}
	}
}

// drop has host B delete them, as after a move that has failed.
func (c copier) drop(t *testing.T, copies []cluster.DiskCopy) {
	t.Helper()
	for _, d := range copies {
		if r := c.peer.tell(t, peerRequest{Op: "delete", Disk: d}); r.Err != "" {
			t.Error(r.Err)
		}
		if _, err := os.Lstat(c.root + d.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s at host B after it was deleted: %v", d.Path, err)
		}
	}
}

func (c copier) asks() agent.MigrateRequest {
	r := c.request(vmOne)
	r.CopyDisks, r.DisksURI = []string{"vda", "vdb"}, "unix://"+disksSocket
	return r
}

func (c copier) done(t *testing.T) {
	raw, qcow2, copies := c.begin(t)
	c.receive(t, copies)
	openWay(t, c.root, memorySocket)
	disks := openWay(t, c.root, disksSocket)
	if err := c.h.Migrate(c.ctx, c.asks()); err != nil {
		t.Fatal(err)
	}
	c.sees(t, vmOne, absent)
	c.peerSees(t, vmOne, running)
	if n := disks.made.Load(); n < 2 {
		t.Errorf("%d connections for two disks", n)
	}
	done := c.peer.ask(t, "completed", vmOne)
	if done.Err != "" || done.Job.ProcessedBytes <= 0 || done.Job.ProcessedBytes >= diskBytes {
		t.Errorf("the target's job says %+v, %s; it told of the memory alone, and the State adds the disks", done.Job, done.Err)
	}
	c.destroyAtPeer(t, vmOne)
	if a, b := sum(t, raw), sum(t, c.root+raw); a != b {
		t.Error("the raw disk came as another")
	}
	if out, err := exec.Command("qemu-img", "compare", qcow2, c.root+qcow2).CombinedOutput(); err != nil {
		t.Errorf("the qcow2 disk: %v: %s", err, out)
	}
	i := NewImages(c.h)
	for _, d := range copies {
		if err := i.Delete(c.ctx, d.Path); err != nil { // the old ones
			t.Error(err)
		}
	}
	c.drop(t, copies)
}

// aborted: the job tells of the disks while they are copied; it can be aborted,
// and leaves host B's images to whoever made them.
func (c copier) aborted(t *testing.T) {
	_, _, copies := c.begin(t)
	c.receive(t, copies)
	openWay(t, c.root, memorySocket)
	openWay(t, c.root, disksSocket)
	r := c.asks()
	r.BandwidthBytesPerSec = 1 << 20 // many times slower than this looks
	done := c.migrate(c.ctx, r)
	for {
		j, err := c.h.Job(c.ctx, vmOne)
		if err != nil && !errors.Is(err, agent.ErrNoJob) {
			t.Fatal(err)
		}
		if err == nil && j.ProcessedBytes > 0 {
			if j.TotalBytes < 2*diskBytes || j.RemainingBytes <= 0 {
				t.Errorf("while disks are copied: %+v", j)
			}
			break
		}
		if len(done) > 0 {
			t.Fatalf("it ended too early: %v", <-done)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := c.h.Abort(c.ctx, vmOne); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("an aborted migration went well")
	}
	c.untilEnded(t, vmOne)
	c.sees(t, vmOne, running)
	c.peerSees(t, vmOne, absent)
	c.drop(t, copies)
	if busy, err := NewSurvey(c.h).Busy(c.ctx, vmOne); busy != "" || err != nil {
		t.Errorf("afterwards the VM is busy with %q, %v", busy, err)
	}
}

// unreachable: nobody listens where the disks are to go.
func (c copier) unreachable(t *testing.T) {
	_, _, copies := c.begin(t)
	c.receive(t, copies)
	openWay(t, c.root, memorySocket)
	if err := c.h.Migrate(c.ctx, c.asks()); err == nil {
		t.Error("disks went nowhere, and all went well")
	} else {
		t.Log(err)
	}
	c.untilEnded(t, vmOne)
	c.sees(t, vmOne, running)
	c.peerSees(t, vmOne, absent)
	c.drop(t, copies)
}

func sum(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}
