package apitest

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// Fits is Suffering after both hosts have described themselves: one VM of hv1
// can go to hv2, the others for one reason or another cannot.
func Fits(addresses map[string]string) *Fleet {
	f, _ := fits(addresses)
	return f
}

// Ruled is Fits with rules in the metadata of the VMs of hv1. What db-01 has there is
// wrong in part, and batch-1 has just lost what it had.
func Ruled(addresses map[string]string) *Fleet {
	f, d := fits(addresses)
	vms := crowd()
	apart, pin := cluster.MetaRule{Kind: cluster.RuleAntiAffinity, Group: "db"}, cluster.MetaRule{Kind: cluster.RulePin, Hosts: []string{"hv1"}}
	d.Revision, d.Metas = 2, []cluster.MetaRules{
		{VM: vms[0].UUID, Rules: []cluster.MetaRule{apart, pin}, Wrong: `rule 3: cpus is "lots", want a number of CPUs such as 2.5`},
		{VM: vms[1].UUID, Rules: []cluster.MetaRule{apart}},
		{VM: vms[2].UUID, Rules: []cluster.MetaRule{{Kind: cluster.RuleClass, Class: cluster.ClassBatch}}},
	}
	f.Do(agentOf(HV1), d)
	d.Revision, d.Metas = 3, d.Metas[:2]
	f.Do(agentOf(HV1), d)
	return f
}

func fits(addresses map[string]string) (*Fleet, cluster.Describe) {
	f := Suffering(addresses)
	offer := func(bridges ...string) *cluster.Offer {
		o := &cluster.Offer{
			Processor: "AMD EPYC family 25 model 17 stepping 1", Kernel: "6.1.0-30-amd64",
			Libvirt: cluster.SoftwareVersion{9, 0, 0}, QEMU: cluster.SoftwareVersion{7, 2, 22}, Emulators: []string{"/usr/bin/qemu-system-x86_64"},
			Guests: []cluster.Guests{{
				Arch: "x86_64", Virt: "kvm", Machines: []string{"pc-q35-7.2", "q35"}, Models: []string{"EPYC", "qemu64"}, Features: []string{"aes", "sse2"},
			}},
			Storage: []cluster.Storage{{Point: "/vms", Name: "nfs4 filer:/vms"}},
		}
		for _, b := range bridges {
			o.Bridges = append(o.Bridges, cluster.Bridge{Name: b, Up: true, Uplink: true})
		}
		return o
	}
	need := func() *cluster.Need {
		return &cluster.Need{
			Arch: "x86_64", Machine: "pc-q35-7.2", Virt: "kvm", Emulator: "/usr/bin/qemu-system-x86_64",
			CPU:   cluster.NeedCPU{Mode: "custom", Model: "EPYC", Features: []string{"aes", "sse2"}},
			Links: []cluster.Link{{Kind: "bridge", Name: "br0"}},
			Disks: []cluster.Disk{{Target: "vda", Kind: "file", Point: "/vms", Storage: "nfs4 filer:/vms", Cache: "none"}},
		}
	}
	plain, storage, owned, cpu := need(), need(), need(), need()
	storage.Links = append(storage.Links, cluster.Link{Kind: "bridge", Name: "storage"})
	owned.Owner = "Pacemaker"
	cpu.CPU.Features = []string{"aes", "avx512f", "sse2"}
	vms := crowd()
	first := cluster.Describe{
		Incarnation: 1, Revision: 1, Offer: offer("br0", "storage"), Needs: []*cluster.Need{plain, storage, owned, cpu},
		VMs: []cluster.Needy{{VM: vms[0].UUID}, {VM: vms[1].UUID, Need: 1}, {VM: vms[2].UUID, Need: 2}, {VM: vms[3].UUID, Need: 3}},
	}
	f.Do(agentOf(HV1), first)
	f.Do(agentOf(HV2), cluster.Describe{Incarnation: 1, Revision: 1, Offer: offer("br0")})
	return f, first
}
