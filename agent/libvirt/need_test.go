package libvirt

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// fullDomain has something of everything that ties a VM.
const fullDomain = `<domain type='kvm' id='3'>
  <name>db</name>
  <metadata><app:app xmlns:app="urn:x"><inner xmlns="http://ovirt.org/vm/1.0"/></app:app>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"/></metadata>
  <memory unit='GiB'>4</memory>
  <memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages></memoryBacking>
  <vcpu placement='static' cpuset='0-3'>4</vcpu>
  <cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='1' cpuset='1'/><emulatorpin cpuset='0-1'/></cputune>
  <numatune><memory mode='strict' nodeset='0'/></numatune>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/var/lib/libvirt/qemu/nvram/db_VARS.fd</nvram></os>
  <cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC</model>
    <feature policy='require' name='x2apic'/><feature policy='disable' name='svm'/><feature policy='optional' name='odd'/></cpu>
  <launchSecurity type='sev'><policy>0x3</policy></launchSecurity>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='/vms/db.qcow2' index='2'/>
      <backingStore type='file' index='3'><format type='qcow2'/><source file='/base/debian.qcow2'/><backingStore/></backingStore><target dev='vda'/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='vms/db'><host name='mon1' port='6789'/><auth username='u'><secret type='ceph' uuid='00000000-0000-4000-8000-0000000000aa'/></auth></source><target dev='vdb'/></disk>
    <disk type='file' device='cdrom'><source file='/iso/seed.iso'/><target dev='sda'/><readonly/></disk>
    <disk type='file' device='cdrom'><target dev='sdb'/><readonly/></disk>
    <disk type='block' device='disk'><source dev='/dev/mapper/mpatha'/><target dev='vdc'/></disk>
    <disk type='volume' device='disk'><source pool='fast' volume='v1'/><target dev='vdd'/></disk>
    <interface type='bridge'><source bridge='br0'/></interface>
    <interface type='bridge'><source bridge='br0'/></interface>
    <interface type='network'><source network='prod' portid='x' bridge='virbr9'/></interface>
    <interface type='direct'><source dev='eth1' mode='bridge'/></interface>
    <interface type='hostdev' managed='yes'><source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x1'/></source></interface>
    <interface type='hostdev' managed='yes'><source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x2'/></source><teaming type='transient' persistent='ua-a'/></interface>
    <interface type='vhostuser'><source type='unix' path='/tmp/v' mode='server'/></interface>
    <interface type='user'/>
    <hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></source></hostdev>
    <hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0xbeef'/></source></hostdev>
    <filesystem type='mount'><driver type='virtiofs'/><source dir='/srv/data'/><target dir='data'/></filesystem>
    <shmem name='shm0'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
    <graphics type='vnc' port='5900' listen='10.0.0.7'><listen type='address' address='10.0.0.7'/></graphics>
    <graphics type='spice' port='5901' listen='127.0.0.1'><listen type='address' address='127.0.0.1'/></graphics>
    <serial type='tcp'><source mode='bind' host='10.0.0.8' service='4555'/><protocol type='raw'/></serial>
    <memory model='nvdimm'><source><path>/tmp/nvdimm</path></source><target><size unit='KiB'>524288</size><node>0</node></target></memory>
  </devices>
</domain>`

