package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/heartbeat"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/load"
)

// domain describes the guest to libvirt: as few devices as QEMU boots with,
// emulated by TCG, so that it runs anywhere.
func (l *Lab) domain(g GuestState) (string, error) {
	schedule, err := load.Parse(g.Load)
	if err != nil {
		return "", err
	}
	disk, err := diskArgument(g)
	if err != nil {
		return "", err
	}
	d := libvirtxml.Domain{
		Type:   "qemu",
		Name:   g.Name,
		UUID:   g.UUID,
		Memory: &libvirtxml.DomainMemory{Value: uint(g.Memory / 1024), Unit: "KiB"},
		VCPU:   &libvirtxml.DomainVCPU{Value: uint(g.VCPUs)},
		OS: &libvirtxml.DomainOS{
			Type:   &libvirtxml.DomainOSType{Arch: "x86_64", Machine: "pc", Type: "hvm"},
			Kernel: l.kernelPath(),
			Initrd: l.initrdPath(),
			// Quiet: each character on the serial console costs the guest an
			// exit, and a boot's 40 kB cost it seconds. No check of the timer: on a
			// starved CPU emulated ticks come too late for it, and it panics.
			Cmdline: "console=ttyS0 no_timer_check quiet loglevel=1 panic=-1 cryptomgr.notests mitigations=off nokaslr clearcpuid=13 ek.load=" + schedule.String() + disk,
		},
		Features:   &libvirtxml.DomainFeatureList{ACPI: &libvirtxml.DomainFeature{}, APIC: &libvirtxml.DomainFeatureAPIC{}},
		OnPoweroff: "destroy", OnReboot: "destroy", OnCrash: "destroy",
		Devices: &libvirtxml.DomainDeviceList{
			Controllers: []libvirtxml.DomainController{{Type: "usb", Model: "none"}},
			MemBalloon:  &libvirtxml.DomainMemBalloon{Model: "none"},
			Disks:       l.disks(g),
			Interfaces:  interfaces(g),
			Serials: []libvirtxml.DomainSerial{{
				// The same file on every host, appended to: a migration
				// leaves no seam.
				Source: &libvirtxml.DomainChardevSource{File: &libvirtxml.DomainChardevSourceFile{
					Path: l.SerialLog(g.Name), Append: "on",
				}},
				Target: &libvirtxml.DomainSerialTarget{Port: new(uint)},
			}},
		},
	}
	return d.Marshal()
}

func interfaces(g GuestState) []libvirtxml.DomainInterface {
	if g.Bridge == "" {
		return nil
	}
	return []libvirtxml.DomainInterface{{
		Source: &libvirtxml.DomainInterfaceSource{Bridge: &libvirtxml.DomainInterfaceSourceBridge{Bridge: g.Bridge}},
		Model:  &libvirtxml.DomainInterfaceModel{Type: "virtio"},
	}}
}

// StartGuest starts a guest on its hypervisor. It returns when QEMU runs;
// WaitBooted waits for the first heartbeat.
func (l *Lab) StartGuest(ctx context.Context, g Guest) error {
	g.fillDefaults()
	if err := g.check(); err != nil {
		return fmt.Errorf("guest %w", err)
	}
	return l.change(func() error {
		if _, err := l.hypervisor(g.On); err != nil {
			return err
		}
		if _, err := l.Guest(g.Name); err == nil {
			return fmt.Errorf("lab has a guest %s already", g.Name)
		}
		state, err := l.recordGuest(g)
		if err != nil {
			return err
		}
		if err := l.startGuest(ctx, state); err != nil {
			return errors.Join(err, l.forgetGuest(ctx, g.Name))
		}
		return nil
	})
}

func (l *Lab) recordGuest(g Guest) (GuestState, error) {
	state := GuestState{Guest: g, UUID: uuid.NewString()}
	return state, l.record(func(m *Manifest) {
		state.DiskPort = m.diskPort(g.Disk)
		m.Guests = append(m.Guests, state)
	})
}

func (l *Lab) startGuest(ctx context.Context, g GuestState) error {
	if g.Disk != nil && l.manifestCopy().NoDisks {
		return noDrivers(g.Name)
	}
	if err := os.MkdirAll(l.guestDir(g.Name), 0o755); err != nil {
		return err
	}
	if g.Disk != nil && g.Disk.Shared {
		if err := l.shareVolume(ctx); err != nil {
			return fmt.Errorf("disk of guest %s: %w", g.Name, err)
		}
	}
	if err := l.makeDisk(g); err != nil {
		return fmt.Errorf("disk of guest %s: %w", g.Name, err)
	}
	if err := l.serveDisk(ctx, g); err != nil {
		return fmt.Errorf("disk of guest %s: %w", g.Name, err)
	}
	// Tests that follow a guest need not wait for QEMU to make the file.
	if err := os.WriteFile(l.SerialLog(g.Name), nil, 0o644); err != nil {
		return err
	}
	xml, err := l.domain(g)
	if err != nil {
		return fmt.Errorf("guest %s: %w", g.Name, err)
	}
	file := filepath.Join(l.guestDir(g.Name), "domain.xml")
	if err := os.WriteFile(file, []byte(xml), 0o644); err != nil {
		return err
	}
	_, err = l.Exec(ctx, g.On, "virsh", "--quiet", "create", file)
	return err
}

// StopGuest ends a guest wherever it runs, and forgets it.
func (l *Lab) StopGuest(ctx context.Context, name string) error {
	return l.change(func() error {
		if _, err := l.Guest(name); err != nil {
			return err
		}
		for _, host := range l.GuestHosts(name) {
			if _, err := l.Exec(ctx, host, "virsh", "--quiet", "destroy", name); err != nil {
				return err
			}
		}
		return l.forgetGuest(ctx, name)
	})
}

