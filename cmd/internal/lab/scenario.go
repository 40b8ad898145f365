package lab

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/load"
)

//go:embed scenarios/*.yaml
var builtin embed.FS

// Bounds of a scenario.
const (
	maxScenarioBytes = 1 << 20
	maxHypervisors   = 32
	maxGuests        = 1000
)

// Scenario is a fleet and what runs on it.
type Scenario struct {
	Description string       `yaml:"description" json:"description,omitempty"`
	Hypervisors []Hypervisor `yaml:"hypervisors" json:"hypervisors"`
	// Witness adds a host named "witness" that votes and has no VMs.
	Witness bool    `yaml:"witness" json:"witness"`
	Guests  []Guest `yaml:"guests" json:"guests,omitempty"`
	// Mode is what evenkeel may do: off, recommend or auto. Empty leaves the
	// cluster's default.
	Mode string `yaml:"mode" json:"mode,omitempty"`
	// Policy holds cluster settings by name, such as cooldown: 20s.
	Policy map[string]string `yaml:"policy" json:"policy,omitempty"`
	// Transport is how VMs travel: relay, as evenkeel comes, or tcp.
	Transport string `yaml:"transport" json:"transport"`
	// For ends `evenkeel-lab run` after this long. Zero: at Ctrl-C.
	For time.Duration `yaml:"for" json:"for,omitempty"`
}

// Hypervisor is one host with a libvirtd.
type Hypervisor struct {
	Name string `yaml:"name" json:"name"`
	// CPUs is a CPU list such as 0-3,8. Empty: this host's equal share.
	CPUs string `yaml:"cpus" json:"cpus,omitempty"`
	// Memory is what VMs may use. It is told to evenkeel, not enforced.
	Memory Bytes `yaml:"memory" json:"memory"`
}

// Guest is one VM that runs the lab's own init.
type Guest struct {
	Name   string `yaml:"name" json:"name"`
	On     string `yaml:"on" json:"on"` // the hypervisor that it is started on
	VCPUs  int    `yaml:"vcpus" json:"vcpus"`
	Memory Bytes  `yaml:"memory" json:"memory"`
	// Load is a schedule of package load, such as cpu:30@60s,cpu:100.
	Load string `yaml:"load" json:"load,omitempty"`
	// Disk is nil for a guest without one.
	Disk *Disk `yaml:"disk" json:"disk,omitempty"`
	// Bridge is what its network interface is plugged into, "" for a guest
	// without one. The lab makes no bridges.
	Bridge string `yaml:"bridge" json:"bridge,omitempty"`
}

// How VMs travel.
const (
	TransportRelay = "relay"
	TransportTCP   = "tcp"
)

// Defaults, and the least memory in which the guests' kernel boots.
const (
	defaultHostMemory  = Bytes(4 << 30)
	defaultGuestMemory = Bytes(128 << 20)
	minGuestMemory     = Bytes(96 << 20)
	maxGuestVCPUs      = 64
	witnessName        = "witness"
)

// LoadScenario reads a built-in scenario by its name (see BuiltinScenarios) or
// a file by its path.
func LoadScenario(nameOrPath string) (Scenario, error) {
	if slices.Contains(BuiltinScenarios(), nameOrPath) {
		data, err := builtin.ReadFile("scenarios/" + nameOrPath + ".yaml")
		if err != nil {
			return Scenario{}, err
		}
		return ParseScenario(nameOrPath, data)
	}
	info, err := os.Stat(nameOrPath)
	if err != nil {
		return Scenario{}, fmt.Errorf("scenario: %w; built in are %s", err, strings.Join(BuiltinScenarios(), ", "))
	}
	if info.Size() > maxScenarioBytes {
		return Scenario{}, fmt.Errorf("scenario %s has %d bytes, at most %d are read", nameOrPath, info.Size(), maxScenarioBytes)
	}
	data, err := os.ReadFile(nameOrPath)
	if err != nil {
		return Scenario{}, err
	}
	return ParseScenario(nameOrPath, data)
}

// BuiltinScenarios lists the scenarios that need no file.
func BuiltinScenarios() []string {
	entries, err := builtin.ReadDir("scenarios")
	if err != nil {
		panic(err) // embedded at build time
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())))
	}
	return names
}

