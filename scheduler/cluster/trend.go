package cluster

import (
	"slices"
	"time"
)

// Minute is what a host and its VMs did in one minute, in the short form of
// figures: CPU time within 3.3 %, ratios within 2.5 %.
type Minute struct {
	At      Time       `json:"at"`       // when it began
	Use     MilliCPU   `json:"use"`      // mean over the minute
	UseMax  MilliCPU   `json:"use_max"`  // the largest that a snapshot told
	Pain    Ratio      `json:"pain"`     // mean, see [Load.Pain]
	PainMax Ratio      `json:"pain_max"` //
	VMs     []MinuteVM `json:"vms"`      // sorted by slot
}

// MinuteVM is one VM's part of a minute.
type MinuteVM struct {
	Slot    uint32   `json:"slot"`
	Run     MilliCPU `json:"run"` // mean
	RunMax  MilliCPU `json:"run_max"`
	Pain    Ratio    `json:"pain"` // mean, see [VMLoad.Pain]
	PainMax Ratio    `json:"pain_max"`
}

// MaxMinutes is how many minutes of a host the State keeps at least, if the
// host spoke in them.
const MaxMinutes = 60

// Minutes returns the minutes that are over, oldest first. A slot's figures of
// the time before its present VM came are left out.
func (h Host) Minutes() []Minute {
	out := h.trend.minutes()
	for i := range out {
		m := &out[i]
		m.VMs = slices.DeleteFunc(m.VMs, func(v MinuteVM) bool { return m.At < h.trend.bornAt(v.Slot) })
	}
	return out
}

// trend keeps a host's minutes. It is a value that shares memory with those
// before it: what its slices point to never changes.
type trend struct {
	chunks []chunk // oldest first
	now    minuteSum
	born   []birth // sorted by slot
}

// A chunk is some minutes in a row, written down: the first whole, the others
// as what changed since the one before.
type chunk struct {
	minutes int
	data    string
}

// chunkMinutes bounds a chunk: one is dropped when the others suffice.
const chunkMinutes = 10

// birth says when a slot's VM came, as far as the minutes go back.
type birth struct {
	slot uint32
	at   Time
}

// minuteSum adds up the present minute. Figures weigh by the time for which
// they are the newest.
type minuteSum struct {
	minute int64 // since the epoch
	host   sum
	vms    []slotSum // sorted by slot
}

type slotSum struct {
	slot uint32
	sum
}

// sum is of CPU time and pain: products with milliseconds, and maxima.
type sum struct {
	weight          uint32 // ms
	cpuMax, painMax int32  // mCPU, ppm
	cpu, pain       int64
}

func (s *sum) add(cpu MilliCPU, pain Ratio, weight uint32) {
	s.weight += weight
	s.cpu += int64(cpu) * int64(weight)
	s.pain += int64(pain) * int64(weight)
	s.cpuMax, s.painMax = max(s.cpuMax, int32(cpu)), max(s.painMax, int32(pain))
}

func (s *sum) means() (cpu, cpuMax MilliCPU, pain, painMax Ratio) {
	w := int64(max(s.weight, 1))
	round := func(sc *scale, v int64) int64 { return sc.values[sc.nearest(v)] }
	return MilliCPU(round(cpuScale, s.cpu/w)), MilliCPU(round(cpuScale, int64(s.cpuMax))),
		Ratio(round(ratioScale, s.pain/w)), Ratio(round(ratioScale, int64(s.painMax)))
}

// add takes a beat that stood for so long.
func (t *trend) add(now Time, l *Load, stood time.Duration) {
	minute := int64(now) / int64(time.Minute)
	if minute != t.now.minute {
		t.close()
		t.now = minuteSum{minute: minute}
	}
	weight := uint32(max(stood.Milliseconds(), 1))
	t.now.host.add(l.Use, l.Pain(), weight)
	old := t.now.vms
	vms := make([]slotSum, 0, max(len(old), len(l.VMs)))
	for i := range l.VMs {
		v := &l.VMs[i]
		for len(old) > 0 && old[0].slot < v.Slot {
			vms = append(vms, old[0])
			old = old[1:]
		}
		s := slotSum{slot: v.Slot}
		if len(old) > 0 && old[0].slot == v.Slot {
			s = old[0]
			old = old[1:]
		}
		s.add(v.Run, v.Pain(), weight)
		vms = append(vms, s)
	}
	t.now.vms = append(vms, old...)
}

// regroup forgets the present minute's sums of slots that have another VM now,
// and notes when that came.
func (t *trend) regroup(before, after []VM, now Time) {
	old := make(map[uint32]string, len(before))
	for _, vm := range before {
		old[vm.Slot] = vm.UUID
	}
	var born []birth
	for _, vm := range after {
		if at := t.bornAt(vm.Slot); old[vm.Slot] == vm.UUID && at != 0 {
			born = append(born, birth{vm.Slot, at})
		} else if old[vm.Slot] != vm.UUID {
			born = append(born, birth{vm.Slot, now})
		}
	}
	if len(before) == 0 && len(t.chunks) == 0 {
		born = nil // there is no time before
	}
	t.born = born
	fresh := func(s slotSum) bool { return t.bornAt(s.slot) == now }
	if slices.ContainsFunc(t.now.vms, fresh) {
		t.now.vms = slices.DeleteFunc(slices.Clone(t.now.vms), fresh)
	}
}

func (t *trend) bornAt(slot uint32) Time {
	i, ok := slices.BinarySearchFunc(t.born, slot, func(b birth, slot uint32) int { return int(b.slot) - int(slot) })
	if !ok {
		return 0
	}
	return t.born[i].at
}

