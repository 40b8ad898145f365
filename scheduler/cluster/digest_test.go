package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawLoad draws figures of any size, on scales and off, also impossible ones.
func drawLoad(t *rapid.T) Load {
	figure := rapid.OneOf(rapid.Just(int64(0)), rapid.SampledFrom(cpuScale.values), rapid.SampledFrom(ratioScale.values), rapid.Int64())
	l := Load{
		TakenAt: Time(figure.Draw(t, "taken")), Window: time.Duration(figure.Draw(t, "window")), NextIn: time.Duration(figure.Draw(t, "next")),
		Inventory: uint64(figure.Draw(t, "inventory")), Source: rapid.SampledFrom(sources).Draw(t, "source"),
	}
	for _, f := range hostFigures {
		f.set(&l, figure.Draw(t, "figure"))
	}
	if rapid.Bool().Draw(t, "pressure") {
		l.Pressure = new(Pressure)
		for _, r := range l.Pressure.shares() {
			*r = Ratio(figure.Draw(t, "share"))
		}
	}
	for _, slot := range drawSlots(t) {
		v := VMLoad{Slot: slot, Settling: rapid.Bool().Draw(t, "settling"), Poller: rapid.Bool().Draw(t, "poller")}
		var f [vmFigures]int64
		short := rapid.Bool().Draw(t, "short")
		for i := range f {
			f[i] = figure.Draw(t, "figure")
			if short {
				f[i] = rapid.SampledFrom(vmScales[i].values).Draw(t, "value")
			}
		}
		v.setFigures(f)
		l.VMs = append(l.VMs, v)
	}
	return l
}

func drawSlots(t *rapid.T) (slots []uint32) {
	next := uint32(0)
	for range rapid.IntRange(0, 6).Draw(t, "VMs") {
		next += rapid.Uint32Range(0, 9000).Draw(t, "gap")
		slots = append(slots, next)
		next++
	}
	return slots
}

func drawDetails(t *rapid.T) *Details {
	if rapid.Bool().Draw(t, "no details") {
		return nil
	}
	figure := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64(), rapid.Map(rapid.Int64Range(0, 1<<60), wide))
	fill := func(fields []field) {
		for _, f := range fields {
			f.set(figure.Draw(t, "figure"))
		}
	}
	d := &Details{Window: time.Duration(figure.Draw(t, "window")), Vitals: time.Second, Inventory: 3, Base: rapid.Uint64().Draw(t, "base")}
	for _, slot := range drawSlots(t) {
		v := Detail{Slot: slot, Quota: MilliCPU(figure.Draw(t, "quota")), Shares: Shares(figure.Draw(t, "shares"))}
		for range rapid.IntRange(0, MaxCulprits).Draw(t, "culprits") {
			c := Culprit{Share: Ratio(figure.Draw(t, "share"))}
			if c.Task = rapid.StringN(0, 4, maxTask).Draw(t, "task"); c.Task == "" {
				c.VM = rapid.SampledFrom([]string{vmA, vmB}).Draw(t, "VM")
			}
			v.Culprits = append(v.Culprits, c)
		}
		if rapid.Bool().Draw(t, "waits") {
			v.Waits = new(Waits)
			fill(v.Waits.fields())
		}
		if rapid.Bool().Draw(t, "block") {
			v.Block = &Block{
				Layer: rapid.SampledFrom(blockLayers).Draw(t, "layer"), Backend: rapid.SampledFrom(blockBackends).Draw(t, "backend"),
				Shared: rapid.StringN(0, 9, maxName).Draw(t, "shared"), Hidden: rapid.SampledFrom([]string{"", "page cache"}).Draw(t, "hidden"),
			}
			for _, kind := range v.Block.kinds() {
				fill(kind.fields())
			}
		}
		if rapid.Bool().Draw(t, "memory") {
			v.Memory = new(Memory)
			fill(v.Memory.fields())
			if rapid.Bool().Draw(t, "dirty") {
				rate := BytesPerSecond(figure.Draw(t, "rate"))
				v.Memory.DirtyRate = &rate
			}
		}
		if rapid.Bool().Draw(t, "network") {
			v.Network = &Network{uint64(figure.Draw(t, "in")), uint64(figure.Draw(t, "out"))}
		}
		d.VMs = append(d.VMs, v)
	}
	return d
}

