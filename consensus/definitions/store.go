package definitions

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Store keeps definitions in files: a folder for each host, with an index and a
// file for each VM. Its methods may be called concurrently.
type Store struct {
	dir string
	now func() time.Time
	mu  sync.Mutex
}

// keepLeft is how long a VM that its host lists no more is kept.
const keepLeft = 7 * 24 * time.Hour

const (
	indexName = "index.json"
	suffix    = ".xml.gz"
	maxIndex  = 16 << 20
)

// Open opens the memory in a folder, which it makes if it is missing.
func Open(dir string, now func() time.Time) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("definitions: %w", err)
	}
	return &Store{dir: dir, now: now}, nil
}

// List makes these the VMs of a host, and says which of their definitions are
// wanted.
func (s *Store) List(host, name string, marks []Mark) (wanted []string, err error) {
	if !idPattern.MatchString(host) {
		return nil, fmt.Errorf("host %.80q is no member id", host)
	}
	if len(marks) > MaxVMs {
		return nil, fmt.Errorf("%d VMs of one host, at most %d are kept", len(marks), MaxVMs)
	}
	listed := map[string]bool{}
	for _, m := range marks {
		if err := m.check(); err != nil {
			return nil, err
		}
		if listed[m.VM] {
			return nil, fmt.Errorf("VM %s is listed twice", m.VM)
		}
		listed[m.VM] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.read(host)
	if errors.Is(err, fs.ErrNotExist) {
		if h, err = (Host{}), s.room(); err != nil {
			return nil, err
		}
	} else if err != nil {
		h = Host{} // a damaged index: the host tells everything anew
	}
	h.ID, h.Name, h.At = host, clip(name), s.now()
	if err := s.forget(&h, listed); err != nil {
		return nil, err
	}
	for _, m := range marks {
		i := slices.IndexFunc(h.VMs, func(v VM) bool { return v.VM == m.VM })
		if i >= 0 {
			h.VMs[i].Left = time.Time{}
		}
		if i < 0 || h.VMs[i].Sum != m.Sum || !s.has(host, m.VM) {
			wanted = append(wanted, m.VM)
		}
	}
	return wanted, s.write(h)
}

// forget notes which VMs are listed no more, and deletes those that are not
// since a week, or that are too many.
func (s *Store) forget(h *Host, listed map[string]bool) error {
	left := 0
	slices.SortFunc(h.VMs, func(a, b VM) int { return cmp.Or(b.Left.Compare(a.Left), cmp.Compare(a.VM, b.VM)) }) // the newest first
	var gone []string
	h.VMs = slices.DeleteFunc(h.VMs, func(v VM) bool {
		if listed[v.VM] {
			return false
		}
		left++
		if !v.Left.IsZero() && h.At.Sub(v.Left) > keepLeft || left > MaxVMs {
			gone = append(gone, v.VM)
			return true
		}
		return false
	})
	for i, v := range h.VMs {
		if !listed[v.VM] && v.Left.IsZero() {
			h.VMs[i].Left = h.At
		}
	}
	for _, vm := range gone {
		if err := os.Remove(s.file(h.ID, vm)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Keep keeps definitions of VMs that a host has listed.
func (s *Store) Keep(host string, all []Definition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !idPattern.MatchString(host) {
		return fmt.Errorf("host %.80q is no member id", host)
	}
	h, err := s.read(host)
	if err != nil {
		return fmt.Errorf("host %s has listed no VMs: %w", host, err)
	}
	for _, d := range all {
		if err := d.check(); err != nil {
			return err
		}
		if _, err := d.unpack(); err != nil {
			return err
		}
		i := slices.IndexFunc(h.VMs, func(v VM) bool { return v.VM == d.VM })
		if i < 0 {
			if len(h.VMs) >= 2*MaxVMs {
				return fmt.Errorf("host %s has more than %d VMs", host, 2*MaxVMs)
			}
			h.VMs, i = append(h.VMs, VM{}), len(h.VMs)
		}
		if err := writeFile(s.file(host, d.VM), d.XML); err != nil {
			return err
		}
		h.VMs[i] = VM{Mark: d.Mark, Name: d.Name, At: s.now()}
	}
	return s.write(h)
}

// Hosts lists what is remembered, by name. A host whose index cannot be read is
// left out: it tells everything anew with its next list.
func (s *Store) Hosts() ([]Host, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var out []Host
	for _, e := range entries {
		if h, err := s.read(e.Name()); err == nil && h.ID == e.Name() {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b Host) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// ErrNone says that nothing is remembered.
var ErrNone = errors.New("nothing is remembered")

// Host finds a host by its member id or its name. Of several that had one name
// it is the one that was heard last.
func (s *Store) Host(nameOrID string) (Host, error) {
	hosts, err := s.Hosts()
	if err != nil {
		return Host{}, err
	}
	var found *Host
	var names []string
	for i, h := range hosts {
		if (h.ID == nameOrID || h.Name == nameOrID) && (found == nil || h.At.After(found.At)) {
			found = &hosts[i]
		}
		names = append(names, h.Name)
	}
	if found == nil {
		return Host{}, fmt.Errorf("host %.80q: %w; there are %q", nameOrID, ErrNone, names)
	}
	return *found, nil
}

// Text is a VM's definition as a host last had it.
func (s *Store) Text(host, vm string) (string, error) {
	if !idPattern.MatchString(host) || !idPattern.MatchString(vm) {
		return "", fmt.Errorf("VM %.80q of host %.80q: %w", vm, host, ErrNone)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.read(host)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(h.VMs, func(v VM) bool { return v.VM == vm })
	if i < 0 {
		return "", fmt.Errorf("VM %s of host %s: %w", vm, h.Name, ErrNone)
	}
	data, err := readFile(s.file(host, vm), MaxBytes)
	if err != nil {
		return "", err
	}
	return Definition{Mark: h.VMs[i].Mark, XML: data}.unpack()
}

// room says whether another host may be remembered.
func (s *Store) room() error {
	entries, err := os.ReadDir(s.dir)
	if err == nil && len(entries) >= maxHosts {
		err = fmt.Errorf("definitions of %d hosts are kept in %s: delete the folders of hosts that are no more", len(entries), s.dir)
	}
	return err
}

func (s *Store) file(host, vm string) string { return filepath.Join(s.dir, host, vm+suffix) }

func (s *Store) has(host, vm string) bool {
	info, err := os.Stat(s.file(host, vm))
	return err == nil && info.Size() > 0
}

func (s *Store) read(host string) (h Host, err error) {
	data, err := readFile(filepath.Join(s.dir, host, indexName), maxIndex)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return Host{}, fmt.Errorf("%s: %w", filepath.Join(s.dir, host, indexName), err)
	}
	return h, nil
}

func (s *Store) write(h Host) error {
	slices.SortFunc(h.VMs, func(a, b VM) int { return cmp.Compare(a.VM, b.VM) })
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, h.ID), 0o700); err != nil {
		return err
	}
	return writeFile(filepath.Join(s.dir, h.ID, indexName), data)
}

func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, info.Size(), most)
	}
	return os.ReadFile(path)
}

// writeFile replaces a file whole, on the disk.
func writeFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func clip(name string) string { return strings.ToValidUTF8(name[:min(len(name), maxName)], "?") }
