package initramfs

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"testing"
)

type member struct {
	name, data       string
	mode, rmaj, rmin uint64
}

// parse reads newc back the way the kernel's unpacker does (init/initramfs.c).
func parse(t *testing.T, b []byte) []member {
	t.Helper()
	var members []member
	for at := 0; ; {
		if string(b[at:at+6]) != "070701" {
			t.Fatalf("offset %d: no magic", at)
		}
		field := func(i int) uint64 {
			v, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		size, nameSize := int(field(6)), int(field(11))
		name := b[at+110 : at+110+nameSize]
		if name[nameSize-1] != 0 {
			t.Fatalf("offset %d: name without NUL", at)
		}
		dataAt := (at + 110 + nameSize + 3) &^ 3
		m := member{name: string(name[:nameSize-1]), data: string(b[dataAt : dataAt+size]), mode: field(1), rmaj: field(9), rmin: field(10)}
		members = append(members, m)
		at = (dataAt + size + 3) &^ 3
		if m.name == "TRAILER!!!" {
			if at != len(b) {
				t.Fatalf("%d bytes after the trailer", len(b)-at)
			}
			return members
		}
	}
}

func TestArchiveHoldsModulesInOrder(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, []byte("x"), Module{"00-ring.ko", []byte("one")}, Module{"01-blk.ko", []byte("two")}); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range parse(t, b.Bytes()) {
		if m.mode == modeFile {
			found = append(found, m.name+"="+m.data)
		}
	}
	if want := []string{"modules/00-ring.ko=one", "modules/01-blk.ko=two"}; !slices.Equal(found, want) {
		t.Errorf("files %q, want %q", found, want)
	}
	for _, name := range []string{"", "../init", "a\x00b"} {
		if err := Write(io.Discard, []byte("x"), Module{Name: name}); err == nil {
			t.Errorf("a module named %q was taken", name)
		}
	}
}

func TestArchiveHoldsInitAndConsole(t *testing.T) {
	for _, program := range []string{"x", "four", "\x7fELF five"} {
		var b bytes.Buffer
		if err := Write(&b, []byte(program)); err != nil {
			t.Fatal(err)
		}
		found := map[string]member{}
		for _, m := range parse(t, b.Bytes()) {
			found[m.name] = m
		}
		if init := found["init"]; init.data != program || init.mode != 0o100755 {
			t.Errorf("init is %+v", init)
		}
		if c := found["dev/console"]; c.mode != 0o020600 || c.rmaj != 5 || c.rmin != 1 {
			t.Errorf("dev/console is %+v", c)
		}
		for _, dir := range []string{"dev", "proc", "sys"} {
			if found[dir].mode != 0o040755 {
				t.Errorf("%s is %+v", dir, found[dir])
			}
		}
	}
}

func TestSameProgramSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	if err := Write(&a, []byte("init")); err != nil {
		t.Fatal(err)
	}
	if err := Write(&b, []byte("init")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two archives of one program differ")
	}
}

func TestEmptyInitIsRefused(t *testing.T) {
	if err := Write(&bytes.Buffer{}, nil); err == nil {
		t.Error("an archive without a program was written")
	}
}
