package libvirt

import (
	"strings"
	"testing"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/agent"
)

func param(field string, value any) golibvirt.TypedParam {
	return golibvirt.TypedParam{Field: field, Value: golibvirt.TypedParamValue{I: value}}
}

func TestDiskStatsFields(t *testing.T) {
	got, err := diskStats([]golibvirt.TypedParam{
		param("block.count", uint32(3)),
		param("block.0.name", "vda"), param("block.0.path", "/a.img"), param("block.0.backingIndex", uint32(3)),
		param("block.0.rd.reqs", uint64(1)), param("block.0.rd.bytes", uint64(2)), param("block.0.rd.times", uint64(3)),
		param("block.0.wr.reqs", uint64(4)), param("block.0.wr.bytes", uint64(5)), param("block.0.wr.times", uint64(6)),
		param("block.0.fl.reqs", uint64(7)), param("block.0.fl.times", uint64(8)), param("block.0.errors", int64(9)),
		param("block.0.later.field", "x"), param("state.state", int32(1)),
		param("block.1.name", "sda"), // an empty drive, or a QEMU that did not answer
	})
	want := []agent.DiskStats{{
		Target: "vda", Path: "/a.img", BackingIndex: 3, Known: true, Errors: 9,
		Read: agent.DiskCounters{Requests: 1, Bytes: 2, TimeNS: 3}, Write: agent.DiskCounters{Requests: 4, Bytes: 5, TimeNS: 6},
		Flush: agent.DiskCounters{Requests: 7, TimeNS: 8},
	}, {Target: "sda"}}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDiskStatsThatAreNone(t *testing.T) {
	for name, params := range map[string][]golibvirt.TypedParam{
		"too many":      {param("block.count", uint32(maxDisks+1))},
		"count is text": {param("block.count", "3")},
		"beyond count":  {param("block.count", uint32(1)), param("block.1.name", "vda")},
		"negative":      {param("block.count", uint32(1)), param("block.0.rd.reqs", int64(-1))},
		"text":          {param("block.count", uint32(1)), param("block.0.rd.reqs", "1")},
		"name":          {param("block.count", uint32(1)), param("block.0.name", uint64(1))},
	} {
		if got, err := diskStats(params); err == nil || !strings.Contains(err.Error(), "block.") {
			t.Errorf("%s: %+v, %v, want an error that names the field", name, got, err)
		}
	}
}

func TestDiskSources(t *testing.T) {
	got, err := diskSources(`<domain><devices>
  <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='/a.img'/><target dev='vda'/></disk>
  <disk type='block'><source dev='/dev/sdb'/><target dev='vdb'/></disk>
  <disk type='network'><driver cache='writeback'/><source protocol='rbd' name='pool/image'><host name='m1' port='6789'/><host name='::1' port='1'/></source><target dev='vdc'/></disk>
  <disk type='network'><source protocol='nbd'><host transport='unix' socket='/run/nbd'/></source><target dev='vdd'/></disk>
  <disk type='volume'><source pool='p' volume='v'/><target dev='vde'/></disk>
  <disk type='vhostuser'><source type='unix' path='/run/x'/><target dev='vdf'/></disk>
  <disk type='file' device='cdrom'><target dev='sda'/></disk>
</devices></domain>`)
	want := map[string]agent.DiskSource{
		"vda": {Type: "file", Path: "/a.img", Cache: "none"},
		"vdb": {Type: "block", Path: "/dev/sdb"},
		"vdc": {Type: "network", Protocol: "rbd", Name: "pool/image", Hosts: []string{"m1:6789", "[::1]:1"}, Cache: "writeback"},
		"vdd": {Type: "network", Protocol: "nbd", Hosts: []string{"/run/nbd"}},
		"vde": {Type: "volume"},
		"vdf": {Type: "vhostuser"},
		"sda": {Type: "file"},
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, text := range map[string]string{
		"not XML": "<domain", "too long": strings.Repeat(" ", maxXML+1),
		"too many": "<domain><devices>" + strings.Repeat("<disk type='file'><target dev='a'/></disk>", maxDisks+1) + "</devices></domain>",
	} {
		if _, err := diskSources(text); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if v := ofVolume(agent.DiskSource{Type: "volume"}, "/dev/vg/lv"); v.Type != "block" || v.Path != "/dev/vg/lv" {
		t.Errorf("a volume that is a device: %+v", v)
	}
	if v := ofVolume(agent.DiskSource{Type: "volume"}, "/pool/v"); v.Type != "file" || v.Path != "/pool/v" {
		t.Errorf("a volume that is a file: %+v", v)
	}
}