// The codec loses nothing, whatever the figures, and equal snapshots have
// equal bytes.
func TestDigestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Snapshot{
			Host: hv1, Incarnation: rapid.Uint64().Draw(t, "start"), Sequence: rapid.Uint64Range(2, 1<<62).Draw(t, "number"),
			Load: drawLoad(t), Details: drawDetails(t),
		}
		s.Base = rapid.SampledFrom([]uint64{0, 1, s.Sequence - 1}).Draw(t, "base")
		if rapid.Bool().Draw(t, "with inventory") {
			s.Inventory = homes(hv1)
		}
		d, err := NewDigest(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ReadDigest(d.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, back.Snapshot()); diff != "" {
			t.Fatalf("a digest says something else: %s", diff)
		}
		again, err := NewDigest(back.Snapshot())
		if err != nil || !bytes.Equal(again.Bytes(), d.Bytes()) {
			t.Fatalf("the same snapshot has other bytes, %v", err)
		}
		cut := rapid.IntRange(0, len(d.Bytes())-1).Draw(t, "cut")
		if _, err := ReadDigest(d.Bytes()[:cut]); err == nil {
			t.Fatalf("%d of %d bytes were read", cut, len(d.Bytes()))
		}
	})
}

// What is no digest is refused, with host and place.
func TestReadDigestRefuses(t *testing.T) {
	good := Snapshot{Host: hv1, Incarnation: 1, Sequence: 2, Load: testLoad(epoch), Details: detailsOf(fullDetail())}
	good.Load.VMs = []VMLoad{{Slot: 1, Run: 1000, Demand: 1000}, {Slot: 2}}
	d, err := NewDigest(good)
	if err != nil {
		t.Fatal(err)
	}
	whole := d.Bytes()
	spoiled := func(at int, b ...byte) []byte {
		return append(append(bytes.Clone(whole[:at]), b...), whole[at+len(b):]...)
	}
	load := 20 // after format, flags, host, start and number
	for name, c := range map[string]struct {
		data []byte
		word string
	}{
		"nothing":          {nil, "byte 0: cut short"},
		"a later format":   {spoiled(0, 9), "format 9"},
		"unknown flags":    {spoiled(1, 0x80), "flags 0x80"},
		"its own base":     {spoiled(1, digestDelta, whole[2]), ""},
		"no number":        {append(bytes.Clone(whole[:load]), bytes.Repeat([]byte{0xff}, 11)...), hv1},
		"an odd figure":    {spoiled(load, 3), "3 is no figure"},
		"bytes behind":     {append(bytes.Clone(whole), 0), "1 bytes too many"},
		"more than a lot":  {make([]byte, MaxDigestBytes+1), "at most"},
		"a name of no use": {bytes.Replace(whole, []byte("\x06backup"), []byte("\x06back\xffp"), 1), "not UTF-8"},
	} {
		if _, err := ReadDigest(c.data); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.word)
		}
	}
}

// Lists that claim more than they hold, or slots beyond their bound, take no
// memory.
func TestReadDigestBoundsLists(t *testing.T) {
	for name, c := range map[string]struct {
		body func(w *writer)
		read func(r *reader)
		word string
	}{
		"endless VMs":      {func(w *writer) { w.uint(1 << 40) }, func(r *reader) { r.vms() }, "VMs, at most"},
		"VMs that are not": {func(w *writer) { w.uint(4000); w.byte(0) }, func(r *reader) { r.vms() }, "4000 VMs"},
		"a slot too large": {func(w *writer) { w.uint(1); w.uint(MaxSlot); w.uint(0) }, func(r *reader) { r.vms() }, "slot 65536"},
		"figures of later": {func(w *writer) { w.uint(1); w.uint(7); w.uint(vmAllBits); w.byte(0) }, func(r *reader) { r.vms() }, "slot 7: figures"},
		"a code too large": {func(w *writer) { w.uint(1); w.uint(7); w.uint(1); w.byte(255) }, func(r *reader) { r.vms() }, "slot 7: figure 0 has code 255"},
		"endless names":    {func(w *writer) { w.data = append(w.data, 0, 0, 0, 0); w.uint(1 << 30) }, func(r *reader) { r.details() }, "names, at most"},
		"no such name":     {func(w *writer) { w.uint(5); w.uint(0) }, func(r *reader) { r.listed(5, nil) }, "name 5 of 0"},
	} {
		var w writer
		c.body(&w)
		r := &reader{data: w.data, what: "list"}
		c.read(r)
		if r.err == nil || !strings.Contains(r.err.Error(), c.word) {
			t.Errorf("%s: %v, want an error with %q", name, r.err, c.word)
		}
	}
}

