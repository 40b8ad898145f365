package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Images makes and deletes images of disks on this host. libvirt does both: it
// keeps to the directories of its storage pools, and evenkeeld needs no right
// to write there.
type Images interface {
	// Make makes an empty image of a size that a guest sees, where there is none.
	Make(ctx context.Context, path, format string, size cluster.Bytes) error
	// Delete deletes an image.
	Delete(ctx context.Context, path string) error
	// Identify tells an image from another that takes its name; fs.ErrNotExist if
	// nothing has it.
	Identify(path string) (FileID, error)
}

// FileID is a file's identity while its file system is mounted.
type FileID struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// imageTime bounds the making or deleting of one image.
const imageTime = 20 * time.Second

// makeImages makes the images that a VM's disks are copied into, as the
// target's last step before it agrees. What it makes is noted first, so that it
// is deleted if the VM does not come, whatever becomes of this daemon; what lay
// there before is nobody's to overwrite.
func (x *Executor) makeImages(ctx context.Context, m cluster.Move) *cluster.Refusal {
	if len(m.Copies) == 0 {
		return nil
	}
	if x.cfg.Images == nil {
		return &cluster.Refusal{Code: cluster.CodeNotReady, Text: "the target makes no images"}
	}
	note, known, err := x.cfg.Journal.GetDisks(m.ID)
	if err != nil {
		return &cluster.Refusal{Code: cluster.CodeNotReady, Text: err.Error()}
	}
	if !known {
		note = DiskNote{Move: m.ID, VM: m.VM, Made: true}
	}
	if r := x.room(ctx, m, note); r != nil {
		return r
	}
	for _, c := range m.Copies {
		if r := x.makeImage(ctx, &note, c); r != nil {
			return r
		}
	}
	return nil
}

// room holds the disks against what is free at this moment.
func (x *Executor) room(ctx context.Context, m cluster.Move, note DiskNote) *cluster.Refusal {
	if x.cfg.Survey == nil || len(note.Images) > 0 {
		return nil
	}
	rooms, err := x.cfg.Survey.Rooms(ctx)
	if err != nil {
		return notRead("the target's storage pools", err)
	}
	for _, h := range cluster.FitCopies(m.Copies, m.CopyStorage, rooms, rooms) {
		if !h.Auto { // whether it could come back is the source's to say
			return h.Refusal()
		}
	}
	return nil
}

