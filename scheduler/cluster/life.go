package cluster

import (
	"cmp"
	"slices"
	"time"
)

// Life is what a VM shows of itself beside the CPU time that it takes, per
// second; -1 where it is not measured.
type Life struct {
	Requests int64          // of its disks
	Received BytesPerSecond // over its interfaces
	Layer    BlockLayer     // where the requests were counted: what a cache serves, one layer sees and another does not
}

// unknownLife is of a VM of which nothing is measured.
var unknownLife = Life{Requests: -1, Received: -1}

// life reads the signs from a window of vitals.
func (d Detail) life(vitals time.Duration) Life {
	out := unknownLife
	seconds := int64(vitals / time.Second)
	if seconds <= 0 {
		return out
	}
	if b := d.Block; b != nil {
		out.Layer, out.Requests = b.Layer, int64(b.Read.Requests+b.Write.Requests+b.Flush.Requests)/seconds
	}
	if n := d.Network; n != nil {
		out.Received = BytesPerSecond(int64(n.ReceivedBytes) / seconds)
	}
	return out
}

// least takes the lesser of each sign; what is not measured says nothing, nor
// what an older one counted elsewhere.
func (l Life) least(older Life) Life {
	l.Received = leastKnown(l.Received, older.Received)
	if l.Layer == "" {
		l.Layer = older.Layer
	}
	if older.Layer == l.Layer {
		l.Requests = leastKnown(l.Requests, older.Requests)
	}
	return l
}

// elsewhere says that both count requests, on different layers.
func (l Life) elsewhere(o Life) bool { return l.Layer != "" && o.Layer != "" && l.Layer != o.Layer }

func leastKnown[T int64 | BytesPerSecond](a, b T) T {
	if a < 0 || b < 0 {
		return max(a, b)
	}
	return min(a, b)
}

// LifeOf is what the VM in a slot shows in the newest window.
func (h Host) LifeOf(slot uint32) Life {
	d, vitals, ok := h.Detail(slot)
	if !ok {
		return unknownLife
	}
	return d.life(vitals)
}

// LifeFloor is the least that the VM in a slot showed in any window of the last
// half hour to hour; nothing is known of one that was watched for less than
// [lifeWatched].
func (h Host) LifeFloor(slot uint32) Life {
	now, ok := at(h.lives.now, slot)
	if !ok || h.DetailsAt.seconds()-now.since < int64(lifeWatched/time.Second) {
		return unknownLife
	}
	if past, ok := at(h.lives.past, slot); ok {
		return now.least(past.Life)
	}
	return now.Life
}

const (
	lifeWatched = 5 * time.Minute
	lifeKept    = 30 * time.Minute
)

// lives keeps the least signs of life of a host's VMs: of the present half hour
// and of the one before. It is a value that shares memory with those before it:
// what its slices point to never changes.
type lives struct {
	began     int64 // the present half hour, in seconds
	now, past []slotLife
}

// slotLife is a VM's; slices of it are sorted by slot.
type slotLife struct {
	slot  uint32
	since int64 // seconds: when the VM was first seen in the slot
	Life
}

func (t Time) seconds() int64 { return int64(t) / int64(time.Second) }

func at(list []slotLife, slot uint32) (slotLife, bool) {
	i, ok := slices.BinarySearchFunc(list, slot, func(l slotLife, slot uint32) int { return cmp.Compare(l.slot, slot) })
	if !ok {
		return slotLife{}, false
	}
	return list[i], true
}

// add takes a window of vitals.
func (l *lives) add(now Time, ds *Details) {
	if ds.Vitals < time.Second {
		return
	}
	if now.seconds()-l.began >= int64(lifeKept/time.Second) {
		l.began, l.past, l.now = now.seconds(), l.now, nil
	}
	out, changed := make([]slotLife, 0, len(ds.VMs)), false
	old := l.now
	for i := range ds.VMs {
		d := &ds.VMs[i]
		for len(old) > 0 && old[0].slot < d.Slot {
			out, old = append(out, old[0]), old[1:]
		}
		is := slotLife{d.Slot, now.seconds(), d.life(ds.Vitals)}
		switch was, known := at(l.past, d.Slot); {
		case len(old) > 0 && old[0].slot == d.Slot && is.elsewhere(old[0].Life):
			changed = true
			old = old[1:]
		case len(old) > 0 && old[0].slot == d.Slot:
			is.since, is.Life = old[0].since, is.least(old[0].Life)
			changed = changed || is != old[0]
			old = old[1:]
		case known && !is.elsewhere(was.Life):
			is.since, changed = was.since, true
		default:
			changed = true
		}
		out = append(out, is)
	}
	if changed {
		l.now = append(out, old...)
	}
}

// regroup forgets the slots that have another VM now, or none.
func (l *lives) regroup(before, after []VM) {
	stays := make(map[uint32]bool, len(after))
	for _, vm := range after {
		if was, ok := (Inventory{VMs: before}).BySlot(vm.Slot); ok && was.UUID == vm.UUID {
			stays[vm.Slot] = true
		}
	}
	gone := func(s slotLife) bool { return !stays[s.slot] }
	for _, list := range []*[]slotLife{&l.now, &l.past} {
		if slices.ContainsFunc(*list, gone) {
			*list = slices.DeleteFunc(slices.Clone(*list), gone)
		}
	}
}

// lifeLayers are numbered at rest by their place.
var lifeLayers = []BlockLayer{"", LayerDevice, LayerQEMU}

// livesFile is what is known of VMs' lives, at rest: each as slot, since,
// requests, bytes and layer.
type livesFile struct {
	Began int64      `json:"began"`
	Now   [][5]int64 `json:"now,omitempty"`
	Past  [][5]int64 `json:"past,omitempty"`
}

func (l lives) file() *livesFile {
	if l.began == 0 {
		return nil
	}
	rows := func(list []slotLife) (out [][5]int64) {
		for _, s := range list {
			out = append(out, [5]int64{int64(s.slot), s.since, s.Requests, int64(s.Received), int64(slices.Index(lifeLayers, s.Layer))})
		}
		return out
	}
	return &livesFile{l.began, rows(l.now), rows(l.past)}
}

// lives reads what file wrote.
func (f *livesFile) lives() (lives, error) {
	if f == nil {
		return lives{}, nil
	}
	l := lives{began: f.Began}
	for _, part := range []struct {
		rows [][5]int64
		list *[]slotLife
	}{{f.Now, &l.now}, {f.Past, &l.past}} {
		last := int64(-1)
		for _, r := range part.rows {
			if r[0] <= last || r[0] >= MaxSlot || len(part.rows) > MaxSlot {
				return lives{}, refuse(CodeAbsurdFigure, "lives: slot %d is repeated, out of order or too large", r[0])
			}
			if r[4] < 0 || r[4] >= int64(len(lifeLayers)) {
				return lives{}, refuse(CodeAbsurdFigure, "lives: slot %d: layer %d is not known", r[0], r[4])
			}
			last = r[0]
			*part.list = append(*part.list, slotLife{uint32(r[0]), r[1], Life{r[2], BytesPerSecond(r[3]), lifeLayers[r[4]]}})
		}
	}
	return l, nil
}
