package cluster

import (
	"fmt"
	"path"
	"slices"
	"time"
)

// CopyStorage is what becomes of the disks that only a VM's host has when the
// VM moves.
type CopyStorage string

// The policies; "" is off.
const (
	CopyStorageOff  CopyStorage = "off"  // such a VM does not move
	CopyStorageKeep CopyStorage = "keep" // they are copied; the old copies stay at the source
	CopyStorageMove CopyStorage = "move" // they are copied; the source deletes the old ones once both ends have proven the move done
)

func (c CopyStorage) valid() bool {
	return c == "" || slices.Contains([]CopyStorage{CopyStorageOff, CopyStorageKeep, CopyStorageMove}, c)
}

// Copies says whether disks are copied at all.
func (c CopyStorage) Copies() bool { return c == CopyStorageKeep || c == CopyStorageMove }

// DiskCopy is a disk that only its host has, and that libvirt can copy along
// with its VM: one image in a file, without others below it.
type DiskCopy struct {
	Target string `json:"target"` // "vda"
	Path   string `json:"path"`   // of the image, the same at both ends
	Format string `json:"format"` // see DiskFormats
	Size   Bytes  `json:"size"`   // as the guest sees it
	// Used is what its image holds, rounded up so that it rarely changes: what is
	// to be copied.
	Used Bytes `json:"used"`
}

// DiskFormats are the images that are copied.
var DiskFormats = []string{"raw", "qcow2"}

// Copied are a VM's disks that would be copied along with it.
type Copied struct {
	VM    string     `json:"vm"`
	Disks []DiskCopy `json:"disks"`
}

// Room is a directory of a host's in which its libvirt makes images: the place
// of an active storage pool.
type Room struct {
	Dir  string `json:"dir"`
	Free Bytes  `json:"free"` // rounded down so that it rarely changes
}

// Bounds of what is copied.
const (
	maxCopies   = 64             // disks of a VM
	maxRooms    = 256            // of a host
	maxDiskSize = Bytes(1 << 50) // as libvirt's job statistics
)

func checkCopies(list []DiskCopy) error {
	if len(list) > maxCopies {
		return refuse(CodeTooMany, "%d disks to copy, at most %d", len(list), maxCopies)
	}
	for i, c := range list {
		if err := checkDescribed(nil, []string{c.Target, c.Path}); err != nil {
			return err
		}
		switch {
		case !path.IsAbs(c.Path) || path.Clean(c.Path) != c.Path || path.Base(c.Path) == "/":
			return refuse(CodeAbsurdFigure, "disk %.60q lies at %.200q, which is no plain path", c.Target, c.Path)
		case c.Target == "" || !slices.Contains(DiskFormats, c.Format):
			return refuse(CodeAbsurdFigure, "disk %.60q has format %.20q, want one of %v", c.Target, c.Format, DiskFormats)
		case c.Size <= 0 || c.Size > maxDiskSize || c.Used < 0 || c.Used > maxDiskSize:
			return refuse(CodeAbsurdFigure, "disk %.60q has %d bytes, %d in use", c.Target, c.Size, c.Used)
		case slices.ContainsFunc(list[:i], func(o DiskCopy) bool { return o.Target == c.Target || o.Path == c.Path }):
			return refuse(CodeAbsurdFigure, "disk %.60q at %.200q is repeated", c.Target, c.Path)
		}
	}
	return nil
}

func checkRooms(list []Room) error {
	if len(list) > maxRooms {
		return refuse(CodeTooMany, "%d directories of storage pools, at most %d", len(list), maxRooms)
	}
	for i, r := range list {
		if err := checkDescribed(nil, []string{r.Dir}); err != nil {
			return err
		}
		if !path.IsAbs(r.Dir) || path.Clean(r.Dir) != r.Dir || r.Free < 0 || i > 0 && r.Dir <= list[i-1].Dir {
			return refuse(CodeAbsurdFigure, "storage pool at %.200q with %d bytes free is no plain path, repeated or out of order", r.Dir, r.Free)
		}
	}
	return nil
}

func checkCopied(list []Copied) error {
	if len(list) > MaxVMsPerHost {
		return refuse(CodeTooMany, "disks of %d VMs, at most %d", len(list), MaxVMsPerHost)
	}
	for i, c := range list {
		if !validID(c.VM) || i > 0 && c.VM <= list[i-1].VM || len(c.Disks) == 0 {
			return refuse(CodeAbsurdFigure, "VM %.40q, whose disks are its host's own, is no UUID, repeated, out of order or without a disk", c.VM)
		}
		if err := checkCopies(c.Disks); err != nil {
			return err
		}
	}
	return nil
}

