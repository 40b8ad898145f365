package libvirt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/agent"
)

// diskXML gives a VM disks; its BIOS reads the first one to boot from it.
func diskXML(name, uuid string, disks ...string) string {
	return strings.Replace(guestXML(name, uuid, 1), "<devices>", "<devices>"+strings.Join(disks, ""), 1)
}

func fileDisk(target, path, cache string) string {
	return fmt.Sprintf(`<disk type='file' device='disk'><driver name='qemu' type='raw' cache='%s'/><source file='%s'/><target dev='%s' bus='virtio'/></disk>`,
		cache, path, target)
}

// The statistics of real VMs' disks, where they lie, and a hung QEMU beside.
func TestDisksOnLibvirt(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b := bench{ctx, h}
	t.Run("counters and places", b.diskPlaces)
	t.Run("hung QEMU", b.hungDisks)
	if err := errors.Join(h.Close(), d.stop(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t)
}

func image(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (b bench) startDisks(t *testing.T, name, vm string, disks ...string) {
	t.Helper()
	if err := b.h.startGuest(b.ctx, diskXML(name, vm, disks...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.h.destroyGuest(b.ctx, vm); err != nil && !errors.Is(err, ErrNoVM) {
			t.Errorf("clean up: %v", err)
		}
	})
}

func (b bench) diskPlaces(t *testing.T) {
	direct, cached := image(t), image(t)
	memory := filepath.Join("/run", "disk.img") // a tmpfs here
	if err := os.WriteFile(memory, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(memory, link); err != nil {
		t.Fatal(err)
	}
	b.startDisks(t, "one", vmOne, fileDisk("vda", direct, "none"), fileDisk("vdb", cached, "writeback"), fileDisk("vdc", link, "writeback"))
	b.startDisks(t, "two", vmTwo)
	disks := NewDisks(b.h)
	for {
		all, err := disks.Stats(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		one, two := all[vmOne], all[vmTwo]
		if len(all) != 2 || len(one) != 3 || len(two) != 0 {
			t.Fatalf("%d VMs, disks of one %+v, of two %+v", len(all), one, two)
		}
		if !one[0].Known || one[0].Read.Requests == 0 {
			continue // its BIOS has not read the boot sector yet
		}
		if one[0].Target != "vda" || one[0].Path != direct || one[0].Read.Bytes < 512 || one[0].Read.TimeNS == 0 || one[0].BackingIndex == 0 {
			t.Errorf("%+v", one[0])
		}
		places := []agent.Storage{
			{Backend: agent.BackendLocal, Visible: true},
			{Backend: agent.BackendLocal, Why: "through the host's page cache (cache=writeback)"},
			{Backend: agent.BackendLocal, Why: "a file system in memory has no block requests"},
		}
		for i, want := range places {
			if one[i].Storage != want {
				t.Errorf("%s lies on %+v, want %+v", one[i].Target, one[i].Storage, want)
			}
		}
		return
	}
}

// A QEMU that hangs holds up one question, until its deadline; from then on it
// is passed over, and the others are answered for.
func (b bench) hungDisks(t *testing.T) {
	b.startDisks(t, "one", vmOne, fileDisk("vda", image(t), "none"))
	b.startDisks(t, "two", vmTwo, fileDisk("vda", image(t), "none"))
	id, err := parseUUID(vmOne)
	if err != nil {
		t.Fatal(err)
	}
	pid := b.guest(t, vmOne).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resume(t, pid) })
	disks := NewDisks(b.h)
	short, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() {
		_, err := disks.Stats(short)
		done <- err
	}()
	b.untilOccupied(t, id)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the question to a hung QEMU: %v", err)
	}
	all, err := disks.Stats(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(all[vmTwo]) != 1 || !all[vmTwo][0].Known {
		t.Errorf("the VM beside it: %+v", all[vmTwo])
	}
	for _, disk := range all[vmOne] {
		if disk.Known || disk.Read != (agent.DiskCounters{}) {
			t.Errorf("the hung VM: %+v", disk)
		}
	}
	// The abandoned question ends once QEMU goes on.
	resume(t, pid)
	for state := uint32(golibvirt.DomainControlJob); state != uint32(golibvirt.DomainControlOk); {
		err := b.h.call(b.ctx, "ask for the control state", func(lv *golibvirt.Libvirt) error {
			dom, err := lookup(lv, id)
			if err != nil {
				return err
			}
			state, _, _, err = lv.DomainGetControlInfo(dom, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if all, err = disks.Stats(b.ctx); err != nil || len(all[vmOne]) != 1 || !all[vmOne][0].Known {
		t.Errorf("after it went on: %+v, %v", all[vmOne], err)
	}
}