func TestNewDigestRefuses(t *testing.T) {
	for name, spoil := range map[string]func(s *Snapshot){
		"no host":           func(s *Snapshot) { s.Host = "hv1" },
		"base of the later": func(s *Snapshot) { s.Base = s.Sequence },
		"unknown source":    func(s *Snapshot) { s.Load.Source = "guess" },
		"slots disordered":  func(s *Snapshot) { s.Load.VMs = []VMLoad{{Slot: 3}, {Slot: 3}} },
		"a slot too large":  func(s *Snapshot) { s.Load.VMs = []VMLoad{{Slot: MaxSlot}} },
		"VMs without end":   func(s *Snapshot) { s.Load.VMs = make([]VMLoad, MaxVMsPerHost+1) },
		"details disorder":  func(s *Snapshot) { s.Details = detailsOf(fullDetail(), fullDetail()) },
		"a nameless":        func(s *Snapshot) { s.Details = detailsOf(Detail{Culprits: []Culprit{{}}}) },
		"an unknown layer":  func(s *Snapshot) { s.Details = detailsOf(Detail{Block: &Block{Layer: "x"}}) },
		"too large": func(s *Snapshot) {
			inv := homes(hv1)
			inv.VMs[0].Name = strings.Repeat("x", MaxDigestBytes)
			s.Inventory = inv
		},
	} {
		s := Snapshot{Host: hv1, Incarnation: 1, Sequence: 2, Load: testLoad(epoch)}
		spoil(&s)
		if _, err := NewDigest(s); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

// FuzzReadDigest: what reads can be written, and means the same again.
func FuzzReadDigest(f *testing.F) {
	for _, body := range samples() {
		if snaps, ok := body.(Snapshots); ok {
			for _, s := range snaps.Batch {
				d, err := NewDigest(s)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(d.Bytes())
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ReadDigest(data)
		if err != nil {
			return
		}
		again, err := NewDigest(d.Snapshot())
		if err != nil {
			if d.Snapshot().Details == nil { // culprits may lack what the State would miss
				t.Fatalf("read, and cannot be written: %v", err)
			}
			return
		}
		back, err := ReadDigest(again.Bytes())
		if err != nil {
			t.Fatalf("written, and cannot be read: %v", err)
		}
		if diff := cmp.Diff(d.Snapshot(), back.Snapshot()); diff != "" {
			t.Fatalf("means something else: %s", diff)
		}
	})
}

// FuzzDecodeCommand: what decodes can be encoded, and decodes to the same.
func FuzzDecodeCommand(f *testing.F) {
	for _, body := range samples() {
		data, err := EncodeCommand(Command{1, "id-1", Actor{KindAgent, hv1, "hv1"}, epoch, body})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeCommand(data)
		if err != nil || len(data) > 0 && data[0] == '{' {
			return
		}
		again, err := EncodeCommand(c)
		if err != nil {
			return
		}
		back, err := DecodeCommand(again)
		if err != nil {
			t.Fatalf("encoded, and cannot be decoded: %v", err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Fatalf("means something else: %s", diff)
		}
	})
}

// FuzzDecodeState: what reads can be written, and reads to the same bytes.
func FuzzDecodeState(f *testing.F) {
	f.Add([]byte("\x02\x02{}\x00\x00"))
	s, _ := fleetOf(f, 2, 3, 14)
	f.Add(encoded(f, s))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeState(bytes.NewReader(data))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if s.Encode(&first) != nil {
			return
		}
		back, err := DecodeState(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("written, and cannot be read: %v", err)
		}
		if err := back.Encode(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("does not survive encoding, %v", err)
		}
		for _, h := range s.Hosts() {
			h.Minutes()
		}
	})
}
