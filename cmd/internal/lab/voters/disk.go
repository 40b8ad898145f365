package voters

import (
	"fmt"
	"os"
)

// Disk is what a member's data directory lies on.
type Disk struct {
	kind  string // "": a folder like any other
	bytes int64
}

// Plain is a folder.
var Plain = Disk{}

// Ext4 is a file system of its own in a file, which can be frozen.
var Ext4 = Disk{"ext4", 64 << 20}

// Tmpfs is a file system in memory, which holds so many bytes and can be full.
func Tmpfs(bytes int64) Disk { return Disk{"tmpfs", bytes} }

// mount puts the disk at a folder, in the namespace of the calling thread.
func (d Disk) mount(at string) error {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	switch d.kind {
	case "ext4":
		image := at + ".ext4"
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			return err
		}
		if err := os.Truncate(image, d.bytes); err != nil {
			return err
		}
		if err := command("mkfs.ext4", "-q", "-F", image); err != nil {
			return err
		}
		return command("mount", "-o", "loop", image, at)
	case "tmpfs":
		return command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0700", d.bytes), "tmpfs", at)
	}
	return nil
}
