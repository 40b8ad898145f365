// Package libvirt fulfils [agent.Hypervisor] with the libvirt daemon of this
// host, over its UNIX socket and without cgo. Open a [Host], use it, Close it:
//
//	h, err := libvirt.Open(libvirt.Config{Logger: log})
//	guests, err := h.Guests(ctx)
//
// Opening does not need the daemon to run: calls answer
// [agent.ErrDisconnected] until it does and connect by themselves. Nothing of
// go-libvirt, whose calls know no contexts, leaves the package; DESIGN.md
// says how its traps are kept away from the callers.
package libvirt
