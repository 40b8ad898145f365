// Package voters runs a small cluster of real evenkeeld processes that can be
// hurt in every way in which machines fail: the fixture of the numbered cases
// of Raft's faults, which are this package's tests.
//
//	site, err := voters.New(dir, bin, voters.Plain, voters.Ext4, voters.Tmpfs)
//	defer site.Close()
//	err = site.Members[0].Start()
//	site.Members[1].Freeze() // its disk
//	site.Members[2].Cut(voters.Deaf)
//
// # What a member is
//
// A witness: it votes and remembers, and needs no libvirtd. Each has a network
// namespace of its own, a cable into a bridge that has another one, a
// certificate, and a data directory on the disk that was asked for. Operators'
// commands go to its unix socket, which no fault of the network touches.
//
// # What is left of it
//
// Nothing, also if the test is killed. Disks are mounted in a mount namespace,
// and processes live in a PID namespace, of one process, the warden; it ends
// when the pipe from the test does, after it has thawed what was frozen, and
// the kernel ends the rest: processes, mounts, and with these the loop devices.
// Network namespaces are kept by descriptors of the test. Cgroups are the
// exception, they have no owner: their names hold the pid of the test, and the
// next test removes those whose test is gone.
//
// # The numbered cases that are elsewhere
//
// 1 and 2, a leader killed before and after the claim of a move, need VMs:
// TestLeaderKilled of cmd/evenkeel-lab. 10, killed while snapshotting, has to
// choose the moment: TestFault10KilledWhileSnapshotting of consensus. The first
// half of 16, clocks that step, needs clocks that can: cmd/internal/worlds.
package voters
