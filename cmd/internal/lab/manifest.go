package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	manifestName     = "manifest.json"
	manifestVersion  = 1
	maxManifestBytes = 16 << 20
)

// Manifest is what the lab has made or is about to make. It is written before
// each thing, so what it names may not exist, but nothing exists that neither
// it names nor a cgroup of the lab's holds.
type Manifest struct {
	Version   int       `json:"version"`
	Name      string    `json:"name"`
	Building  bool      `json:"building"` // Up has not ended yet, or died
	CreatedAt time.Time `json:"created_at"`
	BootID    string    `json:"boot_id"` // of the machine: processes of another boot are gone
	ClusterID string    `json:"cluster_id"`
	Agents    bool      `json:"agents"`
	Cgroup    string    `json:"cgroup"`
	Delegated bool      `json:"delegated"` // we enabled cpuset at the root of cgroup v2
	BinDir    string    `json:"bin_dir"`
	Switch    Process   `json:"switch"`
	// VolumeServer serves what the hosts share, if a guest asked for it.
	VolumeServer Process      `json:"volume_server,omitzero"`
	Hosts        []HostState  `json:"hosts"`
	Guests       []GuestState `json:"guests"`
	Mode         string       `json:"mode"`
	Transport    string       `json:"transport"`
	// NoDisks: the kernel came without drivers of disks.
	NoDisks bool `json:"no_disks,omitempty"`
}

// HostState is one host of a lab.
type HostState struct {
	Name     string  `json:"name"`
	Role     string  `json:"role"` // hypervisor or witness
	Address  string  `json:"address"`
	CPUs     string  `json:"cpus"`
	Memory   Bytes   `json:"memory"`
	UUID     string  `json:"uuid"` // libvirt's host UUID
	Holder   Process `json:"holder"`
	Libvirtd Process `json:"libvirtd"`
	Relay    Process `json:"relay"`
	Agent    Process `json:"agent"`
	Volume   Process `json:"volume,omitzero"` // its client of what the hosts share
}

// The roles.
const (
	RoleHypervisor = "hypervisor"
	RoleWitness    = "witness"
)

// GuestState is one guest of a lab.
type GuestState struct {
	Guest
	UUID string `json:"uuid"`
	// DiskPort and DiskServer are of a disk that is served; 0 without.
	DiskPort   int     `json:"disk_port,omitempty"`
	DiskServer Process `json:"disk_server,omitzero"`
}

func (m *Manifest) host(name string) (*HostState, error) {
	for i := range m.Hosts {
		if m.Hosts[i].Name == name {
			return &m.Hosts[i], nil
		}
	}
	var names []string
	for _, h := range m.Hosts {
		names = append(names, h.Name)
	}
	return nil, fmt.Errorf("lab %s has no host %q; it has %q", m.Name, name, names)
}

func (m *Manifest) guest(name string) (GuestState, error) {
	for _, g := range m.Guests {
		if g.Name == name {
			return g, nil
		}
	}
	return GuestState{}, fmt.Errorf("lab %s has no guest %q", m.Name, name)
}

// ErrNoLab says that there is no lab in the state directory.
var ErrNoLab = errors.New("no lab is up; start one with: evenkeel-lab up")

func readManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoLab)
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxManifestBytes {
		return nil, fmt.Errorf("manifest %s has %d bytes, more than a lab writes", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := new(Manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", path, err)
	}
	if m.Version != manifestVersion || !labNamePattern.MatchString(m.Name) {
		return nil, fmt.Errorf("manifest %s is of version %d and lab %q; this evenkeel-lab knows version %d", path, m.Version, m.Name, manifestVersion)
	}
	return m, nil
}

// save replaces the manifest: readers see the old or the new one.
func (m *Manifest) save(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(filepath.Join(dir, manifestName), data, 0o600)
}

// writeAtomic replaces a file whole; the last of several writers wins.
func writeAtomic(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// lockPatience is how long a lock is waited for. Two commands that change a lab
// at once are a mistake worth naming, but the lock of one that was killed lives
// on in a child that it had forked and that had not reached its exec yet.
const lockPatience = 5 * time.Second

// lockDir takes the state directory for a change.
func lockDir(dir string, patience time.Duration) (unlock func(), err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = poll(ctx, 10*time.Millisecond, "the lock", func() (bool, error) {
		return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil, nil
	})
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("state directory %s: another evenkeel-lab is changing this lab; wait until it ends", dir)
	}
	return func() { _ = unix.Close(fd) }, nil
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(data), err
}
