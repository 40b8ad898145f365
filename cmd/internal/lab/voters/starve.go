package voters

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Starve lets the member's process have so many percent of one CPU, which it
// shares with rivals that are always busy.
func (m *Member) Starve(percent, rivals int) error {
	if err := sweep(); err != nil {
		return err
	}
	group, limit, value, err := starving(m.site.dir, m.Name, percent)
	if err != nil {
		return err
	}
	if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	m.starved = true
	if err := os.WriteFile(filepath.Join(group, limit), []byte(value), 0); err != nil {
		return err
	}
	procs := filepath.Join(group, "cgroup.procs")
	for range rivals {
		// It enters the group before it is busy.
		rival := exec.Command("/bin/sh", "-c", `read -r _ && while :; do :; done`)
		in, err := rival.StdinPipe()
		if err != nil {
			return err
		}
		if err := m.site.warden.inside(-1, rival.Start); err != nil {
			return err
		}
		m.rivals = append(m.rivals, rival)
		err = os.WriteFile(procs, []byte(strconv.Itoa(rival.Process.Pid)), 0)
		if _, e := in.Write([]byte("go\n")); err != nil || e != nil {
			return errors.Join(err, e)
		}
	}
	return os.WriteFile(procs, []byte(strconv.Itoa(m.cmd.Process.Pid)), 0)
}

// Feed ends Starve.
func (m *Member) Feed() error {
	root, _, err := cpuController()
	if err != nil {
		return err
	}
	if m.Alive() {
		if err := os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(strconv.Itoa(m.cmd.Process.Pid)), 0); err != nil {
			return err
		}
	}
	return m.unstarve()
}

// unstarve ends the rivals and removes the cgroup, in which no other process is
// any more.
func (m *Member) unstarve() error {
	if !m.starved {
		return nil
	}
	for _, r := range m.rivals {
		_ = r.Process.Kill()
		_ = r.Wait()
	}
	m.rivals = nil
	group, _, _, err := starving(m.site.dir, m.Name, 1)
	if err != nil {
		return err
	}
	for range 50 { // the kernel takes a moment to forget a process
		if err = os.Remove(group); err == nil {
			m.starved = false
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// groupPrefix begins the names of our cgroups; the test's pid follows.
const groupPrefix = "evenkeel-voters-"

// period of the limit: long enough for a few percent of it to be more than the
// kernel's least slice of 1 ms.
const period = 100 * time.Millisecond

// starving names a member's cgroup, and the file and value of the limit.
func starving(dir, name string, percent int) (group, limit, value string, err error) {
	root, unified, err := cpuController()
	if err != nil {
		return "", "", "", err
	}
	group = filepath.Join(root, fmt.Sprintf("%s%d-%s-%s", groupPrefix, os.Getpid(), filepath.Base(dir), name))
	quota := period.Microseconds() * int64(percent) / 100
	if unified {
		return group, "cpu.max", fmt.Sprint(quota, " ", period.Microseconds()), nil
	}
	return group, "cpu.cfs_quota_us", fmt.Sprint(quota), nil // its period is 100 ms by default
}

// cpuController finds the hierarchy of the CPU controller.
func cpuController() (root string, unified bool, err error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 4 {
			continue
		}
		if words[2] == "cgroup" && strings.Contains(","+words[3]+",", ",cpu,") {
			return words[1], false, nil
		}
		if words[2] == "cgroup2" {
			root = words[1]
		}
	}
	if root == "" {
		return "", false, errors.New("no hierarchy of cgroups is mounted")
	}
	// The root's children must be allowed the controller; systemd does that.
	return root, true, os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0)
}

// sweep removes cgroups that killed tests have left.
func sweep() error {
	root, _, err := cpuController()
	if err != nil {
		return err
	}
	groups, err := filepath.Glob(filepath.Join(root, groupPrefix+"*"))
	if err != nil {
		return err
	}
	for _, g := range groups {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(g), groupPrefix), "-")
		if pid, err := strconv.Atoi(text); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			if err := os.Remove(g); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("cgroup of a test that is gone: %w", err)
			}
		}
	}
	return nil
}
