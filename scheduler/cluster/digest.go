package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Digest is a snapshot and its bytes: what an agent sends, the leader batches
// and the log keeps. The layout stands in DESIGN.md.
type Digest struct {
	snapshot Snapshot
	data     []byte
}

// Bounds of a digest.
const (
	digestFormat   = 1
	MaxDigestBytes = 1 << 20
)

// The flags of a digest.
const (
	digestDelta byte = 1 << iota
	digestInventory
	digestDetails
	digestPressure
	digestKnownFlags = iota
)

// sources, in the order of their codes; names are only ever added at the end.
var sources = []Source{SourceNone, SourceEBPF, SourceSampled, SourceSums, SourceSchedstat}

// NewDigest writes a snapshot down. Nothing is lost: figures that a
// [Publisher] rounded take a byte or two, others as many as they need.
func NewDigest(s Snapshot) (Digest, error) {
	var w writer
	if err := w.snapshot(&s); err != nil {
		return Digest{}, fmt.Errorf("digest of host %.40q: %w", s.Host, err)
	}
	if len(w.data) > MaxDigestBytes {
		return Digest{}, fmt.Errorf("digest of host %.40q: %d bytes, at most %d", s.Host, len(w.data), MaxDigestBytes)
	}
	return Digest{s, w.data}, nil
}

// ReadDigest reads what NewDigest wrote. It checks the form; whether the
// figures can be true is for the State to judge, so that every refusal is
// counted and told. The digest keeps data.
func ReadDigest(data []byte) (Digest, error) {
	if len(data) > MaxDigestBytes {
		return Digest{}, fmt.Errorf("digest of %d bytes, at most %d", len(data), MaxDigestBytes)
	}
	r := &reader{data: data, what: "digest"}
	s := r.snapshot()
	if err := r.end(); err != nil {
		return Digest{}, err
	}
	return Digest{s, data}, nil
}

// Snapshot is what the digest says. It shares memory with the digest: do not
// change what it points to.
func (d Digest) Snapshot() Snapshot { return d.snapshot }

// Bytes is the digest's form on the wire and in the log. Do not change them.
func (d Digest) Bytes() []byte { return d.data }

func (w *writer) snapshot(s *Snapshot) error {
	flags, base := byte(0), s.Base != 0
	if base {
		flags |= digestDelta
		if s.Base >= s.Sequence {
			return fmt.Errorf("snapshot %d builds on %d", s.Sequence, s.Base)
		}
	}
	if s.Inventory != nil {
		flags |= digestInventory
	}
	if s.Details != nil {
		flags |= digestDetails
	}
	if s.Load.Pressure != nil {
		flags |= digestPressure
	}
	w.byte(digestFormat)
	w.byte(flags)
	if !w.id(s.Host) {
		return fmt.Errorf("the host is no UUID")
	}
	w.uint(s.Incarnation)
	w.uint(s.Sequence)
	if base {
		w.uint(s.Sequence - s.Base)
	}
	if err := w.load(&s.Load, nil); err != nil {
		return err
	}
	if s.Details != nil {
		if err := w.details(s.Details); err != nil {
			return err
		}
	}
	if s.Inventory != nil {
		data, err := json.Marshal(s.Inventory)
		if err != nil {
			return err
		}
		w.bytes(data)
	}
	return nil
}

func (r *reader) snapshot() (s Snapshot) {
	if format := r.byte(); r.err == nil && format != digestFormat {
		r.fail("format %d is not known, only %d", format, digestFormat)
	}
	flags := r.byte()
	if flags>>digestKnownFlags != 0 {
		r.fail("flags %#x are not known", flags)
	}
	s.Host = r.id()
	if r.err == nil {
		r.what = "digest of host " + s.Host
	}
	s.Incarnation, s.Sequence = r.uint(), r.uint()
	if flags&digestDelta != 0 {
		back := r.uint()
		if back == 0 || back >= s.Sequence {
			r.fail("snapshot %d builds on the one %d before", s.Sequence, back)
		}
		s.Base = s.Sequence - back
	}
	s.Load = r.load(flags&digestPressure != 0, nil)
	if flags&digestDetails != 0 {
		s.Details = r.details()
	}
	if flags&digestInventory != 0 {
		s.Inventory = r.inventory()
	}
	return s
}

// inventory is JSON: it travels once per change of a host's set of VMs.
func (r *reader) inventory() *Inventory {
	data := r.bytes(MaxDigestBytes, "bytes of inventory")
	if r.err != nil {
		return nil
	}
	inv := new(Inventory)
	if err := strict(data, inv); err != nil {
		r.fail("inventory: %v", err)
		return nil
	}
	return inv
}

