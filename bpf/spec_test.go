package bpf

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// The object parses without any privilege; its hook and its maps are what
// Open expects, and every map is bounded.
func TestObject(t *testing.T) {
	spec, err := loadSched()
	if err != nil {
		t.Fatal(err)
	}
	prog := spec.Programs["ek_sched_switch"]
	if prog == nil || prog.Type != ebpf.Tracing || prog.AttachType != ebpf.AttachTraceRawTp || prog.AttachTo != "sched_switch" {
		t.Errorf("program: %+v", prog)
	}
	for _, name := range []string{"slots", "threads", "lost"} {
		m := spec.Maps[name]
		if m == nil || m.Type != ebpf.Array || m.MaxEntries == 0 {
			t.Errorf("map %s: %+v", name, m)
		}
	}
	if len(spec.Maps) != 3 {
		t.Errorf("%d maps, the test knows of 3", len(spec.Maps))
	}
}

// The Go side of the shared struct is the C side, by the object's own BTF.
func TestSharedLayout(t *testing.T) {
	spec, err := loadSched()
	if err != nil {
		t.Fatal(err)
	}
	var c *btf.Struct
	if err := spec.Types.TypeByName("ek_thread", &c); err != nil {
		t.Fatal(err)
	}
	if int(c.Size) != recordSize {
		t.Errorf("size %d in C, %d in Go", c.Size, recordSize)
	}
	var r record
	offsets := map[string]uintptr{
		"wait_ns": unsafe.Offsetof(r.WaitNs), "run_ns": unsafe.Offsetof(r.RunNs), "waits": unsafe.Offsetof(r.Waits),
		"accounted": unsafe.Offsetof(r.Accounted), "exec": unsafe.Offsetof(r.Exec), "switched_in": unsafe.Offsetof(r.SwitchedIn),
		"tid": unsafe.Offsetof(r.Tid), "tgid": unsafe.Offsetof(r.Tgid), "seen": unsafe.Offsetof(r.Seen),
		"pcount": unsafe.Offsetof(r.Pcount), "latency": unsafe.Offsetof(r.Latency),
	}
	for _, m := range c.Members {
		at, known := offsets[m.Name]
		if !known || m.Offset.Bytes() != uint32(at) {
			t.Errorf("member %s at %d in C, %d in Go", m.Name, m.Offset.Bytes(), at)
		}
		delete(offsets, m.Name)
	}
	if len(offsets) != 0 {
		t.Errorf("members that C does not have: %v", offsets)
	}
}

// decode and begin place every field where the struct has it.
func TestDecodeIsTheStruct(t *testing.T) {
	raw := make([]byte, recordSize)
	for i := range raw {
		raw[i] = byte(i*7 + i>>8)
	}
	want := *(*record)(unsafe.Pointer(&raw[0]))
	if got := decode(raw); got != want {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
	b := decode(begin(11, 22, true))
	if b.Tid != 11 || b.Tgid != 22 || b.Seen != seenAll {
		t.Errorf("begin: %+v", b)
	}
}
