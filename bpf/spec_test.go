package bpf

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
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
	if iter := spec.Programs[openProgram]; iter == nil || iter.Type != ebpf.Tracing || iter.AttachType != ebpf.AttachTraceIter {
		t.Errorf("iterator: %+v", iter)
	}
	if move := spec.Programs[migrateProgram]; move == nil || move.Type != ebpf.Tracing || move.AttachTo != "sched_migrate_task" {
		t.Errorf("program: %+v", move)
	}
	known := map[string]ebpf.MapType{
		"slots": ebpf.Array, "threads": ebpf.Array, "opens": ebpf.Array, "cpus": ebpf.Array, "matrix": ebpf.Array, "lost": ebpf.Array,
		".rodata": ebpf.Array,
	}
	for name, m := range spec.Maps {
		if m.Type != known[name] || m.MaxEntries == 0 {
			t.Errorf("map %s: %+v", name, m)
		}
		delete(known, name)
	}
	if len(known) != 0 {
		t.Errorf("the object has no %v", known)
	}
}

// A kernel that lacks what the program reads is told from one that has it by
// its own types, and the error names the option that it was built without.
func TestKernelsThatLackSomething(t *testing.T) {
	word := &btf.Int{Name: "u64", Size: 8}
	with := func(name string, members ...string) btf.Type {
		s := &btf.Struct{Name: name, Size: uint32(8 * len(members))}
		for i, m := range members {
			s.Members = append(s.Members, btf.Member{Name: m, Type: word, Offset: btf.Bits(64 * i)})
		}
		return s
	}
	info, entity, queue := with("sched_info", "run_delay", "last_queued"), with("sched_entity", "cfs_rq"), with("cfs_rq", "load", "rq")
	for name, c := range map[string]struct {
		types []btf.Type
		want  string // "" for nothing
	}{
		"all":               {[]btf.Type{info, entity, queue}, ""},
		"no accounts":       {[]btf.Type{entity, queue}, "CONFIG_SCHED_INFO"},
		"no last_queued":    {[]btf.Type{with("sched_info", "run_delay"), entity, queue}, "CONFIG_SCHED_INFO"},
		"no group's queues": {[]btf.Type{info, with("sched_entity", "load"), queue}, "CONFIG_FAIR_GROUP_SCHED"},
		"no way to the CPU": {[]btf.Type{info, entity, with("cfs_rq", "load")}, "CONFIG_FAIR_GROUP_SCHED"},
	} {
		b, err := btf.NewBuilder(c.types, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := b.Marshal(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		err = lacks(spec)
		if c.want == "" && err == nil {
			continue
		}
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.want) || c.want == "" {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

// The Go side of every shared struct is the C side, by the object's own BTF:
// each member's place, in arrays of structs too.
func TestSharedLayouts(t *testing.T) {
	spec, err := loadSched()
	if err != nil {
		t.Fatal(err)
	}
	for name, mirror := range map[string]reflect.Type{
		"ek_thread": reflect.TypeFor[record](), "ek_open": reflect.TypeFor[openRecord](), "ek_cpu": reflect.TypeFor[cpuRecord](),
		"ek_slots": reflect.TypeFor[schedEkSlots](),
	} {
		var c *btf.Struct
		if err := spec.Types.TypeByName(name, &c); err != nil {
			t.Fatal(err)
		}
		sameLayout(t, name, c, mirror)
	}
}

func sameLayout(t *testing.T, at string, c btf.Type, mirror reflect.Type) {
	t.Helper()
	size, err := btf.Sizeof(c)
	if err != nil || size != int(mirror.Size()) {
		t.Errorf("%s: size %d in C, %d in Go (%v)", at, size, mirror.Size(), err)
	}
	switch c := btf.UnderlyingType(c).(type) {
	case *btf.Array:
		if mirror.Kind() != reflect.Array || int(c.Nelems) != mirror.Len() {
			t.Errorf("%s: %d elements in C, %v in Go", at, c.Nelems, mirror)
			return
		}
		sameLayout(t, at+"[]", c.Type, mirror.Elem())
	case *btf.Struct:
		fields := map[string]reflect.StructField{}
		for i := range mirror.NumField() {
			if f := mirror.Field(i); f.Name != "_" {
				fields[strings.ToLower(f.Name)] = f
			}
		}
		for _, m := range c.Members {
			name := strings.ReplaceAll(m.Name, "_", "")
			f, known := fields[name]
			if !known || m.Offset.Bytes() != uint32(f.Offset) {
				t.Errorf("%s.%s at %d in C, %d in Go", at, m.Name, m.Offset.Bytes(), f.Offset)
				continue
			}
			delete(fields, name)
			sameLayout(t, at+"."+m.Name, m.Type, f.Type)
		}
		if len(fields) != 0 {
			t.Errorf("%s: C does not have %v", at, fields)
		}
	}
}

// The constants that both sides use are the same on both.
func TestSharedConstants(t *testing.T) {
	spec, err := loadSched()
	if err != nil {
		t.Fatal(err)
	}
	var level *btf.Enum
	if err := spec.Types.TypeByName("ek_level", &level); err != nil {
		t.Fatal(err)
	}
	for i, v := range level.Values {
		if want := strings.ToLower(strings.TrimPrefix(v.Name, "EK_LEVEL_")); v.Value != uint64(i) || i < int(levels) && want != Level(i).String() {
			t.Errorf("level %d is %q here, %s = %d in C", i, Level(i), v.Name, v.Value)
		}
	}
	if len(level.Values) != int(levels)+1 { // and off
		t.Errorf("levels in C: %v", level.Values)
	}
	if unsampled >= len(record{}.Split) {
		t.Errorf("cell %d for what was not sampled, %d cells", unsampled, len(record{}.Split))
	}
}

// decode, decodeOpen and begin place every field where the struct has it.
func TestDecodeIsTheStruct(t *testing.T) {
	raw := make([]byte, recordSize)
	for i := range raw {
		raw[i] = byte(i*7 + i>>8)
	}
	want := *(*record)(unsafe.Pointer(&raw[0]))
	if got := decode(raw); got != want {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
	if got, want := decodeOpen(raw), *(*openRecord)(unsafe.Pointer(&raw[0])); got != want {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
	got := decode(begin(11, 22, 33, baseline{execNS: 44, delayNS: 55, waits: 66, known: true}))
	if want := (record{Tid: 11, Tgid: 22, Who: 33, Exec: 44, Accounted: 55, Pcount: 66, Seen: seenAll}); got != want {
		t.Errorf("begin: %+v, want %+v", got, want)
	}
	if got := decode(begin(11, 22, 33, baseline{})); got != (record{Tid: 11, Tgid: 22, Who: 33}) {
		t.Errorf("begin without a baseline: %+v", got)
	}
}
