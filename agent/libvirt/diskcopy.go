package libvirt

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// copyable reads what copying an image would take; ok is false if libvirt could
// not copy it to another host as it is: it is no file of this host's, has others
// below it, or is encrypted.
func copyable(l layer) (c cluster.DiskCopy, ok bool) {
	file := l.source.Path
	if l.media || l.tied || l.source.Type != "file" || !slices.Contains(cluster.DiskFormats, l.format) ||
		path.Clean(file) != file || word(file) != file || l.target == "" {
		return c, false
	}
	// Not through a link: the target would get the file under the link's name.
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() <= 0 {
		return c, false
	}
	st, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return c, false
	}
	const block = 512 // of st_blocks, whatever the file system's are
	c = cluster.DiskCopy{
		Target: l.target, Path: file, Format: l.format,
		Size: cluster.Bytes(info.Size()), Used: agent.CoarseUp(cluster.Bytes(st.Blocks) * block),
	}
	if l.format == "qcow2" {
		size, err := qcow2Size(file)
		if err != nil {
			return c, false
		}
		c.Size = size
	}
	return c, c.Size <= maxJobBytes && c.Used <= maxJobBytes
}

// The header of a qcow2 image, as far as it is read: magic, version, offset and
// length of the backing file's name, cluster bits, size, encryption, ...; version
// 3 has its features at 72 (docs/interop/qcow2.txt of QEMU's).
const (
	qcow2Magic        = 0x514649fb
	qcow2Header       = 80
	qcow2ExternalData = 1 << 2
)

var errNotAlone = errors.New("the image has others below it, or is encrypted")

// qcow2Size is the size of the disk that an image has for its guest.
func qcow2Size(file string) (cluster.Bytes, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var head [qcow2Header]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return 0, err
	}
	return parseQcow2(head)
}

func parseQcow2(head [qcow2Header]byte) (cluster.Bytes, error) {
	word := func(at int) uint32 { return binary.BigEndian.Uint32(head[at:]) }
	long := func(at int) uint64 { return binary.BigEndian.Uint64(head[at:]) }
	version, size := word(4), long(24)
	switch {
	case word(0) != qcow2Magic || version != 2 && version != 3:
		return 0, errors.New("it is no qcow2 image")
	case long(8) != 0 || word(32) != 0 || version == 3 && long(72)&qcow2ExternalData != 0:
		return 0, errNotAlone
	case size == 0 || size > maxJobBytes:
		return 0, errors.New("its size is absurd")
	}
	return cluster.Bytes(size), nil
}
