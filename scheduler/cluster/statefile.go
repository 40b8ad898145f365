package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// stateFormat is the first byte of a State at rest. 1 was JSON whole, and
// began with a brace.
const stateFormat = 2

// stateFile is the part of a State at rest that is JSON: what is small, or
// rare. Places and hosts follow in the form of digests.
type stateFile struct {
	Header    header     `json:"header"`
	Members   []Member   `json:"members"`
	Moves     []Move     `json:"moves"`
	Decisions []Decision `json:"decisions"`
	Receipts  []recentID `json:"receipts"`

	Described *describedFile `json:"described,omitempty"`
}

type recentID struct {
	ID string `json:"id"`
	receipt
}

// maxPlaces bounds the places of a file: every slot of every host.
const maxPlaces = MaxMembers * MaxVMsPerHost

// Encode writes the State; equal States have equal bytes.
func (s State) Encode(w io.Writer) error {
	f := stateFile{Header: s.header, Described: s.describedFile()}
	for _, m := range s.members.all() {
		f.Members = append(f.Members, m)
	}
	for _, m := range s.moves.all() {
		f.Moves = append(f.Moves, m)
	}
	for _, d := range s.decisions.all() {
		f.Decisions = append(f.Decisions, d)
	}
	for _, id := range s.receipts.all() {
		r, _ := s.recent.get(id)
		f.Receipts = append(f.Receipts, recentID{id, r})
	}
	head, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	var out writer
	out.byte(stateFormat)
	out.bytes(head)
	out.uint(uint64(s.places.len()))
	for vm, p := range s.places.all() {
		out.place(vm, p)
	}
	out.uint(uint64(s.hosts.len()))
	for _, h := range s.hosts.all() {
		if err := out.host(h); err != nil {
			return fmt.Errorf("encode state: host %s: %w", h.ID, err)
		}
	}
	_, err = w.Write(out.data)
	return err
}

// DecodeState reads what Encode wrote.
func DecodeState(in io.Reader) (State, error) {
	data, err := io.ReadAll(in)
	if err != nil {
		return State{}, fmt.Errorf("decode state: %w", err)
	}
	r := &reader{data: data, what: "decode state"}
	if format := r.byte(); r.err == nil && format != stateFormat {
		return State{}, fmt.Errorf("decode state: format %d, this binary knows %d: %w", format, stateFormat, ErrFeatureLevel)
	}
	var f stateFile
	head := r.bytes(len(data), "bytes of head")
	if r.err == nil {
		if err := strict(head, &f); err != nil {
			return State{}, fmt.Errorf("decode state: %w", err)
		}
	}
	if f.Header.Level > CurrentLevel {
		return State{}, fmt.Errorf("decode state: feature level %d: %w", f.Header.Level, ErrFeatureLevel)
	}
	if !f.Header.Chain.valid() {
		return State{}, fmt.Errorf("decode state: chain %.80q is no SHA-256", f.Header.Chain)
	}
	s := f.state()
	if err := s.redescribe(f.Described); err != nil {
		return State{}, fmt.Errorf("decode state: %w", err)
	}
	for range r.count(maxPlaces, 17, "places") {
		vm, p := r.place()
		s.places = s.places.set(vm, p)
	}
	for range r.count(MaxMembers, 8, "hosts") {
		h := r.host()
		s.hosts = s.hosts.set(h.ID, h)
	}
	if err := r.end(); err != nil {
		return State{}, err
	}
	return s, nil
}

func (f *stateFile) state() State {
	s := State{header: f.Header}
	for _, m := range f.Members {
		s.members = s.members.set(m.ID, m)
	}
	for _, m := range f.Moves {
		s.moves = s.moves.set(m.Seq, m)
		if m.State.Live() {
			s.live = s.live.set(m.VM, m.Seq)
		}
	}
	for i, dec := range f.Decisions {
		s.decisions = s.decisions.set(f.Header.LastDecision-uint64(len(f.Decisions)-1-i), dec)
	}
	for _, rec := range f.Receipts {
		s.recent = s.recent.set(rec.ID, rec.receipt)
		s.receipts = s.receipts.set(rec.Index, rec.ID)
	}
	return s
}

func (w *writer) place(vm string, p Place) {
	w.name(vm)
	w.uint(uint64(len(p.Hosts)))
	for _, h := range p.Hosts {
		w.name(h)
	}
	w.num(int64(p.Moved), wireMillisecond)
	w.num(int64(p.SeenAt), wireMillisecond)
}

func (r *reader) place() (vm string, p Place) {
	vm = r.name()
	for range r.count(MaxMembers, 2, "hosts of a place") {
		p.Hosts = append(p.Hosts, r.name())
	}
	p.Moved, p.SeenAt = Time(r.num(wireMillisecond)), Time(r.num(wireMillisecond))
	return vm, p
}

// The flags of a beat at rest.
const (
	beatDelta byte = 1 << iota
	beatPressure
)

