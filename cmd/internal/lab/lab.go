package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

// Options say where a lab lives and what it is made from. The zero value is
// the machine's one lab, made from the binaries beside the running one.
type Options struct {
	// Name tells labs on one machine apart; the default is "lab". Each needs
	// a StateDir of its own.
	Name string
	// StateDir holds everything that the lab makes and is removed by Down.
	// The default is /var/lib/evenkeel-lab. Not below /run, of which each
	// host has its own.
	StateDir string
	// CacheDir keeps the guests' kernel. The default is
	// /var/cache/evenkeel-lab.
	CacheDir string
	// BinDir holds evenkeeld, evenkeel and evenkeel-guest. The default is the
	// directory of the running program.
	BinDir string
	// Kernel is a kernel for the guests. The default fetches Debian's.
	Kernel string
	// NoAgents leaves evenkeeld out.
	NoAgents bool
	// Keep leaves a lab that could not be built as it is, to be looked at.
	Keep bool
	// Timeout bounds Up. The default is five minutes.
	Timeout time.Duration
	// Progress is told what Up is about to do. May be nil.
	Progress func(step string)
	// Log may be nil.
	Log *slog.Logger
}

var labNamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (o *Options) fillDefaults() error {
	defaults := []struct {
		field *string
		value string
	}{
		{&o.Name, "lab"},
		{&o.StateDir, "/var/lib/evenkeel-lab"},
		{&o.CacheDir, "/var/cache/evenkeel-lab"},
	}
	for _, d := range defaults {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.BinDir == "" {
		dir, err := ownDir()
		if err != nil {
			return err
		}
		o.BinDir = dir
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o.check()
}

func (o *Options) check() error {
	if !labNamePattern.MatchString(o.Name) {
		return fmt.Errorf("lab name %q must match %s", o.Name, labNamePattern)
	}
	for _, dir := range []*string{&o.StateDir, &o.CacheDir, &o.BinDir} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		*dir = abs
	}
	for _, dir := range []string{o.StateDir, o.BinDir} {
		if under(dir, "/run") || under(dir, "/var/run") {
			return fmt.Errorf("directory %s is below /run, of which each host of the lab has its own; choose another", dir)
		}
	}
	for _, m := range mounts {
		if under(o.StateDir, m.target) {
			return fmt.Errorf("state directory %s is below %s, of which each host of the lab has its own; choose another", o.StateDir, m.target)
		}
	}
	if o.StateDir == "/" || strings.ContainsAny(o.StateDir, ",:\\\"\n") {
		return fmt.Errorf("state directory %q cannot be used; choose a plain path", o.StateDir)
	}
	return nil
}

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// Lab is a fleet that is up. Its methods may be called from any goroutine; two
// processes may hold the same lab, but change it one at a time.
type Lab struct {
	opts Options
	dir  string
	set  cpuset

	changing sync.Mutex // held by the methods that change the lab
	volume   sync.Mutex // held while the volume is made

	mu       sync.Mutex
	manifest Manifest
}

// Open finds the lab that is up in a state directory.
func Open(opts Options) (*Lab, error) {
	if err := opts.fillDefaults(); err != nil {
		return nil, err
	}
	m, err := readManifest(opts.StateDir)
	if err != nil {
		return nil, err
	}
	set, err := machineCpuset()
	if err != nil {
		return nil, err
	}
	return &Lab{opts: opts, dir: opts.StateDir, set: set, manifest: *m}, nil
}

// change runs f while this process alone changes the lab, on its newest
// manifest.
func (l *Lab) change(f func() error) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	unlock, err := lockDir(l.dir, lockPatience)
	if err != nil {
		return err
	}
	defer unlock()
	m, err := readManifest(l.dir)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.manifest = *m
	l.mu.Unlock()
	return f()
}

// record changes the manifest, in memory and on disk.
func (l *Lab) record(f func(*Manifest)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.manifest)
	return l.manifest.save(l.dir)
}

func (l *Lab) recordHost(name string, f func(*HostState)) error {
	return l.record(func(m *Manifest) {
		if h, err := m.host(name); err == nil {
			f(h)
		}
	})
}

// manifestCopy is the manifest of now, which no one changes any more.
func (l *Lab) manifestCopy() Manifest {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.manifest
	m.Hosts = slices.Clone(m.Hosts)
	m.Guests = slices.Clone(m.Guests)
	return m
}

// Host is a host by name.
func (l *Lab) Host(name string) (HostState, error) {
	m := l.manifestCopy()
	h, err := m.host(name)
	if err != nil {
		return HostState{}, err
	}
	return *h, nil
}

// Hosts are the hypervisors in the scenario's order, then the witness.
func (l *Lab) Hosts() []HostState { return l.manifestCopy().Hosts }

// Guest is a guest by name.
func (l *Lab) Guest(name string) (GuestState, error) {
	m := l.manifestCopy()
	return m.guest(name)
}

// Guests are the guests in the order in which they were started.
func (l *Lab) Guests() []GuestState { return l.manifestCopy().Guests }

// ClusterID is the UUID of the agents' cluster.
func (l *Lab) ClusterID() string { return l.manifestCopy().ClusterID }

// Dir is the state directory.
func (l *Lab) Dir() string { return l.dir }

// LogFile is the log of one of a host's daemons: evenkeeld or libvirtd.
func (l *Lab) LogFile(host, daemon string) string {
	return filepath.Join(l.hostDir(host), daemon+".log")
}

// HostPath is where the machine sees a host's file, for as long as the host
// lives.
func (l *Lab) HostPath(host, path string) (string, error) {
	h, err := l.Host(host)
	if err != nil {
		return "", err
	}
	return filepath.Join(hostRoot(h.Holder), path), nil
}

// SetLink plugs a host's network cable in or out.
func (l *Lab) SetLink(host string, up bool) error {
	if _, err := l.Host(host); err != nil {
		return err
	}
	return inNetwork(l.manifestCopy().Switch, func(h *netlink.Handle) error {
		return setLink(h, host, up)
	})
}

func (l *Lab) hypervisor(name string) (HostState, error) {
	h, err := l.Host(name)
	if err == nil && h.Role != RoleHypervisor {
		err = fmt.Errorf("host %s is no hypervisor", name)
	}
	return h, err
}

func (l *Lab) group() cgroup { return l.set.lab(l.manifestCopy().Name) }

func (l *Lab) hostDir(host string) string   { return filepath.Join(l.dir, "hosts", host) }
func (l *Lab) guestDir(guest string) string { return filepath.Join(l.dir, "guests", guest) }
func (l *Lab) kernelPath() string           { return filepath.Join(l.dir, "boot/vmlinuz") }
func (l *Lab) initrdPath() string           { return filepath.Join(l.dir, "boot/initrd") }

// ErrLabExists says that a lab is in the way.
var ErrLabExists = errors.New("there is a lab already; end it with: evenkeel-lab down")
