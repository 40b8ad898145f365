package cluster

// Leeway is what the policy lets pass that would keep a VM where it is.
type Leeway struct {
	// Unsafe lets VMs go whose disks' cache may keep writes back, and has libvirt
	// not ask either.
	Unsafe bool
	// Copies has disks copied along that only the VM's host has.
	Copies bool
}

// Leeway is what these settings let pass.
func (s Settings) Leeway() Leeway {
	return Leeway{Unsafe: s.AllowUnsafe, Copies: s.CopyStorage.Copies()}
}
