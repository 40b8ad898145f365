// Package lab builds a fleet on one machine, as root: hypervisors with a
// libvirtd and an evenkeeld each, a witness, and guests that do something.
//
//	scenario, err := lab.ParseScenario("demo.yaml", data)
//	l, err := lab.Up(ctx, scenario, lab.Options{BinDir: "bin"})
//	defer l.Down(ctx)
//	out, err := l.Exec(ctx, "hv1", "virsh", "list")
//	beats, err := l.Heartbeats("busy1")
//
// # What a host is
//
// A network, a mount and a UTS namespace, kept alive by one sleeping process
// (the holder) and nothing else: no file names them, so the kernel removes
// them, with every mount and interface inside, when the host's last process
// ends. The hosts' cables end in a bridge that has a network namespace of its
// own; nothing is added to the machine's own network or mount table.
//
// A host sees the machine's files, with a /run of its own and its own
// directories of libvirt and evenkeel; where such a directory does not exist
// on the machine, an overlay that only the host sees makes room for it.
//
// Every process of a host, QEMU included, lives in the host's cgroup of the
// cpuset controller (version 1 or 2), named ekl-LAB/HOST. It gives a
// hypervisor its share of the CPUs, and it is how the lab knows its own: down
// ends what is in those cgroups, and nothing else.
//
// # What survives a crash
//
// The state directory holds all files, and a manifest that names each thing
// before it is made. Down needs the manifest only for what the names do not
// tell, so it clears up after a lab that was killed at any moment, or whose
// state directory was deleted.
package lab
