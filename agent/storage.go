package agent

import (
	"slices"
	"strings"
)

// DiskStats is one disk of a VM: what QEMU counted for the guest since it was
// started, and where the disk lies.
type DiskStats struct {
	Target       string // as the guest's definition names it: "vda"
	Path         string // the image, the device or the name in the pool; "" if libvirt tells none
	BackingIndex int    // of the image in libvirt's backing chain, 0 if it has none
	// Known says that QEMU answered. A QEMU that hangs, or is busy with another
	// job, leaves the counters at zero: unknown, not idle.
	Known              bool
	Read, Write, Flush DiskCounters
	Errors             uint64 // as far as libvirt tells; QEMU's driver mostly does not
	Storage            Storage
}

// DiskCounters of one operation as the guest sees it, from QEMU's taking of the
// request to its answer.
type DiskCounters struct {
	Requests, Bytes, TimeNS uint64 // flushes have no bytes
}

// Backend says where a disk lies.
type Backend string

// The backends.
const (
	BackendLocal   Backend = "local"
	BackendNetwork Backend = "network"
	BackendUnknown Backend = "unknown"
)

// Storage is what a disk lies on.
type Storage struct {
	Backend Backend
	// Shared says that the same storage serves the VM on another host: if it is
	// slow, moving the VM does not help. Identity names it, equal on all hosts:
	// "nfs filer:/vms", "rbd pool", "nbd host:port".
	Shared   bool
	Identity string
	// Visible says that the disk's I/O comes through this host's block layer as
	// the VM's own, so that the kernel's figures have it; Why tells what hides it.
	Visible bool
	Why     string
	// Loop says that it lies on a loop device.
	Loop bool
}

// DiskSource is where a VM's definition says that a disk comes from.
type DiskSource struct {
	Type     string   // libvirt's: file, block, network, volume, nvme, vhostuser, vhostvdpa, dir
	Path     string   // of a file or a device, after symbolic links
	Protocol string   // of a network: rbd, iscsi, nbd, gluster, nfs, ssh, http, ...
	Name     string   // of a network: the volume in its pool
	Hosts    []string // of a network: servers, "host:port" or a socket's path
	Cache    string   // none, directsync, writeback, writethrough, unsafe, default or ""
}

// direct says whether QEMU passes the host's page cache by. QEMU's own default
// is writeback.
func (s DiskSource) direct() bool { return s.Cache == "none" || s.Cache == "directsync" }

// Classify says what a disk lies on, by the host's mounts and block devices.
// It asks no file system that a dead server could hold up.
func Classify(src DiskSource, mounts Mounts, devices Devices) Storage {
	switch src.Type {
	case "file", "dir":
		return cached(src, ofFile(src.Path, mounts, devices, 0))
	case "block":
		return cached(src, ofPath(src.Path, mounts, devices, 0))
	case "network":
		return ofNetwork(src)
	case "vhostuser":
		return Storage{Backend: BackendUnknown, Why: "served by another process (vhost-user)"}
	case "nvme":
		return Storage{Backend: BackendLocal, Why: "QEMU drives the NVMe device itself"}
	case "vhostvdpa":
		return Storage{Backend: BackendUnknown, Why: "the guest's device is hardware (vDPA)"}
	}
	return Storage{Backend: BackendUnknown, Why: "the disk's type is not known here"}
}

// cached hides what goes through the page cache.
func cached(src DiskSource, s Storage) Storage {
	if s.Visible && !src.direct() {
		cache := src.Cache
		if cache == "" {
			cache = "default"
		}
		s.Visible, s.Why = false, "through the host's page cache (cache="+cache+")"
	}
	return s
}

// ofNetwork is a disk that QEMU itself reaches over the network.
func ofNetwork(src DiskSource) Storage {
	name := src.Name
	switch src.Protocol {
	case "rbd", "gluster": // pool/image, volume/path
		name, _, _ = strings.Cut(name, "/")
	case "iscsi": // iqn/lun
		name, _, _ = strings.Cut(name, "/")
	case "nfs":
		name = parentOf(name)
	case "nbd": // one server, one export
	}
	hosts := slices.Clone(src.Hosts)
	slices.Sort(hosts)
	id := []string{src.Protocol}
	if len(hosts) > 0 {
		id = append(id, strings.Join(hosts, ","))
	}
	if name != "" {
		id = append(id, name)
	}
	return Storage{
		Backend: BackendNetwork, Shared: true, Identity: strings.Join(id, " "),
		Why: "QEMU reaches it over the network itself (" + src.Protocol + ")",
	}
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return path
}

// fsKind is what is known of a type of file system.
type fsKind struct {
	network bool
	hidden  string // why no block I/O of the VM's comes from it, "" if it does
}

const (
	noBlocks   = "a network file system has no block requests on this host"
	memory     = "a file system in memory has no block requests"
	userSpace  = "a file system in user space makes its requests itself"
	ownThreads = "the file system's own threads make its requests"
)

// fileSystems are the types that do not simply lie on a block device.
var fileSystems = map[string]fsKind{
	"nfs": {true, noBlocks}, "nfs4": {true, noBlocks}, "ceph": {true, noBlocks}, "cifs": {true, noBlocks},
	"smb3": {true, noBlocks}, "9p": {true, noBlocks}, "virtiofs": {true, noBlocks}, "afs": {true, noBlocks},
	"lustre": {true, noBlocks}, "beegfs": {true, noBlocks}, "gpfs": {true, noBlocks}, "orangefs": {true, noBlocks},
	"fuse.glusterfs": {true, userSpace}, "fuse.ceph": {true, userSpace}, "fuse.ceph-fuse": {true, userSpace},
	"fuse.sshfs": {true, userSpace}, "fuse.s3fs": {true, userSpace}, "fuse.moosefs": {true, userSpace},
	"tmpfs": {false, memory}, "ramfs": {false, memory}, "hugetlbfs": {false, memory}, "devtmpfs": {false, memory},
	"zfs": {false, ownThreads}, "bcachefs": {false, ownThreads},
}

// ofFile is a file, or a directory, by the mount that it lies on.
func ofFile(path string, mounts Mounts, devices Devices, depth int) Storage {
	m, ok := mounts.Of(path)
	if !ok {
		return Storage{Backend: BackendUnknown, Why: "no mount holds its path"}
	}
	kind, special := fileSystems[m.Type]
	switch {
	case special && kind.network:
		return Storage{Backend: BackendNetwork, Shared: true, Identity: strings.TrimPrefix(m.Type, "fuse.") + " " + m.Source, Why: kind.hidden}
	case special:
		return Storage{Backend: BackendLocal, Why: kind.hidden}
	case strings.HasPrefix(m.Type, "fuse"):
		return Storage{Backend: BackendUnknown, Why: userSpace}
	}
	s := devices.storage(m.Device, mounts, depth)
	// ocfs2 and gfs2 are one file system on all hosts, on a device that all see.
	if clustered(m.Type) {
		s.Shared = true
		if s.Identity == "" {
			s.Identity = m.Type + " " + m.Source
		}
	}
	return s
}

// ofPath is a block device by its path, which is in /dev.
func ofPath(path string, mounts Mounts, devices Devices, depth int) Storage {
	number, ok := devices.number(path)
	if !ok {
		return Storage{Backend: BackendUnknown, Why: "no block device has that name"}
	}
	return devices.storage(number, mounts, depth)
}
