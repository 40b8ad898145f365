package libvirt

import (
	"cmp"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// lockManager is libvirt's own lock on disks, beside QEMU's on image files, as
// its configuration has it.
type lockManager struct {
	name string // cluster.LocksNone, or libvirt's: "lockd", "sanlock"
	each bool   // it takes a lease for each disk by itself
	// Where such leases lie. lockd has places for logical volumes and for SCSI
	// devices, by their ids, and one for all else, by its path; without that it
	// locks the device itself, which other hosts do not see.
	files, volumes, scsi string
	changed              time.Time // when its configuration was
}

// The lock managers whose leases are understood here.
const (
	lockd   = "lockd"
	sanlock = "sanlock"
)

const qemuConf = "etc/libvirt/qemu.conf"

func readLockManager(root fs.FS) (m lockManager, err error) {
	values, changed, err := readConf(root, qemuConf)
	if err != nil {
		return m, err
	}
	m.name, m.changed = word(cmp.Or(values["lock_manager"], cluster.LocksNone)), changed
	if m.name == "nop" { // libvirt's name for none
		m.name = cluster.LocksNone
	}
	if m.name != lockd && m.name != sanlock {
		return m, nil
	}
	own, changed, err := readConf(root, "etc/libvirt/qemu-"+m.name+".conf")
	if err != nil {
		return m, err
	}
	if changed.After(m.changed) {
		m.changed = changed
	}
	auto := own["auto_disk_leases"]
	if m.name == lockd {
		m.each = auto != "0"
		m.files, m.volumes, m.scsi = own["file_lockspace_dir"], own["lvm_lockspace_dir"], own["scsi_lockspace_dir"]
		return m, nil
	}
	m.each, m.files = auto != "" && auto != "0", cmp.Or(own["disk_lease_dir"], "/var/lib/libvirt/sanlock")
	return m, nil
}

// ground is where paths lead on this host.
type ground struct {
	mounts  agent.Mounts
	devices agent.Devices
}

// shared names a file's or a device's storage alike on every host that has it;
// "" if it is this host's own.
func (g ground) shared(path string) string {
	if !strings.HasPrefix(path, "/") {
		return ""
	}
	src := agent.DiskSource{Type: "file", Path: g.mounts.Resolve(path, os.Readlink)}
	if strings.HasPrefix(path, "/dev/") {
		src.Type = "block"
	}
	return agent.SharedAs(src, g.mounts, g.devices)
}

// space names a place of leases, if other hosts see them there, too.
func (g ground) space(dir string) string {
	if shared := g.shared(dir); shared != "" {
		return word(dir + " on " + shared)
	}
	return ""
}

// spaces are the places of leases that other hosts see.
func (m lockManager) spaces(g ground) (out []string) {
	for _, dir := range []string{m.files, m.volumes, m.scsi} {
		if s := g.space(dir); s != "" {
			out = add(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// guard is a lock manager's lock on a VM: where its leases lie, nil if they are
// the VM's own.
type guard struct {
	by     string
	spaces []string
}

// guards says whether no second copy of a VM gets past the manager, on whatever
// host. In doubt it does.
func (m lockManager) guards(d definition, g ground) (guard, bool) {
	if m.name != lockd && m.name != sanlock || d.locked {
		return guard{}, false
	}
	if slices.ContainsFunc(d.leases, func(path string) bool { return g.shared(path) != "" }) {
		return guard{by: m.name}, true // one lease holds the whole VM
	}
	if d.beyond || len(d.bare) == 0 || !m.each {
		return guard{}, false
	}
	out := guard{by: m.name}
	for _, device := range d.bare {
		for _, dir := range m.dirs(device, g) {
			s := g.space(dir)
			if s == "" {
				return guard{}, false
			}
			out.spaces = add(out.spaces, s)
		}
	}
	return out, true
}

// dirs are the places in one of which the manager's lease for a block device
// lies. It asks programs whether the device is a logical volume or has a SCSI
// id, as which some devices answer that do not look like it.
func (m lockManager) dirs(device string, g ground) []string {
	own := g.shared(device)
	own = own[strings.LastIndex(own, " ")+1:]
	switch known := strings.HasPrefix(device, "/dev"); {
	case known && m.volumes != "" && strings.HasPrefix(own, "LVM-"):
		return []string{m.volumes}
	case known && m.scsi != "" && (strings.HasPrefix(own, "naa.") || strings.HasPrefix(own, "t10.")):
		return []string{m.scsi}
	case known && m.scsi != "":
		return []string{m.scsi, m.files}
	}
	return []string{m.files}
}

// keeper is a lock manager with all that it takes to judge its locks.
type keeper struct {
	lockManager
	ground
	qemus finder
}

func (f finder) keeper() (k keeper, err error) {
	k.qemus = f
	if k.lockManager, err = readLockManager(f.proc.FS()); err != nil || k.name == cluster.LocksNone {
		return k, err
	}
	k.mounts, k.devices, err = f.places("self")
	return k, err
}

// holds is the manager's lock on a VM that runs. One that was started before
// the manager was, or before it was configured as it is, may have none.
func (k keeper) holds(d definition, name string, pid int) (guard, bool) {
	g, ok := k.guards(d, k.ground)
	return g, ok && k.qemus.startedUnder(k.lockManager, name, pid)
}

// lockFiles are where the managers' daemons leave their process ids, beside
// libvirt's run-time directory, and what the daemons are called.
var lockFiles = map[string]struct{ pidFile, comm string }{
	lockd:   {"virtlockd.pid", "virtlockd"},
	sanlock: {"sanlock/sanlock.pid", "sanlock"},
}

// startedUnder says whether a VM's process began after the manager's daemon, and
// both libvirt's and it after the newest change of the manager's configuration.
// Nobody calls virtlockd before libvirt is told to, and its locks end with it.
func (f finder) startedUnder(m lockManager, name string, pid int) bool {
	since := func(file string) bool {
		info, err := fs.Stat(f.proc.FS(), file)
		return err == nil && m.changed.Before(info.ModTime())
	}
	heeds := slices.ContainsFunc(daemonNames[:], func(d string) bool { return since(f.beside(d + ".pid")) })
	if !heeds || !since(f.pidFile(name)) {
		return false
	}
	lock := lockFiles[m.name]
	daemon, err := f.proc.Process(f.pidIn(lock.pidFile))
	if err != nil || daemon.Comm != lock.comm {
		return false
	}
	qemu, err := f.proc.Process(pid)
	return err == nil && qemu.StartTime > daemon.StartTime
}
