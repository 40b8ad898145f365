package scheduler_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// tellDescribe has a host say what it offers and what its VMs need, over what
// is plain: the line "offer" is of the host, the others are of VMs.
func (f *fleet) tellDescribe(d *datadriven.TestData) string {
	h := f.host(d.CmdArgs[0].Key)
	offer := &cluster.Offer{
		Libvirt: cluster.SoftwareVersion{9}, QEMU: cluster.SoftwareVersion{7, 2, 22},
		Guests: []cluster.Guests{{Arch: "x86_64", Virt: "kvm", Machines: []string{"q35"}}},
	}
	body := cluster.Describe{Incarnation: 1, Revision: uint64(f.state.Index), Offer: offer}
	needs := map[string]*cluster.Need{}
	for _, l := range lines(d.Input) {
		if l.name == "offer" {
			f.readOffer(l, offer)
			if v, ok := l.used("room"); ok {
				body.Rooms = []cluster.Room{{Dir: "/images", Free: f.bytes(v)}}
			}
		} else {
			needs[f.vm(l.name).UUID] = f.readNeed(l)
			body.Metas = append(body.Metas, f.readMetas(l)...)
		}
		f.nothingLeft(l)
	}
	for vm, n := range needs {
		body.VMs = append(body.VMs, cluster.Needy{VM: vm})
		body.Needs = append(body.Needs, n)
	}
	slices.SortFunc(body.Metas, func(a, b cluster.MetaRules) int { return cmp.Compare(a.VM, b.VM) })
	slices.SortFunc(body.VMs, func(a, b cluster.Needy) int { return cmp.Compare(a.VM, b.VM) })
	for i := range body.VMs {
		if copies := needs[body.VMs[i].VM].Copies; copies != nil {
			body.Copied = append(body.Copied, cluster.Copied{VM: body.VMs[i].VM, Disks: copies})
		}
		body.Needs[i], body.VMs[i].Need = needs[body.VMs[i].VM], i
	}
	f.must(f.actor(h), body)
	return ""
}

func (f *fleet) readOffer(l line, o *cluster.Offer) {
	if v, ok := l.used("qemu"); ok {
		if _, err := fmt.Sscanf(v, "%d.%d.%d", &o.QEMU[0], &o.QEMU[1], &o.QEMU[2]); err != nil {
			f.t.Fatalf("qemu=%s: %v", v, err)
		}
	}
	if v, ok := l.used("bridges"); ok {
		for _, b := range strings.Split(v, ",") {
			o.Bridges = append(o.Bridges, cluster.Bridge{Name: b, Up: true, Uplink: true})
		}
	}
}

// readMetas reads what a VM's metadata says: apart=GROUP.
func (f *fleet) readMetas(l line) []cluster.MetaRules {
	group, ok := l.used("apart")
	if !ok {
		return nil
	}
	return []cluster.MetaRules{{VM: f.vm(l.name).UUID, Rules: []cluster.MetaRule{{Kind: cluster.RuleAntiAffinity, Group: group}}}}
}

func (f *fleet) readNeed(l line) *cluster.Need {
	n := &cluster.Need{Arch: "x86_64", Machine: "q35", Virt: "kvm"}
	if v, ok := l.used("bridge"); ok {
		n.Links = []cluster.Link{{Kind: "bridge", Name: v}}
	}
	if v, ok := l.used("machine"); ok {
		n.Machine = v
	}
	if v, ok := l.used("disk"); ok { // its host's own
		size := f.bytes(v)
		n.Disks = []cluster.Disk{{Target: "vda", Kind: "file", Point: "/", Format: "qcow2"}}
		n.Copies = []cluster.DiskCopy{{Target: "vda", Path: "/images/" + l.name + ".qcow2", Format: "qcow2", Size: 2 * size, Used: size}}
	}
	if v, ok := l.used("cpus"); ok {
		n.CPUs, n.Pins = cluster.CPUSet(v), "vCPUs to CPUs "+v
	}
	n.Owner, _ = l.used("owner")
	return n
}