// The units in which a host's own figures most often are whole.
const (
	wireMillisecond = int64(time.Millisecond)
	wirePage        = 4096
	wireRatio       = 100 // ppm: a hundredth of a percent
)

// hostFigure is one of a host's own figures and its unit on the wire.
type hostFigure struct {
	unit int64
	get  func(l *Load) int64
	set  func(l *Load, v int64)
}

// hostFigures in the order of their bits in the mask; they are only ever added
// at the end.
var hostFigures = []hostFigure{
	{1, func(l *Load) int64 { return int64(l.CPUs) }, func(l *Load, v int64) { l.CPUs = MilliCPU(v) }},
	{wirePage, func(l *Load) int64 { return int64(l.Memory) }, func(l *Load, v int64) { l.Memory = Bytes(v) }},
	{1, func(l *Load) int64 { return int64(l.Use) }, func(l *Load, v int64) { l.Use = MilliCPU(v) }},
	{1, func(l *Load) int64 { return int64(l.Overhead) }, func(l *Load, v int64) { l.Overhead = MilliCPU(v) }},
	{wireRatio, func(l *Load) int64 { return int64(l.Steal) }, func(l *Load, v int64) { l.Steal = Ratio(v) }},
	{wireRatio, func(l *Load) int64 { return int64(l.StealMax) }, func(l *Load, v int64) { l.StealMax = Ratio(v) }},
	{wireRatio, func(l *Load) int64 { return int64(l.Contention) }, func(l *Load, v int64) { l.Contention = Ratio(v) }},
	{wireRatio, func(l *Load) int64 { return int64(l.ContentionMax) }, func(l *Load, v int64) { l.ContentionMax = Ratio(v) }},
	{1, func(l *Load) int64 { return int64(l.Interrupts) }, func(l *Load, v int64) { l.Interrupts = MilliCPU(v) }},
	{1, func(l *Load) int64 { return int64(l.Cost) }, func(l *Load, v int64) { l.Cost = MilliCPU(v) }},
	{wireRatio, func(l *Load) int64 { return int64(l.BookError) }, func(l *Load, v int64) { l.BookError = Ratio(v) }},
	{1, func(l *Load) int64 { return int64(l.Lost) }, func(l *Load, v int64) { l.Lost = uint64(v) }},
}

func (p *Pressure) shares() []*Ratio {
	return []*Ratio{&p.CPUSome, &p.MemorySome, &p.MemoryFull, &p.IOSome, &p.IOFull}
}

// load writes a host's figures. VMs with the figures that they have in base
// are left out.
func (w *writer) load(l *Load, base []VMLoad) error {
	source := slices.Index(sources, l.Source)
	if source < 0 {
		return fmt.Errorf("source %.20q is not known", l.Source)
	}
	w.num(int64(l.TakenAt), wireMillisecond)
	w.num(int64(l.Window), wireMillisecond)
	w.num(int64(l.NextIn), wireMillisecond)
	w.uint(l.Inventory)
	w.byte(byte(source))
	mask := uint64(0)
	for bit, f := range hostFigures {
		if f.get(l) != 0 {
			mask |= 1 << bit
		}
	}
	w.uint(mask)
	for bit, f := range hostFigures {
		if mask&(1<<bit) != 0 {
			w.num(f.get(l), f.unit)
		}
	}
	if l.Pressure != nil {
		for _, share := range l.Pressure.shares() {
			w.num(int64(*share), wireRatio)
		}
	}
	return w.vms(changed(base, l.VMs))
}

func (r *reader) load(pressure bool, base []VMLoad) (l Load) {
	l.TakenAt = Time(r.num(wireMillisecond))
	l.Window, l.NextIn = time.Duration(r.num(wireMillisecond)), time.Duration(r.num(wireMillisecond))
	l.Inventory = r.uint()
	source := r.byte()
	if int(source) >= len(sources) {
		r.fail("source %d is not known", source)
		source = 0
	}
	l.Source = sources[source]
	mask := r.uint()
	if mask>>len(hostFigures) != 0 {
		r.fail("figures %#x of the host are not known", mask)
	}
	for bit, f := range hostFigures {
		if mask&(1<<bit) != 0 {
			f.set(&l, r.num(f.unit))
		}
	}
	if pressure {
		l.Pressure = new(Pressure)
		for _, share := range l.Pressure.shares() {
			*share = Ratio(r.num(wireRatio))
		}
	}
	l.VMs = merge(base, r.vms())
	return l
}