func TestNeedOfEverything(t *testing.T) {
	w, err := parseNeed(fullDomain)
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Need{
		Arch: "x86_64", Machine: "pc-q35-7.2", Virt: "kvm", Emulator: "/usr/bin/qemu-system-x86_64",
		CPU:   cluster.NeedCPU{Mode: "custom", Model: "EPYC", Require: []string{"x2apic"}, Disable: []string{"svm"}},
		Links: []cluster.Link{{Kind: "bridge", Name: "br0"}, {Kind: "network", Name: "prod"}, {Kind: "direct", Name: "eth1"}, {Kind: "hostdev"}, {Kind: "vhostuser"}, {Kind: "user"}},
		Devices: []cluster.Device{
			{Kind: "sealed", Name: "launchSecurity"},
			{Kind: "sriov", Name: "an interface of type hostdev"},
			{Kind: "host", Name: "PCI 0000:04:00.0"},
			{Kind: "vgpu", Name: "vfio-pci"},
			{Kind: "host", Name: "USB"},
			{Kind: "folder", Name: "/srv/data"},
			{Kind: "memory", Name: "shm0"},
			{Kind: "tpm", Name: "emulated"},
			{Kind: "other", Name: "a memory module in a file of the host's (nvdimm)"},
		},
		Firmware: []string{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
		Secrets:  []string{"00000000-0000-4000-8000-0000000000aa"},
		Listen:   []string{"10.0.0.7", "10.0.0.8"},
		Pages:    []cluster.Pages{{KiB: 1 << 20, Count: 4}},
		Pins:     "vCPUs to CPUs 0-3, 2 vCPUs (vcpupin), emulator to CPUs 0-1, memory to NUMA nodes (numatune)",
		CPUs:     "0-3",
		Owner:    "OpenStack (nova)",
	}
	if diff := cmp.Diff(want, w.need); diff != "" {
		t.Errorf("need (-want +got):\n%s", diff)
	}
	var layers []string
	for _, l := range w.layers {
		text := l.target + " " + l.source.Type + " " + l.source.Path + l.source.Name + l.pool
		if l.media {
			text += " media"
		}
		layers = append(layers, text)
	}
	if diff := cmp.Diff([]string{"vda file /vms/db.qcow2", "vda file /base/debian.qcow2", "vdb network vms/db", "sda file /iso/seed.iso media", "vdc block /dev/mapper/mpatha", "vdd volume v1fast"}, layers); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if !strings.Contains(w.cpuXML, "x2apic") || strings.Contains(w.cpuXML, "odd") {
		t.Errorf("CPU to compare: %s", w.cpuXML)
	}
}

func TestNeedRefuses(t *testing.T) {
	disk := "<disk type='file'><source file='/a'/><target dev='v'/></disk>"
	dom := func(devices string) string {
		return "<domain type='kvm'><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>" + devices + "</devices></domain>"
	}
	for name, c := range map[string]struct{ text, word string }{
		"too large":      {dom(strings.Repeat(" ", maxXML)), "exceeds"},
		"no XML":         {"<domain", "VM definition"},
		"no machine":     {"<domain type='kvm'/>", "<os><type>"},
		"too many disks": {dom(strings.Repeat(disk, maxDisks+1)), "disks exceed"},
	} {
		if _, err := parseNeed(c.text); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.word)
		}
	}
	// What cannot be printed, or is endless, is made fit for the State.
	w, err := parseNeed(dom("<interface type='bridge'><source bridge='br\u202e0" + strings.Repeat("x", 9000) + "'/></interface>"))
	if err != nil || len(w.need.Links) != 1 || len(w.need.Links[0].Name) > 210 || !strings.HasPrefix(w.need.Links[0].Name, "br?0xxx") {
		t.Errorf("%+v, %v", w.need.Links, err)
	}
	// Of many devices of a kind as many are kept as the State takes.
	w, err = parseNeed(dom(strings.Repeat("<interface type='bridge'><source bridge='br0'/></interface>", 5000)))
	if err != nil || len(w.need.Links) != 1 {
		t.Errorf("%d links, %v", len(w.need.Links), err)
	}
}

func FuzzNeed(f *testing.F) {
	f.Add(fullDomain)
	f.Add("<domain type='kvm'><os><type arch='x86_64' machine='pc'>hvm</type></os></domain>")
	f.Add("<domain type='\xff'><os><type/></os><devices><disk><backingStore><source file='a'/></backingStore></disk></devices></domain>")
	mounts := agent.Mounts{{Device: "8:1", Point: "/", Type: "ext4", Source: "/dev/sda1"}}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := parseNeed(text)
		if err != nil {
			return
		}
		for _, l := range w.layers {
			w.need.Disks = add(w.need.Disks, diskOf(l, mounts, agent.Devices{Root: emptyFS{}}))
		}
		if err := w.need.Valid(); err != nil {
			t.Errorf("the State would refuse it: %v", err)
		}
	})
}

