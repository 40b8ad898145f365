package lab

import (
	"strings"
	"testing"
)

// A kernel that is given comes alone: its guest would boot and find no disk.
func TestDiskNeedsDrivers(t *testing.T) {
	s := Scenario{Hypervisors: []Hypervisor{{Name: "hv1"}}, Guests: []Guest{{Name: "plain", On: "hv1"}, {Name: "db", On: "hv1", Disk: &Disk{}}}}
	_, err := Up(t.Context(), s, Options{StateDir: t.TempDir(), BinDir: t.TempDir(), Kernel: "/boot/vmlinuz"})
	if err == nil || !strings.Contains(err.Error(), "guest db has a disk") || !strings.Contains(err.Error(), "--kernel") {
		t.Errorf("error %v", err)
	}
}

// A caller's scenario is not changed by the defaults that are filled in.
func TestDiskOfACallerIsLeftAlone(t *testing.T) {
	mine := &Disk{}
	g := Guest{Name: "db", Disk: mine}
	g.fillDefaults()
	if *mine != (Disk{}) || g.Disk.Size != defaultDiskSize {
		t.Errorf("the caller's disk %+v, the guest's %+v", *mine, *g.Disk)
	}
}
