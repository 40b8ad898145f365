package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Disks that are served listen beside the bridge, each at a port of its own.
const (
	firstDiskPort = 10809
	diskExport    = "disk"
)

// diskPort is a port that no guest's disk has, 0 if the disk is not served.
func (m *Manifest) diskPort(d *Disk) int {
	if d == nil || !d.Served {
		return 0
	}
	port := firstDiskPort
	for slices.ContainsFunc(m.Guests, func(g GuestState) bool { return g.DiskPort == port }) {
		port++
	}
	return port
}

// serveDisk starts the server of a guest's disk, and waits until it listens.
func (l *Lab) serveDisk(ctx context.Context, g GuestState) error {
	if g.DiskPort == 0 {
		return nil
	}
	log, ready := filepath.Join(l.guestDir(g.Name), "nbd.log"), filepath.Join(l.guestDir(g.Name), "nbd.pid")
	p, err := spawn(ctx, l.group().child(switchName), log,
		"nsenter", "--target", strconv.Itoa(l.manifestCopy().Switch.PID), "--net", "--",
		"qemu-nbd", "--bind", switchAddress, "--port", strconv.Itoa(g.DiskPort), "--export-name", diskExport,
		"--persistent", "--shared", "0", "--format", "raw", "--pid-file", ready, l.imagePath(g))
	if err != nil {
		return err
	}
	err = l.record(func(m *Manifest) {
		m.Guests = slices.Clone(m.Guests) // copies of the manifest share the old one
		for i := range m.Guests {
			if m.Guests[i].Name == g.Name {
				m.Guests[i].DiskServer = p
			}
		}
	})
	if err != nil {
		return err
	}
	return poll(ctx, 20*time.Millisecond, "server of the disk of "+g.Name, func() (bool, error) {
		if !p.Alive() {
			return false, fmt.Errorf("it ended%s", logTail(log))
		}
		_, err := os.Stat(ready) // written when it listens
		return err == nil, nil
	})
}
