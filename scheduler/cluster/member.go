package cluster

// Role says what a member is for.
type Role string

// The roles.
const (
	RoleHypervisor Role = "hypervisor" // measures VMs and carries out moves
	RoleWitness    Role = "witness"    // votes; has no libvirt and no VMs
)

// Member is one evenkeeld. Its ID, a UUID on its disk and in its certificate,
// is its identity; its name is only for people.
type Member struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Role        Role   `json:"role"`
	Incarnation uint64 `json:"incarnation"` // fsynced counter of the daemon's starts
	Level       uint32 `json:"level"`       // highest feature level that its binary knows
	Version     string `json:"version"`     // the binary's version, for people
	APIAddress  string `json:"api_address"` // host:port, 7470
	Address     string `json:"address"`     // host:port of Raft and agents' streams, 7471

	// Of hypervisors only.
	CPUs             MilliCPU `json:"cpus,omitempty"`   // what VMs may use
	Memory           Bytes    `json:"memory,omitempty"` // what VMs may use
	MigrationAddress string   `json:"migration_address,omitempty"`
	MigrationPeerURI string   `json:"migration_peer_uri,omitempty"` // the libvirt URI that other hosts' libvirtds dial
	MigrationURI     string   `json:"migration_uri,omitempty"`      // where the memory goes
	Lab              bool     `json:"lab,omitempty"`                // a test fleet: `mode auto` asks for nothing

	JoinedAt Time `json:"joined_at"`
}