// hostRecord is the part of a host at rest that is JSON: its fields as in
// [Host].
type hostRecord struct {
	ID          string        `json:"id"`
	Seq         uint64        `json:"seq"`
	DetailsAt   Time          `json:"details_at,omitempty"`
	DetailsSeq  uint64        `json:"details_seq,omitempty"`
	Excess      time.Duration `json:"excess"`
	ExcessSince Time          `json:"excess_since,omitempty"`
	DisturbedAt Time          `json:"disturbed_at,omitempty"`
	Refused     *Refusal      `json:"refused,omitempty"`
	RefusedAt   Time          `json:"refused_at,omitempty"`
	Lives       *livesFile    `json:"lives,omitempty"`
}

// host writes the host's own record as JSON, then inventory, details, beats
// and minutes.
func (w *writer) host(h Host) error {
	data, err := json.Marshal(hostRecord{
		h.ID, h.Seq, h.DetailsAt, h.DetailsSeq, h.Excess, h.ExcessSince, h.DisturbedAt, h.Refused, h.RefusedAt, h.lives.file(),
	})
	if err != nil {
		return err
	}
	w.bytes(data)
	w.inventory(&h.Inventory)
	if h.Details == nil {
		w.byte(0)
	} else {
		w.byte(1)
		if err := w.details(h.Details); err != nil {
			return err
		}
	}
	w.uint(uint64(len(h.Beats)))
	var base []VMLoad
	for i := range h.Beats {
		b := &h.Beats[i]
		flags := byte(0)
		if len(base) > 0 && covers(b.Load.VMs, base) {
			flags |= beatDelta
		} else {
			base = nil
		}
		if b.Load.Pressure != nil {
			flags |= beatPressure
		}
		w.byte(flags)
		w.num(int64(b.At), wireMillisecond)
		if err := w.load(&b.Load, base); err != nil {
			return err
		}
		base = b.Load.VMs
	}
	w.trend(&h.trend)
	return nil
}

func (r *reader) host() (h Host) {
	data := r.bytes(MaxDigestBytes, "bytes of a host's record")
	if r.err != nil {
		return h
	}
	var own hostRecord
	if err := strict(data, &own); err != nil {
		r.fail("a host's record: %v", err)
		return h
	}
	h = Host{
		ID: own.ID, Seq: own.Seq, DetailsAt: own.DetailsAt, DetailsSeq: own.DetailsSeq, Excess: own.Excess, ExcessSince: own.ExcessSince,
		DisturbedAt: own.DisturbedAt, Refused: own.Refused, RefusedAt: own.RefusedAt,
	}
	var err error
	if h.lives, err = own.Lives.lives(); err != nil {
		r.fail("host %s: %v", own.ID, err)
		return h
	}
	h.Inventory = r.vmList()
	switch has := r.byte(); has {
	case 0:
	case 1:
		h.Details = r.details()
	default:
		r.fail("host %s: %d is neither details nor none", h.ID, has)
	}
	var base []VMLoad
	for range r.count(MaxBeats, 8, "beats") {
		flags := r.byte()
		if flags&^(beatDelta|beatPressure) != 0 {
			r.fail("host %s: flags %#x of a beat are not known", h.ID, flags)
		}
		if flags&beatDelta == 0 {
			base = nil
		}
		b := Beat{At: Time(r.num(wireMillisecond)), Load: r.load(flags&beatPressure != 0, base)}
		base = b.Load.VMs
		h.Beats = append(h.Beats, b)
	}
	h.trend = r.trend()
	return h
}

var (
	runStates = []RunState{RunRunning, RunPaused, RunOther}
	diskLocks = []DiskLock{LockNone, LockDiskless, LockLockable}
)

// inventory writes a set of VMs that a State has accepted.
func (w *writer) inventory(inv *Inventory) {
	w.uint(inv.Revision)
	w.uint(uint64(len(inv.VMs)))
	for _, vm := range inv.VMs {
		flags := byte(slices.Index(runStates, vm.Run)) | byte(slices.Index(diskLocks, vm.Lock))<<2
		for bit, on := range []bool{vm.Incoming, vm.Migrating, vm.Persistent} {
			if on {
				flags |= 16 << bit
			}
		}
		w.byte(flags)
		w.uint(uint64(vm.Slot))
		w.name(vm.UUID)
		w.text(vm.Name)
		w.uint(uint64(vm.VCPUs))
		w.num(int64(vm.MaxMemory), wirePage)
	}
}

// vmList reads what inventory wrote.
func (r *reader) vmList() (inv Inventory) {
	inv.Revision = r.uint()
	last := int64(-1)
	for range r.count(MaxVMsPerHost, 20, "VMs") {
		flags := r.byte()
		run, lock := int(flags&3), int(flags>>2&3)
		if run >= len(runStates) || lock >= len(diskLocks) || flags>>7 != 0 {
			r.fail("flags %#x of a VM are not known", flags)
			return inv
		}
		inv.VMs = append(inv.VMs, VM{
			Slot: r.slot(&last), UUID: r.name(), Name: r.text(maxName, "bytes of a name"),
			VCPUs: int(min(r.uint(), MaxVCPUs)), MaxMemory: Bytes(r.num(wirePage)), Run: runStates[run], Lock: diskLocks[lock],
			Incoming: flags&16 != 0, Migrating: flags&32 != 0, Persistent: flags&64 != 0,
		})
	}
	return inv
}
