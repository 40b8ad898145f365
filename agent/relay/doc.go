// Package relay carries a live migration between two hosts over evenkeel's own
// mutual TLS, so that libvirt needs neither certificates of its own nor root's
// SSH keys: libvirt migrates through UNIX sockets, and the relays at both ends
// pass on what comes out of them.
//
// It runs in a process of its own (`evenkeeld relay`), for the daemon may be
// restarted or lost at any moment without harm to a migration. The daemon tells
// it over a control socket which moves it has in hand: the target's lets
// exactly one member in for exactly one VM, the source's opens the sockets that
// libvirt is then told to use:
//
//	libvirtd ── libvirt.sock ─┐                      ┌─ libvirtd's own socket
//	                          ├─ relay ═ TLS ═ relay ┤
//	QEMU ────── memory.sock ──┤                      ├─ memory.sock ── QEMU
//	QEMU ────── disks.sock ───┘                      └─ disks.sock ─── QEMU
//
// What goes to the target's libvirtd is filtered: nothing but what belongs to a
// migration of that VM gets through.
package relay