// ParseScenario reads YAML strictly: an unknown key is an error with its line.
func ParseScenario(name string, data []byte) (Scenario, error) {
	var s Scenario
	if len(data) > maxScenarioBytes {
		return s, fmt.Errorf("scenario %s has %d bytes, at most %d are read", name, len(data), maxScenarioBytes)
	}
	if err := yaml.Load(data, &s, yaml.WithKnownFields(true), yaml.WithUniqueKeys(true)); err != nil {
		return Scenario{}, fmt.Errorf("scenario %s: %w", name, err)
	}
	s.fillDefaults()
	if err := s.Check(); err != nil {
		return Scenario{}, fmt.Errorf("scenario %s: %w", name, err)
	}
	return s, nil
}

func (s *Scenario) fillDefaults() {
	if s.Transport == "" {
		s.Transport = TransportRelay
	}
	for i := range s.Hypervisors {
		if s.Hypervisors[i].Memory == 0 {
			s.Hypervisors[i].Memory = defaultHostMemory
		}
	}
	for i := range s.Guests {
		s.Guests[i].fillDefaults()
	}
}

func (g *Guest) fillDefaults() {
	if g.VCPUs == 0 {
		g.VCPUs = 1
	}
	if g.Memory == 0 {
		g.Memory = defaultGuestMemory
	}
	if g.Disk != nil {
		disk := *g.Disk // the scenario's caller keeps its own
		disk.fillDefaults()
		g.Disk = &disk
	}
}

// namePattern keeps names within an interface's 15 bytes and a path segment.
var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,14}$`)

// reservedNames are the lab's own cgroups beside the hosts'.
var reservedNames = []string{witnessName, switchName, execName}

// Check says what is wrong with the scenario.
func (s Scenario) Check() error {
	if n := len(s.Hypervisors); n < 1 || n > maxHypervisors {
		return fmt.Errorf("%d hypervisors, need 1 to %d", n, maxHypervisors)
	}
	if len(s.Guests) > maxGuests {
		return fmt.Errorf("%d guests, at most %d are allowed", len(s.Guests), maxGuests)
	}
	hosts := map[string]bool{}
	for i, h := range s.Hypervisors {
		if err := h.check(); err != nil {
			return fmt.Errorf("hypervisors[%d]: %w", i, err)
		}
		if hosts[h.Name] {
			return fmt.Errorf("hypervisors[%d]: name %q is taken", i, h.Name)
		}
		hosts[h.Name] = true
	}
	guests := map[string]bool{}
	for i, g := range s.Guests {
		if err := g.check(); err != nil {
			return fmt.Errorf("guests[%d]: %w", i, err)
		}
		if !hosts[g.On] {
			return fmt.Errorf("guests[%d] %s: on: %q is none of the hypervisors", i, g.Name, g.On)
		}
		if guests[g.Name] {
			return fmt.Errorf("guests[%d]: name %q is taken", i, g.Name)
		}
		guests[g.Name] = true
	}
	if !slices.Contains([]string{"", "off", "recommend", "auto"}, s.Mode) {
		return fmt.Errorf("mode %q must be off, recommend or auto", s.Mode)
	}
	if !slices.Contains([]string{TransportRelay, TransportTCP}, s.Transport) {
		return fmt.Errorf("transport %q must be %s or %s", s.Transport, TransportRelay, TransportTCP)
	}
	if s.For < 0 {
		return fmt.Errorf("for: %v is negative", s.For)
	}
	return nil
}

func (h Hypervisor) check() error {
	if !namePattern.MatchString(h.Name) || slices.Contains(reservedNames, h.Name) {
		return fmt.Errorf("name %q must match %s and not be %s", h.Name, namePattern, strings.Join(reservedNames, ", "))
	}
	if h.CPUs != "" {
		if _, err := parseCPUList(h.CPUs); err != nil {
			return fmt.Errorf("%s: cpus: %w", h.Name, err)
		}
	}
	if h.Memory < 256<<20 || h.Memory > 1<<50 {
		return fmt.Errorf("%s: memory %v must lie between 256MiB and 1PiB", h.Name, h.Memory)
	}
	return nil
}

func (g Guest) check() error {
	if !namePattern.MatchString(g.Name) {
		return fmt.Errorf("name %q must match %s", g.Name, namePattern)
	}
	if g.VCPUs < 1 || g.VCPUs > maxGuestVCPUs {
		return fmt.Errorf("%s: vcpus %d must lie between 1 and %d", g.Name, g.VCPUs, maxGuestVCPUs)
	}
	if g.Memory < minGuestMemory || g.Memory > 1<<40 {
		return fmt.Errorf("%s: memory %v must lie between %v and 1TiB", g.Name, g.Memory, minGuestMemory)
	}
	if _, err := load.Parse(g.Load); err != nil {
		return fmt.Errorf("%s: %w", g.Name, err)
	}
	if g.Disk != nil {
		if err := g.Disk.check(); err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
	}
	return nil
}
