package libvirt

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// libvirt writes a running VM's status file anew (another inode, by rename)
// whenever its definition, its metadata, its vCPUs or its job change. So while
// that file and the QEMU process are the same, a listing need not ask for the
// VM's XML nor read its process again, which cost a call to libvirtd and some
// twelve files for each VM.
const (
	// settled is how old a status file must be to be known by its looks: of two
	// that are written within one tick of the kernel's clock, with the inode
	// of the last but one, nothing else tells them apart.
	settled = 2 * time.Second
	// relearnEvery bounds how long anything is believed that no status file told.
	relearnEvery = 30 * time.Second
)

// remembered is what was found out about a VM.
type remembered struct {
	name      string
	status    fs.FileInfo // before all the rest was read
	at        time.Time
	def       definition
	direction string // of the migration job
	pid       int
	started   procfs.Ticks // a reused id has another
	vcpus     []int
}

// memory holds it by UUID.
type memory struct {
	mu  sync.Mutex
	vms map[string]remembered
}

// recall returns what is known of a VM, if it is still so. status is what its
// status file looks like now, nil if it cannot be seen.
func (m *memory) recall(uuid, name string, status fs.FileInfo, now time.Time, proc procfs.Reader) (remembered, bool) {
	m.mu.Lock()
	r, known := m.vms[uuid]
	m.mu.Unlock()
	if !known || r.name != name || now.Sub(r.at) >= relearnEvery || !sameFile(r.status, status) {
		return remembered{}, false
	}
	process, err := proc.Process(r.pid)
	if err != nil || process.StartTime != r.started {
		return remembered{}, false
	}
	r.vcpus = slices.Clone(r.vcpus)
	return r, true
}

// learn keeps what was found out, if it is whole and its status file could not
// change without it being seen.
func (m *memory) learn(uuid string, r remembered, proc procfs.Reader) {
	if r.status == nil || r.pid <= 0 || r.at.Sub(r.status.ModTime()) < settled {
		return
	}
	process, err := proc.Process(r.pid)
	if err != nil {
		return // it has ended
	}
	// After the start time: it was not another process's that has the id now.
	if args, err := proc.Cmdline(r.pid); err != nil || qemuUUID(args) != uuid {
		return
	}
	r.started, r.vcpus = process.StartTime, slices.Clone(r.vcpus)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vms == nil {
		m.vms = make(map[string]remembered)
	}
	m.vms[uuid] = r
}

// keep forgets the VMs that are not listed any more.
func (m *memory) keep(listed map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uuid := range m.vms {
		if !listed[uuid] {
			delete(m.vms, uuid)
		}
	}
}

func sameFile(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// statusFile names libvirt's status file of a VM, "" if no file can have that
// name.
func (f finder) statusFile(name string) string {
	file := path.Join(relative(f.runDir), "qemu", name+".xml")
	if name == "" || strings.ContainsRune(name, '/') || !fs.ValidPath(file) {
		return ""
	}
	return file
}

// statusInfo is what a VM's status file looks like, nil if it cannot be seen.
func (f finder) statusInfo(name string) fs.FileInfo {
	file := f.statusFile(name)
	if file == "" {
		return nil
	}
	info, err := fs.Stat(f.proc.FS(), file)
	if err != nil {
		return nil
	}
	return info
}
