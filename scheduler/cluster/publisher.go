package cluster

import (
	"reflect"
	"slices"
	"time"
)

// Publisher is the agent's end of load snapshots: it rounds figures to what
// the log keeps, once, and leaves out what the State has already. It must be
// used by one goroutine.
type Publisher struct {
	sent     Snapshot // the newest, whole; none yet if its Sequence is 0
	details  Details  // the newest that were sent, whole
	detailed uint64   // sequence of the snapshot that carried them
	known    bool     // those are what the State has
}

// Slack is how far the figures of a VM that hardly waits may move unnoticed,
// besides one step of the scale: the noise of an idle guest.
const (
	slackCPU     = MilliCPU(5)
	slackRatio   = Ratio(1000)
	slackLatency = 100 * time.Microsecond
	// quietPain bounds the VMs to which that applies.
	quietPain = Ratio(20_000)
)

// Known says that the State has the details that were sent last. While it is
// not sure, the next snapshot should carry details, and they will be whole.
func (p *Publisher) Known(committed uint64) bool {
	return p.known || p.detailed != 0 && committed == p.detailed
}

// Next makes what to publish of a snapshot. Committed is the sequence of the
// newest committed snapshot of this start of the daemon, as the leader's views
// say: only if that is the last one sent, the next can amend it.
func (p *Publisher) Next(s Snapshot, committed uint64) Snapshot {
	acknowledged := p.sent.Sequence != 0 && committed == p.sent.Sequence
	if p.detailed == p.sent.Sequence && p.detailed != 0 {
		p.known = acknowledged
	}
	s.Load = p.round(s.Load)
	whole := s
	if acknowledged && s.Inventory == nil && s.Load.Inventory == p.sent.Load.Inventory && covers(s.Load.VMs, p.sent.Load.VMs) {
		s.Base = p.sent.Sequence
		s.Load.VMs = changed(p.sent.Load.VMs, s.Load.VMs)
	}
	if s.Details != nil {
		s.Details = p.detail(*s.Details, s.Sequence)
	}
	p.sent = whole
	return s
}

// round puts a host's figures on their scales. The figures of quiet VMs stay
// as they were last told while they differ by no more than a step or the
// slack: so what the State has is at most a step (7 %) or the slack off.
func (p *Publisher) round(l Load) Load {
	before := p.sent.Load
	l.TakenAt -= l.TakenAt % Time(time.Millisecond)
	l.Window = l.Window.Round(time.Millisecond)
	l.NextIn = l.NextIn.Truncate(time.Millisecond)
	l.Memory -= l.Memory % wirePage
	for _, r := range []*Ratio{&l.Steal, &l.StealMax, &l.Contention, &l.ContentionMax, &l.BookError} {
		*r = roundRatio(*r)
	}
	if l.Pressure != nil {
		pressure := *l.Pressure
		for _, r := range pressure.shares() {
			*r = roundRatio(*r)
		}
		l.Pressure = &pressure
	}
	vms := slices.Clone(l.VMs)
	for i := range vms {
		old, _ := before.VM(vms[i].Slot)
		if l.Inventory != before.Inventory {
			old = VMLoad{} // the slot may be another VM's by now
		}
		vms[i] = roundVM(vms[i], old)
	}
	l.VMs = vms
	return l
}

// roundRatio rounds to the unit of the wire; what is not zero stays so.
func roundRatio(r Ratio) Ratio {
	if r > 0 {
		return max((r+wireRatio/2)/wireRatio, 1) * wireRatio
	}
	return r
}

// slacks belong to the figures in their order.
var slacks = [vmFigures]int64{
	int64(slackCPU), int64(slackCPU), int64(slackCPU), int64(slackCPU), int64(slackRatio), int64(slackRatio),
	int64(slackLatency), int64(slackLatency), int64(slackLatency), int64(slackRatio), int64(slackRatio),
}

func roundVM(v, old VMLoad) VMLoad {
	figures, before := v.figures(), old.figures()
	if v.Pain() > quietPain || old.Pain() > quietPain {
		before = [vmFigures]int64{}
	}
	for i := range figures {
		figures[i] = vmScales[i].near(figures[i], before[i], slacks[i])
	}
	v.setFigures(figures)
	// Rounding keeps the order of two figures, keeping old ones need not.
	v.Contention, v.ContentionMax = min(v.Contention, v.Steal), min(v.ContentionMax, v.StealMax)
	v.Demand = max(v.Demand, v.Run)
	return v
}

// detail rounds details and leaves out the VMs of which the State knows them.
func (p *Publisher) detail(d Details, sequence uint64) *Details {
	d.Window, d.Vitals = d.Window.Round(time.Millisecond), d.Vitals.Round(time.Millisecond)
	d.VMs = slices.Clone(d.VMs)
	same := p.known && d.Inventory == p.details.Inventory
	for i := range d.VMs {
		old := Detail{}
		if same {
			old, _ = p.details.VM(d.VMs[i].Slot)
		}
		d.VMs[i] = roundDetail(d.VMs[i], old)
	}
	whole := d
	if same && coversDetails(d.VMs, p.details.VMs) {
		d.Base = p.detailed
		d.VMs = changedDetails(p.details.VMs, d.VMs)
	}
	p.details, p.detailed, p.known = whole, sequence, false
	return &d
}

func coversDetails(vms, base []Detail) bool {
	whole := Details{VMs: vms}
	return !slices.ContainsFunc(base, func(d Detail) bool { _, ok := whole.VM(d.Slot); return !ok })
}

func changedDetails(base, vms []Detail) (out []Detail) {
	old := Details{VMs: base}
	for _, d := range vms {
		if before, ok := old.VM(d.Slot); !ok || !reflect.DeepEqual(before, d) {
			out = append(out, d)
		}
	}
	return out
}

// roundDetail puts details in the wide form; each figure stays as it was while
// it differs by no more than an eighth or two units. Nothing that d points to is changed.
func roundDetail(d, old Detail) Detail {
	d.Culprits = slices.Clone(d.Culprits)
	for i := range d.Culprits {
		before := Ratio(0)
		if i < len(old.Culprits) {
			before = old.Culprits[i].Share
		}
		d.Culprits[i].Share = Ratio(wideNear(int64(d.Culprits[i].Share), int64(before)))
	}
	d.Waits = roundPart(d.Waits, old.Waits, (*Waits).fields)
	d.Memory = roundPart(d.Memory, old.Memory, (*Memory).fields)
	d.Network = roundPart(d.Network, old.Network, func(n *Network) []field {
		return []field{fieldOf(&n.ReceivedBytes), fieldOf(&n.SentBytes)}
	})
	d.Block = roundPart(d.Block, old.Block, func(b *Block) (all []field) {
		for _, kind := range b.kinds() {
			all = append(all, kind.fields()...)
		}
		return all
	})
	if d.Memory != nil && d.Memory.DirtyRate != nil {
		before := BytesPerSecond(0)
		if old.Memory != nil && old.Memory.DirtyRate != nil {
			before = *old.Memory.DirtyRate
		}
		rate := BytesPerSecond(wideNear(int64(*d.Memory.DirtyRate), int64(before)))
		d.Memory.DirtyRate = &rate
	}
	return d
}

// roundPart copies a part of the details and rounds its fields.
func roundPart[T any](part, old *T, fields func(*T) []field) *T {
	if part == nil {
		return nil
	}
	out := *part
	var before []field
	if old != nil {
		before = fields(old)
	}
	for i, f := range fields(&out) {
		was := int64(0)
		if old != nil {
			was = before[i].get()
		}
		f.set(wideNear(f.get(), was))
	}
	return &out
}
