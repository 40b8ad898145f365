package agent

import (
	"io"
	"io/fs"
	"path"
	"strings"
)

// SharedAs names the storage that a disk lies on, if another host can have it
// at the same time: alike on every host that has it, and unlike any other. ""
// says that it is its host's own, or that nothing proves that it is not. A
// target that serves many devices, a pool or an export's path alone prove
// nothing: two hosts may have different ones under one name, and a VM that is
// moved there would write somebody else's.
func SharedAs(src DiskSource, mounts Mounts, devices Devices) string {
	s := Classify(src, mounts, devices)
	if !s.Shared || s.Identity == "" {
		return ""
	}
	switch src.Type {
	case "network":
		return s.Identity // its server and its name there travel with the VM
	case "block":
		number, _ := devices.number(src.Path)
		return joined(s.Identity, devices.own(number))
	}
	m, ok := mounts.Of(src.Path)
	switch {
	case !ok:
		return ""
	case fileSystems[m.Type].network:
		if id := devices.exported(m.Device); id != "" {
			return s.Identity + " " + id
		}
		return s.Identity
	case clustered(m.Type):
		return joined(s.Identity, devices.own(m.Device))
	}
	// Any other file system breaks when a second host mounts it.
	return ""
}

// joined is nothing if the device has no name of its own.
func joined(identity, own string) string {
	switch {
	case own == "":
		return ""
	case strings.HasSuffix(identity, " "+own):
		return identity // a LUN of its own
	}
	return identity + " " + own
}

// clustered says whether a file system is made to be mounted on several hosts
// at once, from a device that all of them see.
func clustered(fsType string) bool { return fsType == "ocfs2" || fsType == "gfs2" }

// own is what names a block device alike on every host that sees it, and names
// no other: the mapper's UUID (LVM's, multipath's), the WWN, RBD's cluster, pool
// and image. "" if the kernel knows none.
func (d Devices) own(number string) string {
	link, err := fs.ReadLink(d.Root, "sys/dev/block/"+number)
	dir := path.Join("sys/dev/block", link)
	if err != nil || !fs.ValidPath(dir) || !strings.HasPrefix(dir, "sys/") {
		return ""
	}
	part := d.text(path.Join(dir, "partition"))
	if part == "" {
		return d.ownOf(dir)
	}
	if whole := d.ownOf(path.Dir(dir)); whole != "" {
		return whole + " partition " + part
	}
	return ""
}

func (d Devices) ownOf(dir string) string {
	name := path.Base(dir)
	switch {
	case strings.HasPrefix(name, "dm-"):
		return d.text(path.Join(dir, "dm/uuid"))
	case strings.HasPrefix(name, "rbd"):
		return d.image("sys/bus/rbd/devices/" + strings.TrimPrefix(name, "rbd"))
	case strings.HasPrefix(name, "nbd"):
		return d.text(path.Join(dir, "backend"))
	}
	for _, file := range []string{"wwid", "device/wwid"} { // NVMe's, SCSI's
		if id := d.text(path.Join(dir, file)); id != "" {
			return id
		}
	}
	return ""
}

// image is an RBD device's: that of a snapshot is none to write.
func (d Devices) image(dir string) string {
	cluster, pool, name := d.text(dir+"/cluster_fsid"), d.text(dir+"/pool"), d.text(dir+"/name")
	if cluster == "" || pool == "" || name == "" {
		return ""
	}
	if space := d.text(dir + "/pool_ns"); space != "" {
		pool += "/" + space
	}
	return cluster + " " + pool + "/" + name
}

// maxVolumes bounds what is read of the kernel's list of NFS mounts.
const maxVolumes = 1 << 20

// exported is the id that an NFS server gives to what a mount with this device
// number shows, the same for all of its clients: "" if it is none of NFS.
func (d Devices) exported(number string) string {
	f, err := d.Root.Open("proc/fs/nfsfs/volumes")
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxVolumes))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		// NV SERVER PORT DEV FSID FSC
		if fields := strings.Fields(line); len(fields) >= 5 && fields[3] == number {
			return "fsid " + strings.ToValidUTF8(fields[4], "?")
		}
	}
	return ""
}