func TestDisksLieSomewhere(t *testing.T) {
	mounts := agent.Mounts{
		{Device: "8:1", Point: "/", Type: "ext4", Source: "/dev/sda1"},
		{Device: "0:50", Point: "/vms", Type: "nfs4", Source: "filer:/vms"},
	}
	devices := agent.Devices{Root: emptyFS{}}
	for _, c := range []struct {
		source agent.DiskSource
		want   cluster.Disk
	}{
		{agent.DiskSource{Type: "file", Path: "/vms/db.qcow2", Cache: "none"}, cluster.Disk{Target: "vda", Kind: "file", Point: "/vms", Storage: "nfs4 filer:/vms", Cache: "none"}},
		{agent.DiskSource{Type: "file", Path: "/var/db.qcow2"}, cluster.Disk{Target: "vda", Kind: "file", Point: "/"}},
		{agent.DiskSource{Type: "network", Protocol: "rbd", Name: "vms/db", Hosts: []string{"mon1:6789"}}, cluster.Disk{Target: "vda", Kind: "network", Storage: "rbd mon1:6789 vms"}},
		{agent.DiskSource{Type: "block", Path: "/dev/nowhere"}, cluster.Disk{Target: "vda", Kind: "block", Point: "/dev/nowhere"}},
		{agent.DiskSource{Type: "volume"}, cluster.Disk{Target: "vda", Kind: "volume"}},
	} {
		if diff := cmp.Diff(c.want, diskOf(layer{target: "vda", source: c.source}, mounts, devices)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.source, diff)
		}
	}
}

func TestPeerAddress(t *testing.T) {
	for uri, want := range map[string]string{
		"qemu+tcp://10.0.0.3/system":                       "tcp 10.0.0.3:16509 tcp",
		"qemu+tcp://[fd00::3]:9/system":                    "tcp [fd00::3]:9 tcp",
		"qemu+tls://hv3/system":                            "tcp hv3:16514 tls",
		"qemu://hv3/system":                                "tcp hv3:16514 tls",
		"qemu+ssh://root@hv3/system":                       "tcp hv3:22 ssh",
		"qemu+unix:///system?socket=/run/ek/m-1/libvirt.s": "unix /run/ek/m-1/libvirt.s unix",
		"qemu:///system":                                   "",
		"qemu+unix:///system":                              "",
		"qemu+libssh2://hv3/system":                        "",
		"http://hv3/":                                      "",
		"%zz":                                              "",
		"qemu+tcp://" + strings.Repeat("a", 2000):          "",
	} {
		network, address, transport, err := peerAddress(uri)
		got := strings.Join([]string{network, address, transport}, " ")
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%.60s leads to %q (%v), want %q", uri, got, err, want)
		}
	}
}

func TestLinksAreSorted(t *testing.T) {
	links := []netLink{
		{index: 1, name: "lo", up: true},
		{index: 2, name: "eth0", up: true, master: 5},
		{index: 3, name: "eth1"},
		{index: 4, name: "vnet0", kind: "tun", up: true, master: 6},
		{index: 5, name: "br0", kind: "bridge", up: true},
		{index: 6, name: "virbr0", kind: "bridge", up: true},
		{index: 7, name: "virbr0-nic", kind: "dummy", master: 6},
		{index: 8, name: "ovs0", kind: "openvswitch"},
		{index: 9, name: "bond0", kind: "bond", up: true},
	}
	bridges, ports := plugs(links)
	if want := []cluster.Bridge{{Name: "br0", Up: true, Uplink: true}, {Name: "ovs0", Up: true, Uplink: true}, {Name: "virbr0", Up: true}}; !slices.Equal(bridges, want) {
		t.Errorf("bridges %+v, want %+v", bridges, want)
	}
	if want := []string{"bond0", "eth0"}; !slices.Equal(ports, want) {
		t.Errorf("ports %q, want %q", ports, want)
	}
}

func FuzzLinks(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x24\x00\x00\x00\x10\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff\x04\x00\x12\x00"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		links, err := parseLinks(data)
		if err == nil {
			plugs(links)
		}
		kindIn(data)
	})
}