func (x *Executor) makeImage(ctx context.Context, note *DiskNote, c cluster.DiskCopy) *cluster.Refusal {
	i := slices.IndexFunc(note.Images, func(n NotedImage) bool { return n.Path == c.Path })
	id, err := x.cfg.Images.Identify(c.Path)
	switch {
	case err == nil && i >= 0 && note.Images[i].FileID == id:
		return nil // this is a second consent to the same move
	case err == nil:
		return &cluster.Refusal{Code: cluster.CodeDiskInTheWay, Text: fmt.Sprintf("disk %s would be copied to %s, and a file is there already; look whether it is an old copy, and delete or rename it", c.Target, c.Path)}
	case !errors.Is(err, fs.ErrNotExist):
		return notRead(c.Path+" at the target", err)
	}
	if i < 0 {
		i, note.Images = len(note.Images), append(note.Images, NotedImage{Path: c.Path})
	}
	if err := x.cfg.Journal.PutDisks(*note); err != nil {
		return &cluster.Refusal{Code: cluster.CodeNotReady, Text: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, imageTime)
	defer cancel()
	if err := x.cfg.Images.Make(ctx, c.Path, c.Format, c.Size); err != nil {
		return &cluster.Refusal{Code: cluster.CodeNoStoragePool, Text: fmt.Sprintf("libvirt at the target does not make %s: %v", c.Path, err)}
	}
	if note.Images[i].FileID, err = x.cfg.Images.Identify(c.Path); err == nil {
		err = x.cfg.Journal.PutDisks(*note)
	}
	if err != nil {
		return notRead(c.Path+" at the target", err)
	}
	return nil
}

// noteImages notes at the source which images are the old copies once the move
// is done, if they are to be deleted then.
func (x *Executor) noteImages(m cluster.Move) *cluster.Refusal {
	if m.CopyStorage != cluster.CopyStorageMove || m.Try {
		return nil
	}
	if x.cfg.Images == nil {
		return &cluster.Refusal{Code: cluster.CodeNotReady, Text: "the source deletes no images"}
	}
	note := DiskNote{Move: m.ID, VM: m.VM}
	for _, c := range m.Copies {
		id, err := x.cfg.Images.Identify(c.Path)
		if err != nil {
			return notRead(c.Path, err)
		}
		note.Images = append(note.Images, NotedImage{c.Path, id})
	}
	if err := x.cfg.Journal.PutDisks(note); err != nil {
		return &cluster.Refusal{Code: cluster.CodeNotReady, Text: err.Error()}
	}
	return nil
}

// sameDisks says what changed in a VM's disks since its move was ordered, or nil:
// the target has made images for those of the order.
func sameDisks(m cluster.Move, now []cluster.DiskCopy) *cluster.Refusal {
	if m.CopyStorage == "" {
		return nil
	}
	same := slices.EqualFunc(m.Copies, now, func(a, b cluster.DiskCopy) bool {
		return a.Target == b.Target && a.Path == b.Path && a.Format == b.Format && a.Size == b.Size
	})
	if same {
		return nil
	}
	return &cluster.Refusal{Code: cluster.CodeStalePlan, Text: "the VM's disks are no longer those that were to be copied: one was added, taken away or resized"}
}

// clearImages deletes what moves that have ended left behind: at the target
// images of a VM that did not come, at the source those of one that has left.
func (x *Executor) clearImages(ctx context.Context, v cluster.View) {
	if x.cfg.Images == nil {
		return
	}
	for _, s := range v.CopyEnds {
		if x.isBusy(s.Move) || x.clearing[s.Move] > x.cfg.Uptime() {
			continue
		}
		note, known, err := x.cfg.Journal.GetDisks(s.Move)
		if err != nil {
			x.log.Error("which disks a move left cannot be read; look for them", "move", s.Move, "err", err)
			x.clearing[s.Move] = x.cfg.Uptime() + time.Hour
			continue
		}
		if !known {
			delete(x.clearing, s.Move)
			continue
		}
		x.clearing[s.Move] = x.cfg.Uptime() + clearEvery
		x.wg.Go(func() {
			if err := x.clear(ctx, note, s.State == cluster.MoveDone); err != nil {
				x.log.Warn("disks of a move stay, which nobody needs", "move", note.Move, "vm", note.VM, "err", err)
			}
		})
	}
}

// clearEvery is how often the same move's images are tried to be deleted.
const clearEvery = 30 * time.Second

// clear deletes the images of a note if the move's end makes them nobody's, and
// forgets the note. That the VM is not here is looked at now.
func (x *Executor) clear(ctx context.Context, note DiskNote, done bool) error {
	if note.Made == done {
		return x.cfg.Journal.DropDisks(note.Move) // the VM has come, or has stayed: they are its disks
	}
	if err := x.without(ctx, note); err != nil {
		return err
	}
	for _, i := range note.Images {
		id, err := x.cfg.Images.Identify(i.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case i.FileID == FileID{} || id != i.FileID:
			x.log.Warn("a file has the name of a move's disk, and may be another: it stays", "move", note.Move, "path", i.Path)
			continue
		}
		asked, cancel := context.WithTimeout(ctx, imageTime)
		err = x.cfg.Images.Delete(asked, i.Path)
		cancel()
		if err != nil {
			return fmt.Errorf("delete %s: %w", path.Clean(i.Path), err)
		}
		x.log.Info("deleted a disk that a move left", "move", note.Move, "vm", note.VM, "path", i.Path, "made for it", note.Made)
	}
	return x.cfg.Journal.DropDisks(note.Move)
}

// without says why the VM of a note may still need its images here, or nil. What
// a failed move's target keeps defined is not known to be without use; a source
// may keep its definition by policy.
func (x *Executor) without(ctx context.Context, note DiskNote) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := x.cfg.Hypervisor.Look(ctx, note.VM)
	switch {
	case err != nil:
		return err
	case s.State != RunStateAbsent || s.Process || s.JobRunning:
		return errors.New("the VM is still here")
	case !note.Made:
		return nil
	}
	if _, err := x.cfg.Hypervisor.Definition(ctx, note.VM); !errors.Is(err, ErrNoVM) {
		return errors.Join(errors.New("libvirt has a definition of the VM here"), err)
	}
	return nil
}
