package libvirt

import (
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// lockedHost is a machine with an iSCSI disk, a logical volume on it, a disk of
// its own, NFS at /locks, and a libvirt of the given configuration, a VM of which
// runs as process 900.
func lockedHost(conf map[string]string) fstest.MapFS {
	files := fstest.MapFS{"proc/self/mountinfo": {Data: []byte("27 1 254:0 / / rw - ext4 /dev/vda rw\n29 27 0:40 / /locks rw - nfs4 filer:/locks rw\n")}}
	device := func(number, dir string, more map[string]string) {
		name := dir[strings.LastIndexByte(dir, '/')+1:]
		files["sys/dev/block/"+number] = &fstest.MapFile{Data: []byte("../../" + dir), Mode: fs.ModeSymlink}
		for f, text := range more {
			files["sys/"+dir+"/"+f] = &fstest.MapFile{Data: []byte(text + "\n")}
		}
		files["sys/class/block/"+name+"/dev"] = &fstest.MapFile{Data: []byte(number + "\n")}
	}
	device("254:0", "devices/pci0/virtio1/block/vda", nil)
	device("8:0", "devices/platform/host3/session7/target3/block/sda", map[string]string{"device/wwid": "naa.6001"})
	device("253:0", "devices/virtual/block/dm-0", map[string]string{"slaves/sda/x": "", "dm/uuid": "LVM-abc"})
	device("253:1", "devices/virtual/block/dm-1", map[string]string{"slaves/sda/x": "", "dm/uuid": "mpath-36001"})
	files["sys/class/iscsi_session/session7/targetname"] = &fstest.MapFile{Data: []byte("iqn.x:vms\n")}
	at := func(name, text string, minute int) {
		files[name] = &fstest.MapFile{Data: []byte(text), ModTime: time.Unix(0, 0).Add(time.Duration(minute) * time.Minute)}
	}
	for name, text := range conf {
		at("etc/libvirt/"+name, text, 1)
	}
	at("run/libvirtd.pid", "800\n", 2)
	at("run/virtlockd.pid", "850\n", 2)
	at("run/sanlock/sanlock.pid", "860\n", 2)
	at("run/libvirt/qemu/db.pid", "900\n", 3)
	for _, p := range []struct {
		pid, ticks int
		comm       string
	}{{850, 2000, "virtlockd"}, {860, 2000, "sanlock"}, {900, 3000, "qemu-system-x86"}} {
		started(files, p.pid, p.ticks, p.comm)
	}
	return files
}

func started(files fstest.MapFS, pid, ticks int, comm string) {
	text := fmt.Sprintf("%d (%s) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 %d 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", pid, comm, ticks)
	files[fmt.Sprintf("proc/%d/stat", pid)] = &fstest.MapFile{Data: []byte(text)}
}

func keeperOf(t *testing.T, files fstest.MapFS) keeper {
	t.Helper()
	k, err := finder{proc: procfs.New(files), runDir: "/run/libvirt"}.keeper()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const (
	onNFS     = "/locks on nfs4 filer:/locks"
	volumesAt = "/locks/lvm on nfs4 filer:/locks"
	scsiAt    = "/locks/scsi on nfs4 filer:/locks"
)

// What is taken for a lock: in doubt nothing.
func TestLockManagers(t *testing.T) {
	lun, volume, multipath := definition{bare: []string{"/dev/sda"}}, definition{bare: []string{"/dev/dm-0"}}, definition{bare: []string{"/dev/dm-1"}}
	leased := func(path string) definition { return definition{diskless: true, leases: []string{path}} }
	const withLockd, withSanlock = "lock_manager = \"lockd\"\n", "lock_manager = \"sanlock\"\n"
	for name, c := range map[string]struct {
		qemu, own string // configuration
		def       definition
		holds     bool
		spaces    []string
	}{
		"none":                           {"", "", lun, false, nil},
		"one of another make":            {`lock_manager = "mine"`, "", leased("/locks/l"), false, nil},
		"on the device itself":           {withLockd, "", lun, false, nil},
		"leases on NFS":                  {withLockd, `file_lockspace_dir = "/locks"`, lun, true, []string{onNFS}},
		"leases on its own disk":         {withLockd, `file_lockspace_dir = "/var/lib/libvirt/lockd/files"`, lun, false, nil},
		"a relative place":               {withLockd, `file_lockspace_dir = "locks"`, lun, false, nil},
		"no leases by itself":            {withLockd, "auto_disk_leases = 0\nfile_lockspace_dir = \"/locks\"", lun, false, nil},
		"by SCSI id":                     {withLockd, `scsi_lockspace_dir = "/locks/scsi"`, lun, true, []string{scsiAt}},
		"by SCSI id, and it is a volume": {withLockd, `scsi_lockspace_dir = "/locks/scsi"`, volume, false, nil},
		"by SCSI id or by path":          {withLockd, "scsi_lockspace_dir = \"/locks/scsi\"\nfile_lockspace_dir = \"/locks\"", multipath, true, []string{scsiAt, onNFS}},
		"by SCSI id or by path here":     {withLockd, "scsi_lockspace_dir = \"/locks/scsi\"\nfile_lockspace_dir = \"/var/x\"", multipath, false, nil},
		"by volume":                      {withLockd, "lvm_lockspace_dir = \"/locks/lvm\"\nfile_lockspace_dir = \"/var/x\"", volume, true, []string{volumesAt}},
		"by volume, and it is none":      {withLockd, `lvm_lockspace_dir = "/locks/lvm"`, lun, false, nil},
		"a disk that nobody locks":       {withLockd, `file_lockspace_dir = "/locks"`, definition{bare: lun.bare, beyond: true}, false, nil},
		"no disk":                        {withLockd, `file_lockspace_dir = "/locks"`, definition{diskless: true}, false, nil},
		"QEMU locks it":                  {withLockd, `file_lockspace_dir = "/locks"`, definition{locked: true}, false, nil},
		"a lease of its own":             {withLockd, "", leased("/locks/vms"), true, nil},
		"a lease for what none locks":    {withLockd, "", definition{beyond: true, leases: []string{"/locks/vms"}}, true, nil},
		"a lease on its host's disk":     {withLockd, "", leased("/var/lease"), false, nil},
		"a lease on a shared device":     {withSanlock, "", leased("/dev/sda"), true, nil},
		"a lease that nobody holds":      {"", "", leased("/locks/vms"), false, nil},
		"sanlock as it is delivered":     {withSanlock, "", lun, false, nil},
		"sanlock's own leases":           {withSanlock, "auto_disk_leases = 1\ndisk_lease_dir = \"/locks\"", lun, true, []string{onNFS}},
		"sanlock's, on its own disk":     {withSanlock, "auto_disk_leases = 1", lun, false, nil},
	} {
		own := "qemu-lockd.conf"
		if c.qemu == withSanlock {
			own = "qemu-sanlock.conf"
		}
		k := keeperOf(t, lockedHost(map[string]string{"qemu.conf": c.qemu, own: c.own}))
		g, holds := k.holds(c.def, "db", 900)
		if holds != c.holds || cmp.Diff(c.spaces, g.spaces) != "" {
			t.Errorf("%s: %v in %q, want %v in %q", name, holds, g.spaces, c.holds, c.spaces)
		}
	}
}

// A VM that was started before its host locked as it does now has no lock.
func TestLockIsAsOldAsTheVM(t *testing.T) {
	base := lockedHost(map[string]string{"qemu.conf": `lock_manager = "lockd"`, "qemu-lockd.conf": `file_lockspace_dir = "/locks"`})
	def := definition{bare: []string{"/dev/sda"}}
	later := func(name string, minute int) func(fstest.MapFS) {
		return func(f fstest.MapFS) {
			file := *f[name]
			file.ModTime = time.Unix(0, 0).Add(time.Duration(minute) * time.Minute)
			f[name] = &file
		}
	}
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		holds  bool
	}{
		"as it was":                         {func(fstest.MapFS) {}, true},
		"libvirtd was restarted since":      {later("run/libvirtd.pid", 9), true},
		"the VM was started before":         {later("etc/libvirt/qemu.conf", 4), false},
		"before its places were configured": {later("etc/libvirt/qemu-lockd.conf", 4), false},
		"libvirtd does not heed it yet": {func(f fstest.MapFS) {
			later("run/libvirtd.pid", 0)(f)
		}, false},
		"nobody knows libvirtd's age": {func(f fstest.MapFS) { delete(f, "run/libvirtd.pid") }, false},
		"nor the VM's":                {func(f fstest.MapFS) { delete(f, "run/libvirt/qemu/db.pid") }, false},
		"virtlockd lost its locks":    {func(f fstest.MapFS) { started(f, 850, 3001, "virtlockd") }, false},
		"virtlockd is gone":           {func(f fstest.MapFS) { delete(f, "proc/850/stat") }, false},
		"its id is another's now":     {func(f fstest.MapFS) { started(f, 850, 2000, "cat") }, false},
		"the VM has ended":            {func(f fstest.MapFS) { delete(f, "proc/900/stat") }, false},
	} {
		files := maps.Clone(base)
		c.change(files)
		if _, holds := keeperOf(t, files).holds(def, "db", 900); holds != c.holds {
			t.Errorf("%s: locked %v, want %v", name, holds, c.holds)
		}
	}
}

// Places that other hosts see are offered by path and storage; a file that is not
// understood tells of nothing.
func TestLockSpaces(t *testing.T) {
	k := keeperOf(t, lockedHost(map[string]string{
		"qemu.conf": `lock_manager = "lockd"`, "qemu-lockd.conf": "file_lockspace_dir = \"/locks\"\nscsi_lockspace_dir = \"/var/scsi\"\nlvm_lockspace_dir = \"/locks/lvm\"",
	}))
	if diff := cmp.Diff([]string{onNFS, volumesAt}, k.spaces(k.ground)); k.name != "lockd" || diff != "" {
		t.Errorf("%s: %s", k.name, diff)
	}
	for text, want := range map[string]string{"": "none", `lock_manager = "nop"`: "none", `lock_manager = "mine"`: "mine"} {
		if k := keeperOf(t, lockedHost(map[string]string{"qemu.conf": text})); k.name != want {
			t.Errorf("%q: %q, want %q", text, k.name, want)
		}
	}
	f := finder{proc: procfs.New(lockedHost(map[string]string{"qemu.conf": "lock_manager = lockd"})), runDir: "/run/libvirt"}
	if k, err := f.keeper(); err == nil || k.name == "none" {
		t.Errorf("a broken configuration: %q, %v", k.name, err)
	}
}

// A VM's leases are a part of its need, and lie somewhere as its disks do.
func TestLeasesAreNeeds(t *testing.T) {
	w, err := parseNeed(`<domain type='kvm'><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
		<disk type='block' device='disk'><source dev='/dev/sda'/><target dev='vda'/></disk>
		<lease><lockspace>s</lockspace><key>db</key><target path='/locks/vms'/></lease>
		<lease><lockspace>s</lockspace><key>db</key><target path='/dev/sdb' offset='1048576'/></lease></devices></domain>`)
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, l := range w.layers {
		at = append(at, l.target+" "+l.source.Type+" "+l.source.Path)
	}
	if diff := cmp.Diff([]string{"vda block /dev/sda", "lease file /locks/vms", "lease block /dev/sdb"}, at); diff != "" || !w.need.Leases {
		t.Errorf("leases %v\n%s", w.need.Leases, diff)
	}
	if diff := cmp.Diff([]string{"/dev/sda"}, w.def.bare); diff != "" || w.def.diskless || w.def.locked || w.def.beyond {
		t.Errorf("%+v", w.def)
	}
}
