package agent

import (
	"testing"
	"testing/fstest"
)

// named is [sysfs] with the names that devices have of their own.
func named() Devices {
	d := sysfs()
	root := d.Root.(fstest.MapFS)
	for file, text := range map[string]string{
		"sys/devices/platform/host3/session7/target3/block/sda/device/wwid": "naa.6001",
		"sys/devices/virtual/block/dm-0/dm/uuid":                            "LVM-vgvgvglvlvlv",
		"sys/devices/virtual/nvme-fabrics/ctl/nvme1/nvme1n1/wwid":           "uuid.1-2",
		"sys/bus/rbd/devices/0/cluster_fsid":                                "ceph-1",
		"sys/bus/rbd/devices/0/name":                                        "db",
		"sys/devices/virtual/block/nbd0/backend":                            "vms-db",
		"proc/fs/nfsfs/volumes": "NV SERVER   PORT DEV          FSID                              FSC\n" +
			"v4 0a000001  801 0:39         1:0                               no\n" +
			"v4 0a000001  801 0:40         af71:2                            no\n",
	} {
		root[file] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return d
}

// What another host can have at the same time has a name that no other has;
// all else has none.
func TestSharedAs(t *testing.T) {
	mounts, err := ParseMounts(mountinfo)
	if err != nil {
		t.Fatal(err)
	}
	file := func(path string) DiskSource { return DiskSource{Type: "file", Path: path, Cache: "none"} }
	block := func(path string) DiskSource { return DiskSource{Type: "block", Path: path, Cache: "none"} }
	for name, c := range map[string]struct {
		src       DiskSource
		want      string
		otherwise string // without the devices' own names
	}{
		"NFS":                  {file("/srv/vms/a.img"), "nfs4 filer:/export/vms fsid af71:2", "nfs4 filer:/export/vms"},
		"CIFS":                 {file("/srv/with space/a"), "cifs //filer/share", "cifs //filer/share"},
		"gluster":              {file("/srv/gluster/a"), "glusterfs gluster1:vol", "glusterfs gluster1:vol"},
		"xfs on iSCSI":         {file("/srv/san/a"), "", ""}, // a second mount would break it
		"ext4 on LVM":          {file("/srv/lvm/a"), "", ""},
		"ocfs2 on FC":          {file("/srv/shared/a"), "fc naa.5000", "fc naa.5000"},
		"local file":           {file("/var/lib/a.img"), "", ""},
		"iSCSI LUN":            {block("/dev/sda"), "iscsi iqn.2024-01.example:vms naa.6001", ""},
		"partition of it":      {block("/dev/sda1"), "iscsi iqn.2024-01.example:vms naa.6001 partition 1", ""},
		"FC LUN":               {block("/dev/sdb"), "fc naa.5000", "fc naa.5000"},
		"logical volume":       {block("/dev/dm-0"), "iscsi iqn.2024-01.example:vms LVM-vgvgvglvlvlv", ""},
		"krbd":                 {block("/dev/rbd0"), "rbd vms ceph-1 vms/db", ""},
		"nbd":                  {block("/dev/nbd0"), "nbd vms-db", ""},
		"NVMe over TCP":        {block("/dev/nvme1n1"), "nvme-tcp nqn.2024.x uuid.1-2", ""},
		"local NVMe":           {block("/dev/nvme0n1"), "", ""},
		"loop device on NFS":   {block("/dev/loop0"), "", ""},
		"no such device":       {block("/dev/sdz"), "", ""},
		"NBD server":           {DiskSource{Type: "network", Protocol: "nbd", Hosts: []string{"n:10809"}}, "nbd n:10809", "nbd n:10809"},
		"another process's":    {DiskSource{Type: "vhostuser"}, "", ""},
		"of no known kind":     {DiskSource{Type: "new"}, "", ""},
		"relative, so unknown": {file("a.img"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := SharedAs(c.src, mounts, named()); got != c.want {
				t.Errorf("named %q, want %q", got, c.want)
			}
			if got := SharedAs(c.src, mounts, sysfs()); got != c.otherwise {
				t.Errorf("without own names it is named %q, want %q", got, c.otherwise)
			}
		})
	}
}