func (l *Lab) forgetGuest(ctx context.Context, name string) error {
	g, err := l.Guest(name)
	if err != nil {
		return err
	}
	if err := g.DiskServer.kill(ctx); err != nil {
		return err
	}
	if err := l.removeShared(g); err != nil {
		return err
	}
	err = l.record(func(m *Manifest) {
		// A new slice, for copies of the manifest share the old one.
		m.Guests = slices.DeleteFunc(slices.Clone(m.Guests), func(g GuestState) bool { return g.Name == name })
	})
	return errors.Join(err, os.RemoveAll(l.guestDir(name)))
}

// SerialLog is the file that a guest's console is written to, on whichever
// host it runs.
func (l *Lab) SerialLog(guest string) string { return filepath.Join(l.guestDir(guest), "serial.log") }

// Heartbeats are all that a guest has printed so far.
func (l *Lab) Heartbeats(guest string) ([]heartbeat.Heartbeat, error) {
	return heartbeat.ReadFile(l.SerialLog(guest))
}

// WaitBooted waits until each of the guests has a heartbeat.
func (l *Lab) WaitBooted(ctx context.Context, guests ...string) error {
	for _, name := range guests {
		err := poll(ctx, 50*time.Millisecond, "the first heartbeat of "+name, func() (bool, error) {
			beats, err := l.Heartbeats(name)
			if err == nil && len(beats) == 0 && len(l.GuestHosts(name)) == 0 {
				err = fmt.Errorf("guest %s ended before its first heartbeat%s", name, logTail(l.SerialLog(name)))
			}
			return len(beats) > 0, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Follow calls each for every heartbeat of the guests that arrives from now
// on, until the context ends or each fails. Calls do not overlap.
func (l *Lab) Follow(ctx context.Context, guests []string, each func(guest string, a heartbeat.Arrival) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make([]error, len(guests))
	for i, guest := range guests {
		wg.Go(func() {
			errs[i] = heartbeat.Follow(ctx, l.SerialLog(guest), func(a heartbeat.Arrival) error {
				mu.Lock()
				defer mu.Unlock()
				return each(guest, a)
			})
			if errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// QEMUPID is the process of a guest on one host. While it migrates, it has one
// on both.
func (l *Lab) QEMUPID(host, guest string) (int, error) {
	h, err := l.hypervisor(host)
	if err != nil {
		return 0, err
	}
	// libvirt's own record, read through the mount namespace: it answers also
	// when libvirtd hangs or is dead.
	data, err := os.ReadFile(filepath.Join(hostRoot(h.Holder), "run/libvirt/qemu", guest+".pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("guest %s does not run on %s", guest, host)
	}
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, fmt.Errorf("process of %s on %s: %w", guest, host, err)
	}
	// The file outlives a QEMU that ended while libvirtd was dead.
	pids, err := l.group().child(host).processes()
	if err != nil {
		return 0, err
	}
	if !slices.Contains(pids, pid) {
		return 0, fmt.Errorf("guest %s on %s: its process %d has ended", guest, host, pid)
	}
	return pid, nil
}

// GuestHosts are the hosts on which the guest has a QEMU process.
func (l *Lab) GuestHosts(guest string) []string {
	var hosts []string
	for _, h := range l.Hosts() {
		if h.Role != RoleHypervisor {
			continue
		}
		if _, err := l.QEMUPID(h.Name, guest); err == nil {
			hosts = append(hosts, h.Name)
		}
	}
	return hosts
}

// VCPUThreads are the thread ids of a guest's vCPUs on a host, by vCPU number.
func (l *Lab) VCPUThreads(host, guest string) ([]int, error) {
	pid, err := l.QEMUPID(host, guest)
	if err != nil {
		return nil, err
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", pid))
	if err != nil {
		return nil, err
	}
	byVCPU := map[int]int{}
	for _, task := range tasks {
		comm, err := os.ReadFile(task)
		if err != nil {
			continue // ended meanwhile
		}
		var vcpu int
		var accelerator string
		if n, _ := fmt.Sscanf(string(comm), "CPU %d/%s", &vcpu, &accelerator); n != 2 {
			continue
		}
		tid, err := strconv.Atoi(filepath.Base(filepath.Dir(task)))
		if err != nil {
			return nil, err
		}
		byVCPU[vcpu] = tid
	}
	tids := make([]int, len(byVCPU))
	for vcpu, tid := range byVCPU {
		if vcpu >= len(tids) {
			return nil, fmt.Errorf("guest %s on %s: vCPU threads %v have a gap", guest, host, byVCPU)
		}
		tids[vcpu] = tid
	}
	return tids, nil
}

func hostRoot(holder Process) string { return fmt.Sprintf("/proc/%d/root", holder.PID) }

// guestNice is the priority of guests against the rest of the machine: a good
// deal above it, and below the daemons'.
const guestNice = "-10"

// FavourGuests raises the guests over whatever else runs on the machine, so
// that what they wait for is each other. Each QEMU is a session of its own; a
// migration starts a new one, so this is called again and again.
func (l *Lab) FavourGuests() {
	for _, g := range l.Guests() {
		for _, host := range l.GuestHosts(g.Name) {
			if pid, err := l.QEMUPID(host, g.Name); err == nil {
				_ = raiseAutogroup(pid, guestNice) // it may have ended a moment ago
			}
		}
	}
}
