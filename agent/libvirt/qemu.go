package libvirt

import (
	"cmp"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// finder finds the QEMU process of a VM, which libvirt does not tell over its
// socket. The first source is libvirt's pid file; where that misleads or is
// missing, all processes are looked through.
//
// During a migration two QEMU processes carry the VM's UUID, and when hosts
// are namespaces on one kernel (the lab), both are visible in /proc. So a
// process only counts if it sees the same libvirt run directory that we see:
// that holds for QEMU in libvirtd's own mount namespace, in the private one
// that libvirt makes by default (namespaces = ["mount"]), and for an agent
// whose own mount namespace systemd made; comparing namespaces would not.
type finder struct {
	proc   procfs.Reader
	runDir string // absolute and clean
}

// pid finds one VM's QEMU process; 0 if there is none. The name may be "".
func (f finder) pid(uuid, name string) (int, error) {
	if pid := f.fromPIDFile(uuid, name); pid != 0 {
		return pid, nil
	}
	found, err := f.scan(map[string]bool{uuid: true})
	return found[uuid], err
}

// fromPIDFile reads NAME.pid and believes it if that process has the UUID.
func (f finder) fromPIDFile(uuid, name string) int {
	file := f.pidFile(name)
	if file == "" {
		return 0
	}
	text, err := readSmall(f.proc.FS(), file, 64)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || pid <= 0 {
		return 0
	}
	args, err := f.proc.Cmdline(pid)
	if err != nil || qemuUUID(args) != uuid {
		return 0
	}
	return pid
}

// pidFile names libvirt's file of a VM's process id, "" if no file can have that
// name.
func (f finder) pidFile(name string) string {
	file := path.Join(relative(f.runDir), "qemu", name+".pid")
	if name == "" || strings.ContainsRune(name, '/') || !fs.ValidPath(file) {
		return ""
	}
	return file
}

// scan looks for the QEMU processes of several VMs in one pass.
func (f finder) scan(want map[string]bool) (map[string]int, error) {
	pids, err := f.proc.PIDs()
	if err != nil {
		return nil, err
	}
	found := make(map[string]int)
	for _, pid := range pids {
		args, err := f.proc.Cmdline(pid)
		if err != nil {
			continue // it ended, or is hidden from us
		}
		if uuid := qemuUUID(args); want[uuid] && f.ours(pid) {
			found[uuid] = pid
		}
	}
	return found, nil
}

// ours says whether the process lives with our libvirt, not another's.
func (f finder) ours(pid int) bool {
	root := f.proc.FS()
	proc := "proc/" + strconv.Itoa(pid)
	here, err := fs.Stat(root, relative(f.runDir))
	there := proc + "/root" + f.runDir
	if err != nil { // no run directory at all: the namespace is the best there is
		here, err = fs.Stat(root, "proc/self/ns/mnt")
		there = proc + "/ns/mnt"
	}
	if err != nil {
		return false
	}
	theirs, err := fs.Stat(root, there)
	return err == nil && os.SameFile(here, theirs)
}

// qemuUUID takes the VM's UUID from the arguments with which libvirt starts
// QEMU: "-name guest=..." and "-uuid U". "" for any other process.
func qemuUUID(args []string) string {
	named, uuid := false, ""
	for i, arg := range args {
		if i+1 == len(args) {
			break
		}
		switch arg {
		case "-name":
			named = named || strings.HasPrefix(args[i+1], "guest=")
		case "-uuid":
			uuid = cmp.Or(uuid, strings.ToLower(args[i+1]))
		}
	}
	if !named {
		return ""
	}
	return uuid
}

func relative(abs string) string { return strings.TrimPrefix(abs, "/") }
