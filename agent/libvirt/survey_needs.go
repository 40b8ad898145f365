package libvirt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Needs reads what every active VM needs, by UUID. A VM whose need cannot be
// read has one that says so; only a daemon that does not answer is an error.
func (s *Survey) Needs(ctx context.Context) (map[string]*cluster.Need, error) {
	var doms []golibvirt.Domain
	err := s.host.call(ctx, "list VMs", func(lv *golibvirt.Libvirt) error {
		var err error
		doms, _, err = lv.ConnectListAllDomains(1, golibvirt.ConnectListDomainsActive)
		return err
	})
	if err != nil {
		return nil, err
	}
	owned := s.owned()
	out := make(map[string]*cluster.Need, len(doms))
	for _, dom := range doms {
		n, err := s.need(ctx, dom, owned)
		switch {
		case errors.Is(err, ErrNoVM):
			continue // it has just ended
		case err != nil && !hasAnswer(err) && lost(err):
			return nil, err
		case err != nil:
			n = &cluster.Need{Unread: word(err.Error())}
		}
		out[formatUUID(dom.UUID)] = n
	}
	return out, nil
}

// lost says whether the daemon, not what it said, is the trouble.
func lost(err error) bool {
	return errors.Is(err, agent.ErrDisconnected) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Need reads what one VM needs now.
func (s *Survey) Need(ctx context.Context, vm string) (*cluster.Need, error) {
	dom, err := s.find(ctx, vm)
	if err != nil {
		return nil, err
	}
	return s.need(ctx, dom, s.owned())
}

func (s *Survey) find(ctx context.Context, vm string) (dom golibvirt.Domain, err error) {
	id, err := parseUUID(vm)
	if err != nil {
		return dom, err
	}
	err = s.host.call(ctx, "find VM "+vm, func(lv *golibvirt.Libvirt) error {
		dom, err = lookup(lv, id)
		return err
	})
	return dom, err
}

func (s *Survey) need(ctx context.Context, dom golibvirt.Domain, owned owned) (*cluster.Need, error) {
	var text string
	var snapshots, checkpoints int32
	err := s.host.call(ctx, "read a VM's definition", func(lv *golibvirt.Libvirt) error {
		var err error
		if text, err = lv.DomainGetXMLDesc(dom, 0); err != nil {
			return err
		}
		if snapshots, err = lv.DomainSnapshotNum(dom, 0); err != nil && !answered(err) {
			return err
		}
		_, checkpoints, err = lv.DomainListAllCheckpoints(dom, 0, 0)
		if err != nil && answered(err) {
			return nil // libvirt is older than checkpoints
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	w, err := parseNeed(text)
	if err != nil {
		return nil, err
	}
	n := &w.need
	n.Snapshots = int(max(snapshots, 0)) + int(max(checkpoints, 0))
	if n.Owner == "" {
		n.Owner = owned.of(formatUUID(dom.UUID), dom.Name)
	}
	if err := s.features(ctx, &w); err != nil {
		return nil, err
	}
	if err := s.place(ctx, dom, &w); err != nil {
		return nil, err
	}
	s.guard(dom, &w)
	return n, n.Valid()
}

// features are those of the guest's CPU that this host counts among its own
// guests': so that two equal hosts never seem to differ.
func (s *Survey) features(ctx context.Context, w *wanted) error {
	n := &w.need
	if w.cpuXML == "" {
		return nil
	}
	all, err := s.expand(ctx, n.Arch, n.Virt, w.cpuXML)
	if err != nil || all == nil {
		return err
	}
	own := s.ownFeatures(n.Arch, n.Virt)
	if own == nil {
		return nil
	}
	n.CPU.Features = []string{}
	for _, f := range all {
		if _, ok := slices.BinarySearch(own, f); ok {
			n.CPU.Features = append(n.CPU.Features, f)
		}
	}
	return nil
}

func (s *Survey) ownFeatures(arch, virt string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offered == nil {
		return nil
	}
	for _, g := range s.offered.Guests {
		if g.Arch == arch && g.Virt == virt {
			return g.Features
		}
	}
	return nil
}

// place finds out where the VM's disks lie.
func (s *Survey) place(ctx context.Context, dom golibvirt.Domain, w *wanted) error {
	if len(w.layers) == 0 {
		return nil
	}
	who := "self"
	if pid := s.host.qemus.fromPIDFile(formatUUID(dom.UUID), dom.Name); pid != 0 {
		who = strconv.Itoa(pid)
	}
	mounts, devices, err := s.places(who)
	if err != nil {
		return err
	}
	for _, l := range w.layers {
		if l.pool != "" {
			if l.source, err = s.volume(ctx, l); err != nil {
				return err
			}
		}
		d := diskOf(l, mounts, devices)
		if c, ok := copyable(l); ok && d.Storage == "" {
			d.Format, w.need.Copies = l.format, append(w.need.Copies, c)
		}
		w.need.Disks = add(w.need.Disks, d)
	}
	return nil
}

// guard says which lock manager alone keeps a second copy of the VM from running.
func (s *Survey) guard(dom golibvirt.Domain, w *wanted) {
	if w.def.locked {
		return
	}
	k, err := s.host.qemus.keeper()
	if err != nil {
		return // the offer tells of it
	}
	pid := s.host.qemus.fromPIDFile(formatUUID(dom.UUID), dom.Name)
	if g, ok := k.holds(w.def, dom.Name, pid); ok {
		w.need.LockedBy, w.need.LockSpaces = g.by, g.spaces
	}
}

// diskOf classifies one image.
func diskOf(l layer, mounts agent.Mounts, devices agent.Devices) cluster.Disk {
	src := l.source
	d := cluster.Disk{Target: l.target, Kind: word(src.Type), Cache: word(src.Cache), Media: l.media}
	switch src.Type {
	case "file", "dir":
		src.Path = mounts.Resolve(src.Path, os.Readlink)
		if m, ok := mounts.Of(src.Path); ok {
			d.Point = word(m.Point)
		}
	case "block":
		d.Point = word(src.Path)
		src.Path = mounts.Resolve(src.Path, os.Readlink)
	}
	d.Storage = word(agent.SharedAs(src, mounts, devices))
	return d
}

// volume asks libvirt where a pool's volume lies.
func (s *Survey) volume(ctx context.Context, l layer) (agent.DiskSource, error) {
	var path string
	err := s.host.call(ctx, "find a volume", func(lv *golibvirt.Libvirt) error {
		pool, err := lv.StoragePoolLookupByName(l.pool)
		if err != nil {
			return err
		}
		vol, err := lv.StorageVolLookupByName(pool, l.source.Name)
		if err != nil {
			return err
		}
		path, err = lv.StorageVolGetPath(vol)
		return err
	})
	if hasAnswer(err) {
		return l.source, nil // of no known place: it counts as the host's own
	}
	return ofVolume(l.source, path), err
}

// Busy says which job keeps a VM from being migrated now, "" if none does. A
// hung QEMU can hold it up: give it a deadline.
func (s *Survey) Busy(ctx context.Context, vm string) (string, error) {
	dom, err := s.find(ctx, vm)
	if err != nil {
		return "", err
	}
	var text string
	var kind int32
	err = s.host.call(ctx, "ask for the jobs of VM "+vm, func(lv *golibvirt.Libvirt) error {
		var err error
		if kind, _, err = lv.DomainGetJobStats(dom, 0); err != nil {
			return err
		}
		text, err = lv.DomainGetXMLDesc(dom, 0)
		return err
	})
	if err != nil {
		return "", err
	}
	if golibvirt.DomainJobType(kind) != golibvirt.DomainJobNone {
		return "a job of libvirt's (virsh domjobinfo)", nil
	}
	w, err := parseNeed(text)
	if err != nil {
		return "", err
	}
	return s.blockJob(ctx, dom, w.layers)
}

func (s *Survey) blockJob(ctx context.Context, dom golibvirt.Domain, layers []layer) (busy string, err error) {
	err = s.host.call(ctx, "ask for a VM's block jobs", func(lv *golibvirt.Libvirt) error {
		for i, l := range layers {
			if l.target == "" || i > 0 && layers[i-1].target == l.target {
				continue
			}
			found, _, _, _, _, err := lv.DomainGetBlockJobInfo(dom, l.target, 0)
			if err != nil && !answered(err) {
				return err
			}
			if err == nil && found == 1 {
				busy = fmt.Sprintf("a block job on disk %s (virsh blockjob)", l.target)
				return nil
			}
		}
		return nil
	})
	return busy, err
}
