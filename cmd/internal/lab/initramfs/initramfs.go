// Package initramfs writes the guests' root file system: a cpio archive in the
// "newc" format that every Linux kernel unpacks at boot, holding one static
// program as /init, kernel modules for it to load, and the few directories and
// the console that it needs.
// Written here, for it is sixty lines and saves the dependency on cpio(1).
package initramfs

import (
	"fmt"
	"io"
	"strings"
)

// File modes of the archive, from inode(7).
const (
	modeDir  = 0o040755
	modeExec = 0o100755
	modeFile = 0o100644
	modeChar = 0o020600
)

type entry struct {
	name         string
	mode         uint32
	data         []byte
	major, minor uint32 // of a device
}

// Module is a kernel module, to lie in /modules.
type Module struct {
	Name string
	Data []byte
}

// Write writes an archive with program as /init. The same arguments give the
// same bytes.
func Write(w io.Writer, program []byte, modules ...Module) error {
	if len(program) == 0 {
		return fmt.Errorf("initramfs: /init is empty")
	}
	entries := []entry{
		{name: "dev", mode: modeDir},
		// The kernel opens /dev/console for init before devtmpfs is mounted.
		{name: "dev/console", mode: modeChar, major: 5, minor: 1},
		{name: "proc", mode: modeDir},
		{name: "sys", mode: modeDir},
		{name: "init", mode: modeExec, data: program},
		{name: "modules", mode: modeDir},
	}
	for _, m := range modules {
		if m.Name == "" || strings.ContainsAny(m.Name, "/\x00") {
			return fmt.Errorf("initramfs: module %q has no plain file name", m.Name)
		}
		entries = append(entries, entry{name: "modules/" + m.Name, mode: modeFile, data: m.Data})
	}
	entries = append(entries, entry{name: "TRAILER!!!"})
	for i, e := range entries {
		if err := e.write(w, uint32(i+1)); err != nil {
			return fmt.Errorf("initramfs: %s: %w", e.name, err)
		}
	}
	return nil
}

// write appends one member: a header of 110 ASCII bytes, the name with its
// NUL, and the data, each padded to a multiple of four.
func (e entry) write(w io.Writer, inode uint32) error {
	links, size, nameSize := uint32(1), len(e.data), len(e.name)+1
	if _, err := fmt.Fprintf(w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		inode, e.mode, 0, 0, links, 0, size, 0, 0, e.major, e.minor, nameSize, 0); err != nil {
		return err
	}
	if err := padded(w, append([]byte(e.name), 0), 110); err != nil {
		return err
	}
	return padded(w, e.data, 0)
}

func padded(w io.Writer, data []byte, before int) error {
	if _, err := w.Write(data); err != nil {
		return err
	}
	_, err := w.Write(make([]byte, -(before+len(data))&3))
	return err
}
