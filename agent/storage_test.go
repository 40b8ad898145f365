package agent

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const mountinfo = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:25 / /srv/scratch rw - tmpfs tmpfs rw
29 27 0:40 / /srv/vms rw,relatime shared:7 - nfs4 filer:/export/vms rw,vers=4.2
30 27 0:41 / /srv/with\040space rw - cifs //filer/share rw
31 27 8:1 / /srv/san rw - xfs /dev/sda1 rw
32 27 253:0 / /srv/lvm rw - ext4 /dev/mapper/vg-lv rw
33 27 0:42 / /srv/gluster rw - fuse.glusterfs gluster1:vol rw
34 27 0:43 / /srv/odd rw - fuse.mergerfs a:b rw
35 27 254:0 / /srv/vms/../x rw - ext4 /dev/vda rw
36 27 8:16 / /srv/shared rw - ocfs2 /dev/sdb rw
37 27 0:44 / /srv/pool rw - zfs tank/vms rw
`

// sysfs is a host with a local disk, an iSCSI LUN, an FC LUN, a volume on the
// first, a loop device on NFS, krbd, nbd and NVMe near and far.
func sysfs() Devices {
	root := fstest.MapFS{}
	device := func(number, dir string, files map[string]string) {
		name := dir[strings.LastIndexByte(dir, '/')+1:]
		root["sys/dev/block/"+number] = &fstest.MapFile{Data: []byte("../../" + dir), Mode: fs.ModeSymlink}
		root["sys/class/block/"+name+"/dev"] = &fstest.MapFile{Data: []byte(number + "\n")}
		root["sys/"+dir+"/dev"] = &fstest.MapFile{Data: []byte(number + "\n")}
		for f, text := range files {
			root["sys/"+dir+"/"+f] = &fstest.MapFile{Data: []byte(text + "\n")}
		}
	}
	device("254:0", "devices/pci0/virtio1/block/vda", nil)
	device("8:0", "devices/platform/host3/session7/target3/block/sda", nil)
	device("8:1", "devices/platform/host3/session7/target3/block/sda/sda1", map[string]string{"partition": "1"})
	device("8:16", "devices/pci0/host4/rport-4:0-1/target4/block/sdb", map[string]string{"device/wwid": "naa.5000"})
	device("253:0", "devices/virtual/block/dm-0", map[string]string{"slaves/vda/x": "", "slaves/sda/x": ""})
	device("253:1", "devices/virtual/block/dm-1", map[string]string{"slaves/dm-1/x": ""})
	device("7:0", "devices/virtual/block/loop0", map[string]string{"loop/backing_file": "/srv/vms/disk.img"})
	device("7:1", "devices/virtual/block/loop1", map[string]string{"loop/backing_file": "/var/disk.img"})
	device("252:0", "devices/rbd/0/block/rbd0", nil)
	device("43:0", "devices/virtual/block/nbd0", nil)
	device("259:0", "devices/pci0/nvme/nvme0/nvme0n1", map[string]string{"device/transport": "pcie"})
	device("259:1", "devices/virtual/nvme-fabrics/ctl/nvme1/nvme1n1", map[string]string{"device/transport": "tcp", "device/subsysnqn": "nqn.2024.x"})
	root["sys/class/iscsi_session/session7/targetname"] = &fstest.MapFile{Data: []byte("iqn.2024-01.example:vms\n")}
	root["sys/bus/rbd/devices/0/pool"] = &fstest.MapFile{Data: []byte("vms\n")}
	return Devices{Root: root}
}

func TestClassify(t *testing.T) {
	mounts, err := ParseMounts(mountinfo)
	if err != nil {
		t.Fatal(err)
	}
	visible := Storage{Backend: BackendLocal, Visible: true}
	shared := func(id string, visible bool, why string) Storage {
		return Storage{Backend: BackendNetwork, Shared: true, Identity: id, Visible: visible, Why: why}
	}
	file := func(path, cache string) DiskSource { return DiskSource{Type: "file", Path: path, Cache: cache} }
	block := func(path string) DiskSource { return DiskSource{Type: "block", Path: path, Cache: "none"} }
	for name, c := range map[string]struct {
		src  DiskSource
		want Storage
	}{
		"local file":    {file("/var/lib/a.img", "none"), visible},
		"directsync":    {file("/var/lib/a.img", "directsync"), visible},
		"page cache":    {file("/var/lib/a.img", ""), Storage{Backend: BackendLocal, Why: "through the host's page cache (cache=default)"}},
		"writethrough":  {file("/var/lib/a.img", "writethrough"), Storage{Backend: BackendLocal, Why: "through the host's page cache (cache=writethrough)"}},
		"NFS":           {file("/srv/vms/a.img", "none"), shared("nfs4 filer:/export/vms", false, noBlocks)},
		"not on NFS":    {file("/srv/vms2/a.img", "none"), visible},
		"CIFS":          {file("/srv/with space/a", "none"), shared("cifs //filer/share", false, noBlocks)},
		"gluster, fuse": {file("/srv/gluster/a", "none"), shared("glusterfs gluster1:vol", false, userSpace)},
		"other fuse":    {file("/srv/odd/a", "none"), Storage{Backend: BackendUnknown, Why: userSpace}},
		"tmpfs":         {file("/srv/scratch/a", "none"), Storage{Backend: BackendLocal, Why: memory}},
		"zfs":           {file("/srv/pool/a", "none"), Storage{Backend: BackendLocal, Why: ownThreads}},
		"xfs on iSCSI":  {file("/srv/san/a", "none"), shared("iscsi iqn.2024-01.example:vms", true, "")},
		"LVM on iSCSI":  {file("/srv/lvm/a", "none"), shared("iscsi iqn.2024-01.example:vms", true, "")},
		"ocfs2 on FC":   {file("/srv/shared/a", "none"), shared("fc naa.5000", true, "")},
		"relative":      {file("a.img", "none"), Storage{Backend: BackendUnknown, Why: "no mount holds its path"}},
		"local device":  {block("/dev/vda"), visible},
		"iSCSI device":  {block("/dev/sda"), shared("iscsi iqn.2024-01.example:vms", true, "")},
		"krbd":          {block("/dev/rbd0"), shared("rbd vms", true, "")},
		"nbd":           {block("/dev/nbd0"), shared("nbd", true, "")},
		"NVMe":          {block("/dev/nvme0n1"), visible},
		"NVMe over TCP": {block("/dev/nvme1n1"), shared("nvme-tcp nqn.2024.x", true, "")},
		"loop on NFS": {block("/dev/loop0"), Storage{
			Backend: BackendNetwork, Shared: true, Identity: "nfs4 filer:/export/vms", Visible: true, Loop: true,
		}},
		"loop":         {block("/dev/loop1"), Storage{Backend: BackendLocal, Visible: true, Loop: true}},
		"loop, cached": {DiskSource{Type: "block", Path: "/dev/loop1"}, Storage{Backend: BackendLocal, Loop: true, Why: "through the host's page cache (cache=default)"}},
		"itself below": {block("/dev/dm-1"), Storage{Backend: BackendUnknown, Why: "devices lie upon each other without end"}},
		"no device":    {block("/dev/../etc/passwd"), Storage{Backend: BackendUnknown, Why: "no block device has that name"}},
		"librbd": {
			DiskSource{Type: "network", Protocol: "rbd", Name: "vms/a", Hosts: []string{"m2:6789", "m1:6789"}, Cache: "none"},
			shared("rbd m1:6789,m2:6789 vms", false, "QEMU reaches it over the network itself (rbd)"),
		},
		"NBD server": {DiskSource{Type: "network", Protocol: "nbd", Hosts: []string{"n:10809"}}, shared("nbd n:10809", false, "QEMU reaches it over the network itself (nbd)")},
		"libnfs":     {DiskSource{Type: "network", Protocol: "nfs", Name: "/x/a.img", Hosts: []string{"f"}}, shared("nfs f /x", false, "QEMU reaches it over the network itself (nfs)")},
		"vhost-user": {DiskSource{Type: "vhostuser"}, Storage{Backend: BackendUnknown, Why: "served by another process (vhost-user)"}},
		"NVMe, VFIO": {DiskSource{Type: "nvme"}, Storage{Backend: BackendLocal, Why: "QEMU drives the NVMe device itself"}},
		"vDPA":       {DiskSource{Type: "vhostvdpa"}, Storage{Backend: BackendUnknown, Why: "the guest's device is hardware (vDPA)"}},
		"empty":      {DiskSource{}, Storage{Backend: BackendUnknown, Why: "the disk's type is not known here"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Classify(c.src, mounts, sysfs())); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Of two mounts on one point the later one is seen, and one on a longer path
// hides what is below.
func TestMountOf(t *testing.T) {
	mounts, err := ParseMounts("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /srv rw - ext4 /dev/b rw\n3 1 8:3 / /srv rw - ext4 /dev/c rw\n4 1 8:4 / /srv/deep rw -  ext4 /dev/d rw\n")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a": "8:1", "/srv": "8:3", "/srv/x": "8:3", "/srv/deeper": "8:3", "/srv/deep/x": "8:4", "/": "8:1"} {
		if m, ok := mounts.Of(path); !ok || m.Device != want {
			t.Errorf("%s lies on %+v, want %s", path, m, want)
		}
	}
}

func TestMalformedMounts(t *testing.T) {
	for _, line := range []string{
		"", "1 0 8:1 / / rw ext4 /dev/a rw", "1 0 8-1 / / rw - ext4 /dev/a rw", "1 0 8:x / / rw - ext4 a rw", "1 0 8:1 / mnt rw - ext4 a rw",
		"1 0 8:1 / - ext4 a rw", "1 0 9999999:1 / / rw - ext4 a rw", "1 0 8:1 / / rw - ext4",
	} {
		if m, err := ParseMounts("27 1 254:0 / / rw - ext4 /dev/vda rw\n" + line + "\n"); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %+v, %v, want an error that names line 2", line, m, err)
		}
	}
	if _, err := ParseMounts(strings.Repeat(" ", maxMountinfo+1)); err == nil {
		t.Error("a text beyond the bound was read")
	}
}

// Links are followed, but never into a file system that another machine serves.
func TestResolve(t *testing.T) {
	mounts, err := ParseMounts(mountinfo)
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"/images": "/srv/vms", "/dev/vg/lv": "../dm-0", "/loop": "loop", "/a": "b/c", "/up": ".."}
	readlink := func(path string) (string, error) {
		if strings.HasPrefix(path, "/srv/vms") {
			t.Errorf("%s was asked for: its server may be dead", path)
		}
		if to, ok := links[path]; ok {
			return to, nil
		}
		return "", errors.New("not a link")
	}
	for path, want := range map[string]string{
		"/images/x/../disk.img": "/srv/vms/x/../disk.img", "/dev/vg/lv": "/dev/dm-0", "/loop": "/loop", "/a/d": "/b/c/d",
		"/": "/", "//var//lib/./x": "/var/lib/x", "/var/../../x": "/x", "/up/q": "/q",
	} {
		if got := mounts.Resolve(path, readlink); got != want {
			t.Errorf("%s resolves to %s, want %s", path, got, want)
		}
	}
}

// Whatever the text, parsing ends, and what it yields is within its promises.
func FuzzParseMounts(f *testing.F) {
	f.Add(mountinfo)
	f.Add(`1 0 8:1 / /a\134\0401 rw - ext4 \x rw`)
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := ParseMounts(text)
		if err != nil {
			return
		}
		for _, m := range mounts {
			if !strings.HasPrefix(m.Point, "/") || m.Type == "" || !validDevice(m.Device) {
				t.Errorf("%+v", m)
			}
			if at, ok := mounts.Of(m.Point); !ok || at.Point != m.Point {
				t.Errorf("%s lies on %+v", m.Point, at)
			}
		}
		mounts.Resolve("/a/b/../c", func(string) (string, error) { return "../x/y", nil })
	})
}
