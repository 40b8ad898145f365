package cluster

import "slices"

// locks keeps apart hosts whose libvirts lock disks in different ways: libvirt
// finds out late, and not that two managers of one name keep their leases in
// different places, where neither sees the other's.
func (f *fitting) locks() {
	const remedy = "set lock_manager in /etc/libvirt/qemu.conf, and what belongs to it, alike on both hosts, and restart libvirt there"
	from, to := f.from.Locks, f.to.Locks
	by := f.need.LockedBy
	switch {
	case from != "" && to != "" && from != to:
		f.hinder(CodeLockManagerDiffers, remedy, "libvirt's lock manager is %s on its host and %s there", from, to)
	case f.need.Leases && to == LocksNone:
		f.hinder(CodeLockManagerDiffers, remedy, "it has leases, and libvirt has no lock manager there to hold them")
	case by != "" && to != by:
		f.hinder(CodeLockManagerDiffers, "look at libvirt's configuration there, and upgrade evenkeeld", "nothing but %s keeps a second copy of it from running, and it is not known whether it is there", by)
	case by != "":
		for _, space := range f.need.LockSpaces {
			if !slices.Contains(f.to.LockSpaces, space) {
				f.hinder(CodeLockManagerDiffers, "configure the same directory for leases, on the same storage, on both hosts", "its disks' leases lie in %s, which %s does not have there", space, by)
			}
		}
	}
}