// close writes the present minute down.
func (t *trend) close() {
	if t.now.host.weight == 0 {
		return
	}
	m := Minute{At: Time(t.now.minute * int64(time.Minute))}
	m.Use, m.UseMax, m.Pain, m.PainMax = t.now.host.means()
	m.VMs = make([]MinuteVM, len(t.now.vms))
	for i := range t.now.vms {
		s, v := &t.now.vms[i], &m.VMs[i]
		v.Slot = s.slot
		v.Run, v.RunMax, v.Pain, v.PainMax = s.means()
	}
	t.append(m)
	oldest := m.At.Add(-(MaxMinutes + chunkMinutes) * time.Minute)
	if slices.ContainsFunc(t.born, func(b birth) bool { return b.at < oldest }) {
		t.born = slices.DeleteFunc(slices.Clone(t.born), func(b birth) bool { return b.at < oldest })
	}
}

func (t *trend) append(m Minute) {
	chunks := slices.Clone(t.chunks)
	var last Minute
	var w writer
	if n := len(chunks); n > 0 && chunks[n-1].minutes < chunkMinutes {
		all, _ := chunks[n-1].read(nil)
		last = all[len(all)-1]
	}
	if last.At == 0 || !coversMinute(m.VMs, last.VMs) {
		w.minute(m, Minute{})
		chunks = append(chunks, chunk{1, string(w.data)})
	} else {
		end := &chunks[len(chunks)-1]
		w.data = append(w.data, end.data...)
		w.minute(m, last)
		*end = chunk{end.minutes + 1, string(w.data)}
	}
	total := 0
	for _, c := range chunks {
		total += c.minutes
	}
	for total-chunks[0].minutes >= MaxMinutes {
		total -= chunks[0].minutes
		chunks = chunks[1:]
	}
	t.chunks = slices.Clip(chunks)
}

func coversMinute(vms, base []MinuteVM) bool {
	for _, b := range base {
		for len(vms) > 0 && vms[0].Slot < b.Slot {
			vms = vms[1:]
		}
		if len(vms) == 0 || vms[0].Slot != b.Slot {
			return false
		}
	}
	return true
}

func (t *trend) minutes() (out []Minute) {
	for _, c := range t.chunks {
		out, _ = c.read(out)
	}
	return out
}

// read appends a chunk's minutes.
func (c chunk) read(out []Minute) ([]Minute, error) {
	r := &reader{data: []byte(c.data), what: "minutes"}
	var last Minute
	for range c.minutes {
		last = r.minute(last)
		if r.err != nil {
			return out, r.err
		}
		out = append(out, last)
	}
	return out, r.end()
}

// minute writes the minutes since the one before, then the codes of what
// differs from it.
func (w *writer) minute(m, last Minute) {
	w.uint(uint64(m.At-last.At) / uint64(time.Minute))
	for _, v := range []struct {
		s *scale
		v int64
	}{{cpuScale, int64(m.Use)}, {cpuScale, int64(m.UseMax)}, {ratioScale, int64(m.Pain)}, {ratioScale, int64(m.PainMax)}} {
		w.byte(byte(v.s.nearest(v.v)))
	}
	var body writer
	old, next, n := last.VMs, uint32(0), 0
	for _, v := range m.VMs {
		for len(old) > 0 && old[0].Slot < v.Slot {
			old = old[1:]
		}
		if len(old) > 0 && old[0] == v {
			continue
		}
		body.uint(uint64(v.Slot - next))
		body.byte(byte(cpuScale.nearest(int64(v.Run))))
		body.byte(byte(cpuScale.nearest(int64(v.RunMax))))
		body.byte(byte(ratioScale.nearest(int64(v.Pain))))
		body.byte(byte(ratioScale.nearest(int64(v.PainMax))))
		next = v.Slot + 1
		n++
	}
	w.uint(uint64(n))
	w.data = append(w.data, body.data...)
}

func (r *reader) coded(s *scale) int64 {
	code := int(r.byte())
	if code >= len(s.values) {
		r.fail("code %d of %d", code, len(s.values))
		return 0
	}
	return s.values[code]
}

func (r *reader) minute(last Minute) (m Minute) {
	passed := r.uint()
	if passed == 0 || passed > uint64(maxTime)/uint64(time.Minute) {
		r.fail("%d minutes after the one before", passed)
		return m
	}
	m.At = last.At.Add(time.Duration(passed) * time.Minute)
	m.Use, m.UseMax = MilliCPU(r.coded(cpuScale)), MilliCPU(r.coded(cpuScale))
	m.Pain, m.PainMax = Ratio(r.coded(ratioScale)), Ratio(r.coded(ratioScale))
	old, next := last.VMs, uint64(0)
	n := r.count(MaxVMsPerHost, 5, "VMs of a minute")
	m.VMs = make([]MinuteVM, 0, max(len(old), n))
	for range n {
		slot := next + min(r.uint(), MaxSlot)
		if slot >= MaxSlot {
			r.fail("slot %d, at most %d", slot, MaxSlot-1)
		}
		if r.err != nil {
			return m
		}
		next = slot + 1
		for len(old) > 0 && old[0].Slot < uint32(slot) {
			m.VMs = append(m.VMs, old[0])
			old = old[1:]
		}
		if len(old) > 0 && old[0].Slot == uint32(slot) {
			old = old[1:]
		}
		m.VMs = append(m.VMs, MinuteVM{
			uint32(slot), MilliCPU(r.coded(cpuScale)), MilliCPU(r.coded(cpuScale)), Ratio(r.coded(ratioScale)), Ratio(r.coded(ratioScale)),
		})
	}
	m.VMs = append(m.VMs, old...)
	return m
}
