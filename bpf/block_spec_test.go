package bpf

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// The object parses without any privilege; its hooks and maps are what OpenBlock
// expects.
func TestBlockObject(t *testing.T) {
	spec, err := loadBlock()
	if err != nil {
		t.Fatal(err)
	}
	hooks := map[string]string{
		completeProgram: "block_rq_complete", submitProgram: "block_io_start", submitBioProgram: "block_getrq",
		submitBioQueueProgram: "block_getrq", issueProgram: "block_rq_issue", issueQueueProgram: "block_rq_issue",
	}
	for name, p := range spec.Programs {
		if p.Type != ebpf.Tracing || p.AttachType != ebpf.AttachTraceRawTp || p.AttachTo != hooks[name] {
			t.Errorf("%s: %v on %q, want %q", name, p.Type, p.AttachTo, hooks[name])
		}
		delete(hooks, name)
	}
	if len(hooks) != 0 {
		t.Errorf("the object has no %v", hooks)
	}
	for name, typ := range map[string]ebpf.MapType{
		"records": ebpf.Array, "cpus": ebpf.Array, "lost": ebpf.Array, "serials": ebpf.Array, "cgroups": ebpf.Hash, "owners": ebpf.Hash, "flights": ebpf.LRUHash,
	} {
		if m := spec.Maps[name]; m == nil || m.Type != typ || m.MaxEntries == 0 {
			t.Errorf("map %s: %+v, want %v", name, m, typ)
		}
	}
}

// The Go side of the shared structs is the C side, by the object's own BTF.
func TestBlockSharedLayouts(t *testing.T) {
	spec, err := loadBlock()
	if err != nil {
		t.Fatal(err)
	}
	for name, mirror := range map[string]reflect.Type{
		"ek_block_vm": reflect.TypeFor[blockEkBlockVm](), "ek_block_cpu": reflect.TypeFor[blockEkBlockCpu](),
		"ek_block_owner": reflect.TypeFor[blockEkBlockOwner](),
	} {
		var c *btf.Struct
		if err := spec.Types.TypeByName(name, &c); err != nil {
			t.Fatal(err)
		}
		if int(c.Size) != int(mirror.Size()) {
			t.Errorf("%s: %d bytes in C, %d in Go", name, c.Size, mirror.Size())
		}
	}
	if blockBuckets < Buckets {
		t.Errorf("%d cells for %d buckets", blockBuckets, Buckets)
	}
	var e *btf.Enum
	if err := spec.Types.TypeByName("ek_block_lost", &e); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, v := range e.Values {
		if v.Value != uint64(i) {
			t.Errorf("%s is %d", v.Name, v.Value)
		}
		got = append(got, strings.ToLower(strings.TrimPrefix(v.Name, "EK_BLOCK_")))
	}
	// As readLost has them.
	if want := []string{"absurd", "future", "early", "untimed", "unsplit", "full", "lost_cells"}; !slices.Equal(got, want) {
		t.Errorf("lost cells %v, want %v", got, want)
	}
}

// decodeBlock places every field where the struct has it.
func TestDecodeBlock(t *testing.T) {
	raw := make([]byte, blockRecordSize)
	for i := range len(raw) / 8 {
		binary.LittleEndian.PutUint64(raw[8*i:], uint64(i)*0x9e3779b97f4a7c15)
	}
	var want blockEkBlockVm
	if _, err := binary.Decode(raw, binary.LittleEndian, &want); err != nil {
		t.Fatal(err)
	}
	for op, got := range decodeBlock(raw) {
		w, h := want.Sums[op], want.Latency[op]
		if got.Requests != w.Requests || got.Bytes != w.Bytes || got.Errors != w.Errors || got.QueueNS != w.QueueNs || got.DeviceNS != w.DeviceNs ||
			got.Queue != Histogram(h.Queue[:Buckets]) || got.Device != Histogram(h.Device[:Buckets]) {
			t.Errorf("%s: %+v, want %+v and %+v", Operation(op), got, w, h)
		}
	}
}

func TestBlockOptions(t *testing.T) {
	for _, o := range []BlockOptions{{MaxVMs: -1}, {MaxVMs: maxVMs + 1}, {MaxFlights: -1}, {MaxFlights: maxFlights + 1}} {
		if _, err := OpenBlock(o); err == nil || !strings.Contains(err.Error(), "Max") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if vms, flights, err := (BlockOptions{}).sizes(); vms != defaultVMs || flights != defaultFlights || err != nil {
		t.Errorf("defaults %d, %d, %v", vms, flights, err)
	}
	b := newBlock(1, 1)
	for _, target := range []BlockTarget{{PID: 1}, {VM: "a", PID: -1}, {VM: "a", PID: maxPID + 1}} {
		if err := b.Track(target); err == nil {
			t.Errorf("%+v is tracked", target)
		}
	}
}

func TestMapperMajor(t *testing.T) {
	for text, want := range map[string]uint32{
		"Character devices:\n 10 misc\n\nBlock devices:\n  7 loop\n253 device-mapper\n": 253,
		"Character devices:\n253 device-mapper\n\nBlock devices:\n  7 loop\n":           0,
		"": 0,
	} {
		path := filepath.Join(t.TempDir(), "devices")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := mapperMajor(path); got != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "devices")
	if err := os.WriteFile(path, []byte("Block devices:\n99999 device-mapper\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := mapperMajor(path); err == nil {
		t.Errorf("a major number beyond all is %d", got)
	}
}

// How VMs are told: alone in a cgroup by it, else by the process; a VM without
// either is counted for nobody.
func TestBlockAttribution(t *testing.T) {
	b := newBlock(1, 1)
	b.submit, b.features = submitProgram, []Feature{{Name: FeatureBlockCgroup, On: true}}
	for _, c := range []struct {
		v     blockVM
		alone bool
		want  Attribution
	}{
		{blockVM{pid: 1, cgroup: 2}, true, ByCgroup},
		{blockVM{pid: 1, cgroup: 2}, false, BySubmitter},
		{blockVM{pid: 1, cgroup: 2, stacked: true}, true, BySubmitter},
		{blockVM{pid: 1}, true, BySubmitter},
		{blockVM{cgroup: 2}, true, ByCgroup},
		{blockVM{cgroup: 2}, false, ByNobody},
	} {
		if got := b.attribution(&c.v, c.alone); got != c.want {
			t.Errorf("%+v alone %v: by %s, want %s", c.v, c.alone, got, c.want)
		}
	}
	b.features, b.submit = nil, ""
	if got := b.attribution(&blockVM{pid: 1, cgroup: 2}, true); got != ByNobody {
		t.Errorf("on a kernel with neither: by %s", got)
	}
}

func TestBlockCountersArithmetic(t *testing.T) {
	a := BlockCounters{Requests: 5, Bytes: 50, Errors: 1, QueueNS: 10, DeviceNS: 30}
	a.Device[Bucket(time.Microsecond)], a.Queue[0] = 4, 4
	if got := a.MeanNS(); got != 10 {
		t.Errorf("mean %v of 40 ns over 4 timed requests", got)
	}
	if got := a.Sub(a); got != (BlockCounters{}) || got.MeanNS() != 0 {
		t.Errorf("nothing is %+v", got)
	}
}
