package libvirt

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/agent"
)

func qcow2Head(change func(head []byte)) (head [qcow2Header]byte) {
	binary.BigEndian.PutUint32(head[0:], qcow2Magic)
	binary.BigEndian.PutUint32(head[4:], 3)
	binary.BigEndian.PutUint64(head[24:], 1<<30)
	change(head[:])
	return head
}

func TestParseQcow2(t *testing.T) {
	if size, err := parseQcow2(qcow2Head(func([]byte) {})); size != 1<<30 || err != nil {
		t.Errorf("%d, %v", size, err)
	}
	// In a version 2 header something else is where version 3 has its features.
	if _, err := parseQcow2(qcow2Head(func(h []byte) { h[7], h[79] = 2, qcow2ExternalData })); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func([]byte){
		"a backing file":       func(h []byte) { h[15] = 0x70 },
		"encrypted":            func(h []byte) { h[35] = 2 },
		"its data elsewhere":   func(h []byte) { h[79] = qcow2ExternalData },
		"another magic":        func(h []byte) { h[0] = 'X' },
		"a version to come":    func(h []byte) { h[7] = 4 },
		"no size":              func(h []byte) { clear(h[24:32]) },
		"a size beyond bounds": func(h []byte) { h[24] = 0xff },
	} {
		size, err := parseQcow2(qcow2Head(change))
		if err == nil {
			t.Errorf("%s was taken, of %d bytes", name, size)
		}
		if alone := errors.Is(err, errNotAlone); alone != (name == "a backing file" || name == "encrypted" || name == "its data elsewhere") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Only a plain file of the guest's own is copied.
func TestCopyable(t *testing.T) {
	dir := t.TempDir()
	file, link, empty, short := filepath.Join(dir, "a.raw"), filepath.Join(dir, "b.raw"), filepath.Join(dir, "c.raw"), filepath.Join(dir, "d.qcow2")
	for path, size := range map[string]int{file: 1 << 20, empty: 0, short: 10} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	good := layer{target: "vda", format: "raw", source: agent.DiskSource{Type: "file", Path: file}}
	c, ok := copyable(good)
	if !ok || c.Target != "vda" || c.Path != file || c.Format != "raw" || c.Size != 1<<20 || c.Used > 2<<20 {
		t.Errorf("%+v, %v", c, ok)
	}
	for name, change := range map[string]func(*layer){
		"a medium":        func(l *layer) { l.media = true },
		"one with others": func(l *layer) { l.tied = true },
		"a device":        func(l *layer) { l.source.Type = "block" },
		"another format":  func(l *layer) { l.format = "vmdk" },
		"no format":       func(l *layer) { l.format = "" },
		"no target":       func(l *layer) { l.target = "" },
		"a link":          func(l *layer) { l.source.Path = link },
		"a directory":     func(l *layer) { l.source.Path = dir },
		"an empty file":   func(l *layer) { l.source.Path = empty },
		"no file":         func(l *layer) { l.source.Path = file + ".gone" },
		"no plain path":   func(l *layer) { l.source.Path = dir + "/./a.raw" },
		"no qcow2":        func(l *layer) { l.format = "qcow2" },
		"a torn qcow2":    func(l *layer) { l.format, l.source.Path = "qcow2", short },
	} {
		l := good
		change(&l)
		if c, ok := copyable(l); ok {
			t.Errorf("%s would be copied: %+v", name, c)
		}
	}
}

// What the definition says of a disk decides whether it can be copied alone.
func TestLayersToCopy(t *testing.T) {
	const disk = `<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='/images/a.qcow2'/>%<target dev='vda' bus='virtio'/></disk>`
	for more, tied := range map[string]bool{
		"":                false,
		"<backingStore/>": false,
		"<backingStore type='file'><format type='raw'/><source file='/images/base.raw'/><backingStore/></backingStore>": true,
		"<shareable/>": true,
		"<transient/>": true,
		"<encryption format='luks'><secret type='passphrase' uuid='11111111-1111-4111-8111-111111111111'/></encryption>": true,
	} {
		text := `<domain type='kvm'><name>a</name><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>` + strings.Replace(disk, "%", more, 1) + `</devices></domain>`
		w, err := parseNeed(text)
		if err != nil || len(w.layers) == 0 {
			t.Fatalf("%s: %v", more, err)
		}
		if l := w.layers[0]; l.tied != tied || l.format != "qcow2" || l.media {
			t.Errorf("%s: %+v, want tied %v", more, l, tied)
		}
	}
}