// CopiesOf are the disks of a VM on a host that a move copies along by the
// policy, as the host has described them. They are shared: do not change them.
func (s State) CopiesOf(vm, host string) []DiskCopy {
	if !s.Settings.CopyStorage.Copies() {
		return nil
	}
	d, _ := s.descriptions.get(host)
	return d.Disks(vm)
}

// Guarded says whether a second copy of a VM that moves with such disks would
// be kept from running: by locks on its disks, which each end would hold on its
// own where they are copied.
func (vm VM) Guarded(copies []DiskCopy) bool { return vm.Lock == LockLockable && len(copies) == 0 }

// CopiedBytes is what the disks' images hold together.
func CopiedBytes(list []DiskCopy) (sum Bytes) {
	for _, c := range list {
		sum += c.Used
	}
	return sum
}

// FitCopies says what keeps a VM's own disks from being copied from one host's
// storage pools into another's.
func FitCopies(copies []DiskCopy, policy CopyStorage, from, to []Room) []Hindrance {
	if !policy.Copies() {
		return nil // Need.Stays tells of them
	}
	f := fitting{}
	needed := map[string]Bytes{}
	for _, c := range copies {
		dir := path.Dir(c.Path)
		i := slices.IndexFunc(to, func(r Room) bool { return r.Dir == dir })
		if i < 0 {
			f.hinder(CodeNoStoragePool, fmt.Sprintf("virsh pool-define-as NAME dir --target %s, pool-build, pool-start and pool-autostart, there", dir),
				"disk %s lies in %s, and no active storage pool of libvirt's has that directory there", c.Target, dir)
			continue
		}
		before := needed[dir]
		needed[dir] += c.Used
		if before <= to[i].Free && needed[dir] > to[i].Free {
			f.hinder(CodeNoStorageRoom, "make room there, or take the VM elsewhere", "its disks in %s hold %v, and %v are free there", dir, needed[dir], to[i].Free)
		}
	}
	f.returns(copies, policy, from)
	return f.out
}

// returns asks that a move which evenkeel begins by itself could be undone: an
// old copy would be in the way of the VM's coming back.
func (f *fitting) returns(copies []DiskCopy, policy CopyStorage, from []Room) {
	for _, c := range copies {
		dir := path.Dir(c.Path)
		covered := slices.ContainsFunc(from, func(r Room) bool { return r.Dir == dir })
		text, remedy := "", ""
		switch {
		case policy == CopyStorageKeep:
			text, remedy = "its old disk would stay on its host, in the way of its coming back", "evenkeel policy set copy_storage=move, or move it yourself"
		case !covered:
			text = fmt.Sprintf("its old disk %s could not be deleted on its host, for no active storage pool has %s there", c.Target, dir)
			remedy = "define one there, or move it yourself"
		default:
			continue
		}
		f.out = append(f.out, Hindrance{Code: CodeOneWay, Text: text, Remedy: remedy, Auto: true})
		return
	}
}

// CopyEnd is the end of a move that copied disks, for its ends to clean up by:
// the target deletes what it made for a move that is not done, the source its
// old copies after one that is.
type CopyEnd struct {
	Move  string    `json:"move"`
	State MoveState `json:"state"`
}

// copyEndsFor bounds how long a member hears of the end of a move. One that was
// away for longer leaves its files to a person.
const copyEndsFor = 24 * time.Hour

// copyOrderedWithin bounds how old a move may be whose end is told of: a person
// may take days to resolve an unknown one.
const copyOrderedWithin = 7 * 24 * time.Hour

// maxCopyEnds bounds a view.
const maxCopyEnds = 64

// copyEnds lists the ends of the newest moves that copied disks from or to a
// member.
func (s State) copyEnds(member string) (out []CopyEnd) {
	for _, m := range s.moves.backward() {
		if s.Now.Sub(m.OrderedAt) > copyOrderedWithin || len(out) == maxCopyEnds {
			break
		}
		if len(m.Copies) > 0 && !m.State.Live() && s.Now.Sub(m.EndedAt) < copyEndsFor && (m.Source == member || m.Target == member) {
			out = append(out, CopyEnd{m.ID, m.State})
		}
	}
	return out
}
