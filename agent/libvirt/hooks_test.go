package libvirt

import (
	"strings"
	"testing"
	"testing/fstest"
)

// Hooks are told apart by names and content, and by nothing else.
func TestHooksOf(t *testing.T) {
	program := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o755} }
	base := func() fstest.MapFS {
		return fstest.MapFS{
			"etc/libvirt/hooks/qemu":            program("#!/bin/sh\nexit 0\n"),
			"etc/libvirt/hooks/qemu.d/10-route": program("#!/bin/sh\nip route\n"),
		}
	}
	of := func(files fstest.MapFS) string {
		t.Helper()
		text, err := hooksOf(files)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	same := of(base())
	if !strings.HasPrefix(same, "2 programs ") {
		t.Errorf("named %q", same)
	}
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		same   bool
	}{
		"nothing":         {func(fstest.MapFS) {}, true},
		"a note":          {func(f fstest.MapFS) { f["etc/libvirt/hooks/README"] = &fstest.MapFile{Data: []byte("x"), Mode: 0o644} }, true},
		"another folder":  {func(f fstest.MapFS) { f["etc/libvirt/hooks/old/qemu"] = program("x") }, true},
		"another content": {func(f fstest.MapFS) { f["etc/libvirt/hooks/qemu"] = program("#!/bin/sh\nexit 1\n") }, false},
		"another name": {func(f fstest.MapFS) {
			f["etc/libvirt/hooks/lxc"] = f["etc/libvirt/hooks/qemu"]
			delete(f, "etc/libvirt/hooks/qemu")
		}, false},
		"one script more": {func(f fstest.MapFS) { f["etc/libvirt/hooks/qemu.d/20"] = program("x") }, false},
		"one that is off": {func(f fstest.MapFS) { f["etc/libvirt/hooks/qemu.d/10-route"].Mode = 0o644 }, false},
		"text between them": {func(f fstest.MapFS) {
			f["etc/libvirt/hooks/qemu"] = program("#!/bin/sh\nexit 0\n#!/bin/sh\nip route\n")
			f["etc/libvirt/hooks/qemu.d/10-route"] = program("")
		}, false},
	} {
		files := base()
		c.change(files)
		if got := of(files); (got == same) != c.same {
			t.Errorf("%s: named %q, before %q", name, got, same)
		}
	}
	if got := of(fstest.MapFS{}); got != "none" {
		t.Errorf("without any it is named %q", got)
	}
	files := base()
	files["etc/libvirt/hooks/qemu"] = program(strings.Repeat("x", maxHookSize+1))
	if text, err := hooksOf(files); err == nil || !strings.Contains(err.Error(), "/etc/libvirt/hooks/qemu") {
		t.Errorf("one beyond the bound: %q, %v", text, err)
	}
}
