package cluster

import (
	"fmt"
	"slices"
	"time"
)

// The parts of a VM's details, bits of its mask.
const (
	detailWaits = 1 << iota
	detailCulprits
	detailBlock
	detailMemory
	detailNetwork
	detailQuota
	detailShares
	detailAllBits
)

var (
	blockLayers   = []BlockLayer{LayerDevice, LayerQEMU}
	blockBackends = []BlockBackend{BackendLocal, BackendNetwork, BackendMixed, BackendUnknown}
)

// maxNames bounds the names of one host's details: four culprits and two
// backends for each VM.
const maxNames = 6 * MaxVMsPerHost

// names numbers the strings of a host's details in the order of their first
// use, from 1; 0 is "".
type names struct {
	list  []string
	index map[string]uint64
}

func (n *names) number(s string) uint64 {
	if s == "" {
		return 0
	}
	i, ok := n.index[s]
	if !ok {
		if n.index == nil {
			n.index = make(map[string]uint64)
		}
		n.list = append(n.list, s)
		i = uint64(len(n.list))
		n.index[s] = i
	}
	return i
}

// details writes windows, names, then a mask and its parts per VM.
func (w *writer) details(d *Details) error {
	if len(d.VMs) > MaxVMsPerHost {
		return fmt.Errorf("details of %d VMs, at most %d", len(d.VMs), MaxVMsPerHost)
	}
	var body writer
	var n names
	next := uint32(0)
	for i := range d.VMs {
		v := &d.VMs[i]
		if v.Slot < next || v.Slot >= MaxSlot {
			return fmt.Errorf("details of slot %d are repeated, out of order or too large", v.Slot)
		}
		body.uint(uint64(v.Slot - next))
		next = v.Slot + 1
		if err := body.detail(v, &n); err != nil {
			return fmt.Errorf("details of slot %d: %w", v.Slot, err)
		}
	}
	w.uint(d.Base)
	w.num(int64(d.Window), wireMillisecond)
	w.num(int64(d.Vitals), wireMillisecond)
	w.uint(d.Inventory)
	w.uint(uint64(len(n.list)))
	for _, name := range n.list {
		w.name(name)
	}
	w.uint(uint64(len(d.VMs)))
	w.data = append(w.data, body.data...)
	return nil
}

// name writes a UUID in 16 bytes, anything else with its length.
func (w *writer) name(s string) {
	if validID(s) {
		w.uint(0)
		w.id(s)
		return
	}
	w.text(s)
}

func (r *reader) name() string {
	if r.left() > 0 && r.data[r.off] == 0 {
		r.off++
		return r.id()
	}
	return r.text(maxName, "bytes of a name")
}

func (r *reader) details() *Details {
	d := &Details{Base: r.uint()}
	d.Window, d.Vitals = time.Duration(r.num(wireMillisecond)), time.Duration(r.num(wireMillisecond))
	d.Inventory = r.uint()
	list := make([]string, r.count(maxNames, 2, "names"))
	for i := range list {
		list[i] = r.name()
	}
	n := r.count(MaxVMsPerHost, 2, "VMs with details")
	next := uint64(0)
	for i := range n {
		slot := next + min(r.uint(), MaxSlot)
		if slot >= MaxSlot {
			r.fail("details %d of %d: slot %d, at most %d", i+1, n, slot, MaxSlot-1)
		}
		if r.err != nil {
			return d
		}
		next = slot + 1
		v := Detail{Slot: uint32(slot)}
		r.detail(&v, list)
		d.VMs = append(d.VMs, v)
	}
	return d
}

func (w *writer) detail(v *Detail, n *names) error {
	mask := uint64(0)
	for bit, there := range []bool{v.Waits != nil, len(v.Culprits) > 0, v.Block != nil, v.Memory != nil, v.Network != nil, v.Quota != 0, v.Shares != 0} {
		if there {
			mask |= 1 << bit
		}
	}
	w.uint(mask)
	if v.Waits != nil {
		w.group(v.Waits.fields())
	}
	if len(v.Culprits) > MaxCulprits {
		return fmt.Errorf("%d culprits, at most %d", len(v.Culprits), MaxCulprits)
	}
	if len(v.Culprits) > 0 {
		w.uint(uint64(len(v.Culprits)))
	}
	for _, c := range v.Culprits {
		if (c.VM == "") == (c.Task == "") || c.VM != "" && !validID(c.VM) || len(c.Task) > maxTask {
			return fmt.Errorf("a culprit has no name, two, or a wrong one")
		}
		kind := uint64(0)
		if c.Task != "" {
			kind = 1
		}
		w.uint(n.number(c.VM+c.Task)<<1 | kind)
		w.wide(int64(c.Share))
	}
	if v.Block != nil {
		if err := w.block(v.Block, n); err != nil {
			return err
		}
	}
	if v.Memory != nil {
		w.memory(v.Memory)
	}
	if v.Network != nil {
		w.wide(int64(v.Network.ReceivedBytes))
		w.wide(int64(v.Network.SentBytes))
	}
	if v.Quota != 0 {
		w.wide(int64(v.Quota))
	}
	if v.Shares != 0 {
		w.wide(int64(v.Shares))
	}
	return nil
}

