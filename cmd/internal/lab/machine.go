package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// programs are what a lab runs, and the Debian packages that hold them.
var programs = []struct{ name, pkg string }{
	{"libvirtd", "libvirt-daemon-system"},
	{"virsh", "libvirt-clients"},
	{"qemu-system-x86_64", "qemu-system-x86"},
	{"nsenter", "util-linux"},
	{"setsid", "util-linux"},
	{"nice", "coreutils"},
}

// checkMachine says all that this machine lacks for a lab, at once.
func checkMachine(opts Options) error {
	var missing []error
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("the lab runs on linux/amd64 only, this is %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root: it makes namespaces, cgroups and libvirtds; use sudo")
	}
	for _, p := range programs {
		if !hasProgram(p.name) {
			missing = append(missing, fmt.Errorf("program %s is missing: apt-get install %s", p.name, p.pkg))
		}
	}
	binaries := []string{"evenkeel-guest"}
	if !opts.NoAgents {
		binaries = append(binaries, "evenkeeld", "evenkeel")
	}
	for _, name := range binaries {
		path := filepath.Join(opts.BinDir, name)
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, fmt.Errorf("%s is missing: build it (make build), or say where it is with --bin-dir", path))
		}
	}
	return errors.Join(missing...)
}

// hasProgram looks where a root shell would, whatever this process's PATH.
func hasProgram(name string) bool {
	if _, err := exec.LookPath(name); err == nil {
		return true
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

func ownDir() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Dir(self), nil
}

func machineCpuset() (cpuset, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return cpuset{}, err
	}
	return findCpuset(string(mountinfo))
}
