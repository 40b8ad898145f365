package cluster

// Role says what a member is for.
type Role string

// The roles.
const (
	RoleHypervisor Role = "hypervisor" // measures VMs and carries out moves
	RoleWitness    Role = "witness"    // votes; has no libvirt and no VMs
)

// Processor is what a hypervisor's CPUs for VMs are.
type Processor struct {
	Model string `json:"model"`         // as /proc/cpuinfo has it, "" if it does not say
	Cores int    `json:"cores"`         // that the CPUs are threads of: fewer than those with SMT
	MHz   int    `json:"mhz,omitempty"` // what they hold when all are busy, as far as the kernel says; 0 unknown
}

func (p *Processor) sane() bool {
	return p == nil || len(p.Model) <= maxName && printable(p.Model) && p.Cores >= 0 && p.Cores <= int(maxCPUs/1000) && p.MHz >= 0 && p.MHz <= 100_000
}

// Member is one evenkeeld. Its ID, a UUID on its disk and in its certificate,
// is its identity; its name is only for people.
type Member struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Role        Role   `json:"role"`
	Incarnation uint64 `json:"incarnation"`    // fsynced counter of the daemon's starts
	Disk        string `json:"disk,omitempty"` // UUID of its data directory; another one is a host that was installed anew
	Level       uint32 `json:"level"`          // highest feature level that its binary knows
	Version     string `json:"version"`        // the binary's version, for people
	APIAddress  string `json:"api_address"`    // host:port, 7470
	Address     string `json:"address"`        // host:port of Raft and agents' streams, 7471
	// Zone is what fails together: a room, a rack, a power feed. Voters are
	// spread over zones. "" is a zone of its own.
	Zone string `json:"zone,omitempty"`

	// Of hypervisors only.
	CPUs             MilliCPU   `json:"cpus,omitempty"`      // what VMs may use
	Memory           Bytes      `json:"memory,omitempty"`    // what VMs may use
	Processor        *Processor `json:"processor,omitempty"` // nil: the kernel does not say
	MigrationAddress string     `json:"migration_address,omitempty"`
	MigrationPeerURI string     `json:"migration_peer_uri,omitempty"` // the libvirt URI that other hosts' libvirtds dial
	MigrationURI     string     `json:"migration_uri,omitempty"`      // where the memory goes
	// MigrationLink is the speed of the network device that has the migration
	// address, as negotiated when the daemon started; 0: the kernel does not say.
	MigrationLink BytesPerSecond `json:"migration_link,omitempty"`
	Lab           bool           `json:"lab,omitempty"`  // a test fleet: `mode auto` asks for nothing
	Hold          string         `json:"hold,omitempty"` // why it neither gives nor takes VMs: its hold file
	Boot          string         `json:"boot,omitempty"` // the id that its kernel drew when it was booted; "": not known

	JoinedAt Time `json:"joined_at"`
}
