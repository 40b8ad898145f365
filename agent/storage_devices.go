package agent

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Devices is the host's block devices as its root file system shows them in
// sys; it must let symbolic links be read, as os.DirFS does.
type Devices struct{ Root fs.FS }

// maxLayers bounds how deep devices may lie upon each other, maxParts how many
// one may be made of.
const (
	maxLayers = 8
	maxParts  = 64
)

// number is the major:minor of a device by its path.
func (d Devices) number(devicePath string) (string, bool) {
	name := strings.ReplaceAll(strings.TrimPrefix(devicePath, "/dev/"), "/", "!")
	if !fs.ValidPath(name) || strings.Contains(name, "/") {
		return "", false
	}
	number := d.text(path.Join("sys/class/block", name, "dev"))
	return number, validDevice(number)
}

// storage is what a device lies on in the end.
func (d Devices) storage(number string, mounts Mounts, depth int) Storage {
	if depth > maxLayers {
		return Storage{Backend: BackendUnknown, Why: "devices lie upon each other without end"}
	}
	dir, ok := d.directory(number)
	if !ok {
		return Storage{Backend: BackendUnknown, Why: "device " + number + " is not in sysfs"}
	}
	if backing := d.text(path.Join(dir, "loop/backing_file")); backing != "" {
		s := ofFile(backing, mounts, d, depth+1)
		// The VM's requests are those on the loop device, whatever is below.
		s.Visible, s.Why, s.Loop = true, "", true
		return s
	}
	if below := d.parts(dir); len(below) > 0 {
		return d.combined(below, mounts, depth)
	}
	return d.leaf(dir)
}

// directory is a device's place in sysfs; a partition's is its disk's.
func (d Devices) directory(number string) (string, bool) {
	link, err := fs.ReadLink(d.Root, "sys/dev/block/"+number)
	dir := path.Join("sys/dev/block", link)
	if err != nil || !fs.ValidPath(dir) || !strings.HasPrefix(dir, "sys/") {
		return "", false
	}
	if d.text(path.Join(dir, "partition")) != "" {
		dir = path.Dir(dir)
	}
	return dir, true
}

// parts are the numbers of the devices that this one is made of.
func (d Devices) parts(dir string) []string {
	entries, err := fs.ReadDir(d.Root, path.Join(dir, "slaves"))
	if err != nil || len(entries) > maxParts {
		return nil
	}
	var numbers []string
	for _, e := range entries {
		if n, ok := d.number("/dev/" + e.Name()); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// combined is network storage if one of its parts is.
func (d Devices) combined(parts []string, mounts Mounts, depth int) Storage {
	var all Storage
	for i, p := range parts {
		s := d.storage(p, mounts, depth+1)
		if i == 0 || s.Backend == BackendNetwork && all.Backend != BackendNetwork {
			all = s
		}
	}
	return all
}

// leaf is a device that is made of no other, by who drives it.
func (d Devices) leaf(dir string) Storage {
	s := Storage{Backend: BackendNetwork, Shared: true, Visible: true}
	name := path.Base(dir)
	segments := strings.Split(dir, "/")
	switch {
	case strings.HasPrefix(name, "rbd"):
		s.Identity = "rbd " + d.text("sys/bus/rbd/devices/"+strings.TrimPrefix(name, "rbd")+"/pool")
	case strings.HasPrefix(name, "nbd"):
		s.Identity = "nbd " + d.text(path.Join(dir, "backend"))
	case strings.HasPrefix(name, "drbd"):
		s.Identity = "drbd " + name
	case slices.ContainsFunc(segments, func(p string) bool { return strings.HasPrefix(p, "session") }):
		s.Identity = "iscsi " + d.target(segments)
	case slices.ContainsFunc(segments, func(p string) bool { return strings.HasPrefix(p, "rport-") }):
		s.Identity = "fc " + d.text(path.Join(dir, "device/wwid"))
	case d.fabric(dir) != "":
		s.Identity = "nvme-" + d.fabric(dir) + " " + d.text(path.Join(dir, "device/subsysnqn"))
	default:
		return Storage{Backend: BackendLocal, Visible: true}
	}
	s.Identity = strings.TrimSpace(s.Identity)
	return s
}

// fabric is the transport of an NVMe device that is not in this machine.
func (d Devices) fabric(dir string) string {
	switch t := d.text(path.Join(dir, "device/transport")); t {
	case "tcp", "rdma", "fc":
		return t
	}
	return ""
}

// target is the name of an iSCSI session's target.
func (d Devices) target(segments []string) string {
	for _, p := range segments {
		if strings.HasPrefix(p, "session") {
			return d.text("sys/class/iscsi_session/" + p + "/targetname")
		}
	}
	return ""
}

// text is a file's first line, "" if it can't be read: most are not there.
func (d Devices) text(name string) string {
	f, err := d.Root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	// A path may have 4,096 bytes.
	data, err := io.ReadAll(io.LimitReader(f, 8<<10))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.ToValidUTF8(strings.TrimSpace(line), "?")
}