func (r *reader) detail(v *Detail, list []string) {
	mask := r.uint()
	if mask >= detailAllBits {
		r.fail("slot %d: details %#x are not known", v.Slot, mask)
		return
	}
	if mask&detailWaits != 0 {
		v.Waits = new(Waits)
		r.group(v.Waits.fields())
	}
	if mask&detailCulprits != 0 {
		for range r.count(MaxCulprits, 2, "culprits") {
			var c Culprit
			code := r.uint()
			name := r.listed(code>>1, list)
			if code&1 != 0 {
				c.Task = name
			} else {
				c.VM = name
			}
			c.Share = Ratio(r.wide())
			v.Culprits = append(v.Culprits, c)
		}
	}
	if mask&detailBlock != 0 {
		v.Block = r.block(list)
	}
	if mask&detailMemory != 0 {
		v.Memory = r.memory()
	}
	if mask&detailNetwork != 0 {
		v.Network = &Network{uint64(r.wide()), uint64(r.wide())}
	}
	if mask&detailQuota != 0 {
		v.Quota = MilliCPU(r.wide())
	}
	if mask&detailShares != 0 {
		v.Shares = Shares(r.wide())
	}
}

func (r *reader) listed(i uint64, list []string) string {
	if i == 0 {
		return ""
	}
	if i > uint64(len(list)) {
		r.fail("name %d of %d", i, len(list))
		return ""
	}
	return list[i-1]
}

// field is a figure in the wide form, wherever it lies.
type field struct {
	get func() int64
	set func(int64)
}

func fieldOf[T ~int64 | ~uint64](p *T) field {
	return field{func() int64 { return int64(*p) }, func(v int64) { *p = T(v) }}
}

// group writes a mask of the fields that are not zero, and those.
func (w *writer) group(fields []field) {
	mask := uint64(0)
	for i, f := range fields {
		if f.get() != 0 {
			mask |= 1 << i
		}
	}
	w.uint(mask)
	for _, f := range fields {
		if v := f.get(); v != 0 {
			w.wide(v)
		}
	}
}

func (r *reader) group(fields []field) {
	mask := r.uint()
	if mask>>len(fields) != 0 {
		r.fail("figures %#x of %d", mask, len(fields))
		return
	}
	for i, f := range fields {
		if mask&(1<<i) != 0 {
			f.set(r.wide())
		}
	}
}

func (w *Waits) fields() []field {
	return []field{
		fieldOf(&w.VMs), fieldOf(&w.Host), fieldOf(&w.Kernel), fieldOf(&w.OwnVCPUs), fieldOf(&w.OwnOthers), fieldOf(&w.Quota),
		fieldOf(&w.SliceQuota), fieldOf(&w.Idle), fieldOf(&w.Migrated), fieldOf(&w.Unattributed),
	}
}

func (f *BlockFigures) fields() []field {
	return []field{
		fieldOf(&f.Requests), fieldOf(&f.Bytes), fieldOf(&f.Errors), fieldOf(&f.Queue), fieldOf(&f.Device), fieldOf(&f.P99), fieldOf(&f.Guest),
	}
}

func (b *Block) kinds() []*BlockFigures { return []*BlockFigures{&b.Read, &b.Write, &b.Flush} }

func (w *writer) block(b *Block, n *names) error {
	layer, backend := slices.Index(blockLayers, b.Layer), slices.Index(blockBackends, b.Backend)
	if layer < 0 || backend < 0 {
		return fmt.Errorf("block layer %.20q or backend %.20q is not known", b.Layer, b.Backend)
	}
	if len(b.Shared) > maxName || len(b.Hidden) > maxName {
		return fmt.Errorf("the name of a backend is longer than %d bytes", maxName)
	}
	w.byte(byte(layer)<<4 | byte(backend))
	w.uint(n.number(b.Shared))
	w.uint(n.number(b.Hidden))
	for _, kind := range b.kinds() {
		w.group(kind.fields())
	}
	return nil
}

func (r *reader) block(list []string) *Block {
	kind := r.byte()
	layer, backend := int(kind>>4), int(kind&15)
	if layer >= len(blockLayers) || backend >= len(blockBackends) {
		r.fail("block layer %d or backend %d is not known", layer, backend)
		return nil
	}
	b := &Block{Layer: blockLayers[layer], Backend: blockBackends[backend]}
	b.Shared, b.Hidden = r.listed(r.uint(), list), r.listed(r.uint(), list)
	for _, kind := range b.kinds() {
		r.group(kind.fields())
	}
	return b
}

func (m *Memory) fields() []field {
	return []field{fieldOf(&m.Resident), fieldOf(&m.Swapped), fieldOf(&m.MajorFaults), fieldOf(&m.Balloon)}
}

// memory writes a byte before the dirty rate that says whether there is one.
func (w *writer) memory(m *Memory) {
	w.group(m.fields())
	if m.DirtyRate == nil {
		w.byte(0)
		return
	}
	w.byte(1)
	w.wide(int64(*m.DirtyRate))
}

func (r *reader) memory() *Memory {
	m := new(Memory)
	r.group(m.fields())
	switch has := r.byte(); has {
	case 0:
	case 1:
		rate := BytesPerSecond(r.wide())
		m.DirtyRate = &rate
	default:
		r.fail("%d is neither a dirty rate nor none", has)
	}
	return m
}
