package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// How often this host and its VMs are looked at anew. A VM that has just come
// is read at once; what an operator changes in a running one, and what changes
// on the host, is seen within these.
const (
	offerEvery    = time.Minute
	needsEvery    = 5 * time.Minute
	describeWait  = 2 * time.Second  // between two surveys
	describeAgain = 15 * time.Second // after one that failed, and for a view to show what was said
	surveyLimit   = 30 * time.Second
)

// description is what was read of this host and its VMs, and what of it was
// said; describe's alone.
type description struct {
	offer   *cluster.Offer
	rooms   []cluster.Room
	needs   map[string]*cluster.Need
	starts  []string // that were off at two readings
	off     []string // at the last one
	listing uint64   // revision of the inventory as starts were read
	offerAt time.Duration
	needsAt time.Duration
	next    time.Duration // not before
	again   time.Duration // when to try those anew that could not be read

	revision uint64
	said     [sha256.Size]byte // of what revision said
	saidAt   time.Duration
}

// lost says whether the State does not have what was said, though it took it.
func (d *description) lost(described uint64, now time.Duration) bool {
	return described != d.revision && now-d.saidAt >= describeAgain
}

// describe tells the State what this host offers and what its VMs need, when
// that changes, until ctx ends.
func (a *Agent) describe(ctx context.Context) {
	if a.cfg.Survey == nil {
		return
	}
	d := description{needs: map[string]*cluster.Need{}}
	for pause(ctx, sampleEvery) == nil {
		now := a.cfg.Uptime()
		if now < d.next || !a.announced() || !a.lookAnew(&d, now) {
			continue
		}
		d.next = now + describeWait
		err := a.surveyed(ctx, &d, now)
		if err == nil {
			err = a.tellDescription(ctx, &d, now)
		}
		if err != nil {
			d.next = now + describeAgain
			a.log.Warn("this host and its VMs are not described", "err", err)
		}
	}
}

// lookAnew says whether there is anything to read or to say.
func (a *Agent) lookAnew(d *description, now time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.libvirt != nil {
		return false
	}
	return d.offer == nil || now-d.offerAt >= offerEvery || d.listing != a.register.now.Revision || now-d.needsAt >= needsEvery || d.lost(a.view.Described, now) || len(a.unread(d, now)) > 0
}

// unread are the VMs here whose need has not been read, or could not be a
// while ago; a.mu is held.
func (a *Agent) unread(d *description, now time.Duration) (vms []string) {
	for _, vm := range a.register.now.VMs {
		n := d.needs[vm.UUID]
		if !vm.Incoming && (n == nil || n.Unread != "" && now >= d.again) {
			vms = append(vms, vm.UUID)
		}
	}
	return vms
}

// surveyed reads what is due.
func (a *Agent) surveyed(ctx context.Context, d *description, now time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, surveyLimit)
	defer cancel()
	if d.offer == nil || now-d.offerAt >= offerEvery {
		o, err := a.cfg.Survey.Offer(ctx)
		if err != nil {
			return err
		}
		rooms, err := a.cfg.Survey.Rooms(ctx)
		if err != nil {
			return err
		}
		d.rooms = steadyRooms(d.rooms, rooms)
		d.offer, d.offerAt, d.listing = o, now, 0
	}
	if err := a.surveyStarts(ctx, d); err != nil {
		return err
	}
	if d.needsAt == 0 || now-d.needsAt >= needsEvery {
		needs, err := a.cfg.Survey.Needs(ctx)
		if err != nil {
			return err
		}
		d.needs, d.needsAt = needs, now
	}
	a.mu.Lock()
	fresh := a.unread(d, now)
	here := make(map[string]bool, len(a.register.now.VMs))
	for _, vm := range a.register.now.VMs {
		here[vm.UUID] = true
	}
	a.mu.Unlock()
	maps.DeleteFunc(d.needs, func(vm string, _ *cluster.Need) bool { return !here[vm] })
	for _, vm := range fresh {
		n, err := a.cfg.Survey.Need(ctx, vm)
		if err != nil {
			// It may have ended; if not, saying why is better than silence.
			n = &cluster.Need{Unread: cluster.Printable(err.Error()[:min(len(err.Error()), 200)])}
			d.again = now + describeAgain
		}
		d.needs[vm] = n
	}
	return nil
}

// surveyStarts reads which VMs libvirt starts with this host, with the offer
// and whenever VMs came or went. A VM that leaves is off for a moment before
// its definition goes: one counts when two readings in a row have it.
func (a *Agent) surveyStarts(ctx context.Context, d *description) error {
	a.mu.Lock()
	listing := a.register.now.Revision // before they are read
	a.mu.Unlock()
	if d.listing == listing {
		return nil
	}
	starts, err := a.cfg.Survey.Starts(ctx)
	if err != nil {
		return err
	}
	if len(starts) > cluster.MaxVMsPerHost {
		a.log.Warn("too many VMs are started with this host: the others are not looked at", "vms", len(starts), "looked at", cluster.MaxVMsPerHost)
		starts = starts[:cluster.MaxVMsPerHost]
	}
	d.starts = slices.DeleteFunc(slices.Clone(starts), func(vm string) bool { return !slices.Contains(d.off, vm) })
	if d.off = starts; len(d.starts) == len(starts) {
		d.listing = listing // else there is another look, describeWait later
	}
	return nil
}

// tellDescription commits what was read, unless the State has just that.
func (a *Agent) tellDescription(ctx context.Context, d *description, now time.Duration) error {
	body := d.body(a.cfg.Member.Incarnation)
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	a.mu.Lock()
	known := d.revision != 0 && !d.lost(a.view.Described, now)
	a.mu.Unlock()
	if known && sum == d.said {
		return nil
	}
	d.revision++
	body.Revision = d.revision
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := commit(ctx, a.cfg.Uplink, body); err != nil {
		return err
	}
	d.said, d.saidAt = sum, a.cfg.Uptime()
	a.log.Debug("described", "revision", d.revision, "vms", len(body.VMs), "needs", len(body.Needs), "bytes", len(data))
	return nil
}

// body puts equal needs together; its revision is for the caller.
func (d *description) body(incarnation uint64) cluster.Describe {
	b := cluster.Describe{Incarnation: incarnation, Offer: d.offer, Starts: d.starts, Rooms: d.rooms}
	places := map[string]int{}
	for _, vm := range slices.Sorted(maps.Keys(d.needs)) {
		data, err := json.Marshal(d.needs[vm])
		if err != nil {
			continue // strings and numbers only: it cannot be
		}
		i, ok := places[string(data)]
		if !ok {
			i = len(b.Needs)
			places[string(data)] = i
			b.Needs = append(b.Needs, d.needs[vm])
		}
		b.VMs = append(b.VMs, cluster.Needy{VM: vm, Need: i})
		if copies := d.needs[vm].Copies; len(copies) > 0 {
			b.Copied = append(b.Copied, cluster.Copied{VM: vm, Disks: copies})
		}
		if n := d.needs[vm]; len(n.Metas) > 0 || n.Wrong != "" {
			b.Metas = append(b.Metas, cluster.MetaRules{VM: vm, Rules: n.Metas, Wrong: n.Wrong})
		}
	}
	return b
}
