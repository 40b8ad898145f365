package agent

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// disk makes a disk's counters: so many reads of 4 KiB and 2 ms, writes of
// 8 KiB and 5 ms, flushes of 10 ms.
func disk(target string, n uint64, s Storage) DiskStats {
	of := func(bytes uint64, each time.Duration) DiskCounters {
		return DiskCounters{Requests: n, Bytes: n * bytes, TimeNS: n * uint64(each)}
	}
	return DiskStats{
		Target: target, Path: "/images/" + target, Known: true, Storage: s,
		Read: of(4096, 2*time.Millisecond), Write: of(8192, 5*time.Millisecond), Flush: of(0, 10*time.Millisecond),
	}
}

// counted is what the kernel's block layer counted: n reads of 1 ms in the
// queue and 3 ms in the device.
func counted(n uint64) *bpf.BlockVM {
	vm := &bpf.BlockVM{Since: time.Unix(1, 0), By: bpf.BySubmitter}
	r := &vm.Ops[bpf.Read]
	r.Requests, r.Bytes, r.QueueNS, r.DeviceNS = n, n*4096, n*ms, 3*n*ms
	r.Device[bpf.Bucket(3*time.Millisecond)] = n
	r.Queue[bpf.Bucket(time.Millisecond)] = n
	return vm
}

var (
	local       = Storage{Backend: BackendLocal, Visible: true}
	behindCache = Storage{Backend: BackendLocal, Why: "through the host's page cache (cache=writeback)"}
	rbd         = Storage{Backend: BackendNetwork, Shared: true, Identity: "rbd mon1 vms", Why: "QEMU reaches it over the network itself (rbd)"}
)

func TestBlockFiguresComeFromOneLayer(t *testing.T) {
	for _, c := range []struct {
		name      string
		then, now vitals
		want      *cluster.Block // figures of reads, and where the disks lie
	}{
		{
			"all visible: the host's block layer, and what the guest saw beside it",
			vitals{block: counted(100), disks: []DiskStats{disk("vda", 100, local)}},
			vitals{block: counted(300), disks: []DiskStats{disk("vda", 290, local)}},
			&cluster.Block{Layer: cluster.LayerDevice, Backend: cluster.BackendLocal, Read: cluster.BlockFigures{
				Requests: 200, Bytes: 200 * 4096, Queue: time.Millisecond, Device: 3 * time.Millisecond, Guest: 2 * time.Millisecond,
			}},
		},
		{
			"behind the page cache: QEMU's figures, though the block layer saw some",
			vitals{block: counted(100), disks: []DiskStats{disk("vda", 100, behindCache)}},
			vitals{block: counted(101), disks: []DiskStats{disk("vda", 300, behindCache)}},
			&cluster.Block{
				Layer: cluster.LayerQEMU, Backend: cluster.BackendLocal, Hidden: "vda through the host's page cache (cache=writeback)",
				Read: cluster.BlockFigures{Requests: 200, Bytes: 200 * 4096, Guest: 2 * time.Millisecond},
			},
		},
		{
			"two disks, one of them on the network",
			vitals{block: counted(0), disks: []DiskStats{disk("vda", 0, local), disk("vdb", 0, rbd)}},
			vitals{block: counted(10), disks: []DiskStats{disk("vda", 10, local), disk("vdb", 30, rbd)}},
			&cluster.Block{
				Layer: cluster.LayerQEMU, Backend: cluster.BackendMixed, Shared: "rbd mon1 vms",
				Hidden: "vdb QEMU reaches it over the network itself (rbd)",
				Read:   cluster.BlockFigures{Requests: 40, Bytes: 40 * 4096, Guest: 2 * time.Millisecond},
			},
		},
		{
			"libvirt does not answer: the kernel alone, where the disks lie is unknown",
			vitals{block: counted(100)},
			vitals{block: counted(300)},
			&cluster.Block{Layer: cluster.LayerDevice, Backend: cluster.BackendUnknown, Read: cluster.BlockFigures{
				Requests: 200, Bytes: 200 * 4096, Queue: time.Millisecond, Device: 3 * time.Millisecond,
			}},
		},
		{"nothing is known", vitals{}, vitals{}, nil},
		{
			"a disk that came: QEMU's counters have no beginning",
			vitals{disks: []DiskStats{disk("vda", 1, rbd)}},
			vitals{disks: []DiskStats{disk("vda", 2, rbd), disk("vdb", 9, rbd)}},
			nil,
		},
		{
			"another image in the same drive",
			vitals{disks: []DiskStats{{Target: "sr0", Path: "/a.iso", Known: true}}},
			vitals{disks: []DiskStats{{Target: "sr0", Path: "/b.iso", Known: true}}},
			nil,
		},
		{
			"a QEMU that hangs is unknown, not idle",
			vitals{disks: []DiskStats{disk("vda", 5, rbd)}},
			vitals{disks: []DiskStats{{Target: "vda", Path: "/images/vda"}}},
			nil,
		},
		{
			"counters of another epoch",
			vitals{block: counted(100)},
			vitals{block: &bpf.BlockVM{Since: time.Unix(2, 0), By: bpf.BySubmitter}},
			nil,
		},
	} {
		got := blockOf(c.then, c.now)
		if (got == nil) != (c.want == nil) {
			t.Errorf("%s: %+v", c.name, got)
			continue
		}
		if got == nil {
			continue
		}
		read := got.Read
		read.P99 = 0
		if got.Layer != c.want.Layer || got.Backend != c.want.Backend || got.Shared != c.want.Shared || got.Hidden != c.want.Hidden || read != c.want.Read {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
		if got.Layer == cluster.LayerDevice && (got.Read.P99 < 2*time.Millisecond || got.Read.P99 > 4*time.Millisecond) {
			t.Errorf("%s: p99 of the device %v", c.name, got.Read.P99)
		}
	}
}

// A QEMU that reports nonsense costs its own details, not the host's snapshot.
func TestNonsenseIsLeftOut(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) { c.RunNS, c.WaitNS = 200*ms*s, 800*ms*s })
	mad := disk("vda", 2, local)
	mad.Read.TimeNS = 1 << 63
	g := gatherings{}
	g.add(gathering{at: time.Second, vms: map[string]vitals{vmID(0): {disks: []DiskStats{disk("vda", 1, local)}}}})
	g.add(gathering{at: 6 * time.Second, vms: map[string]vitals{vmID(0): {disks: []DiskStats{mad}}}})
	d := w.details(&g, facts(1))
	if d.Vitals != 5*time.Second || len(d.VMs) != 1 || d.VMs[0].Block != nil || d.VMs[0].Absurd() != "" {
		t.Errorf("%+v", d)
	}
}
