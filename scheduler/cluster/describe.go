package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Describe says what a host offers and what its VMs need. An agent sends it at
// its start, when that changed, and rarely otherwise; it takes the place of
// what the host said before.
type Describe struct {
	Incarnation uint64  `json:"incarnation"`
	Revision    uint64  `json:"revision"` // rises with every description of a start
	Offer       *Offer  `json:"offer"`
	Needs       []*Need `json:"needs"` // each once
	VMs         []Needy `json:"vms"`   // sorted by VM
	// Starts are the VMs, sorted, that do not run here, but that libvirt starts
	// with this host.
	Starts []string `json:"starts,omitempty"`
	// Copied are the VMs, sorted, with disks that only this host has and that can
	// be copied.
	Copied []Copied `json:"copied,omitempty"`
	Rooms  []Room   `json:"rooms,omitempty"` // sorted by directory
	// Metas are the VMs, sorted, with rules in the metadata of their definitions.
	Metas []MetaRules `json:"metas,omitempty"`
}

// Needy is a VM and its need.
type Needy struct {
	VM   string `json:"vm"`
	Need int    `json:"need"` // its place in the list of needs
}

// Description is what a host said last of itself and its VMs.
type Description struct {
	Incarnation uint64 `json:"incarnation"`
	Revision    uint64 `json:"revision"`
	At          Time   `json:"at"` // when it was committed
	// Starts are the VMs, sorted, that do not run there, but that libvirt starts
	// with the host. It is shared: do not change it.
	Starts []string `json:"starts,omitempty"`
	// Copied and Rooms are shared as well.
	Copied []Copied `json:"copied,omitempty"`
	Rooms  []Room   `json:"rooms,omitempty"`

	offer   *Offer
	offerID string
	vms     []needing // sorted by VM
}

type needing struct {
	vm   string
	id   string // of the need
	need *Need
}

// Offer is what the host offers. It is shared: do not change it.
func (d Description) Offer() *Offer { return d.offer }

// Need is what a VM of the host needs, nil if the host has not said it. It is
// shared: do not change it.
func (d Description) Need(vm string) *Need {
	i, ok := slices.BinarySearchFunc(d.vms, vm, func(n needing, vm string) int { return cmp.Compare(n.vm, vm) })
	if !ok {
		return nil
	}
	return d.vms[i].need
}

// Disks are a VM's that only this host has and that can be copied.
func (d Description) Disks(vm string) []DiskCopy {
	i, ok := slices.BinarySearchFunc(d.Copied, vm, func(c Copied, vm string) int { return cmp.Compare(c.VM, vm) })
	if !ok {
		return nil
	}
	return d.Copied[i].Disks
}

// interned is a value that is kept once, however many descriptions have it.
type interned[T any] struct {
	value *T
	uses  int
}

// intern keeps a value once and counts one more use of it.
func intern[T any](t tree[string, interned[T]], id string, v *T) (tree[string, interned[T]], *T) {
	kept, ok := t.get(id)
	if !ok {
		kept.value = v
	}
	kept.uses++
	return t.set(id, kept), kept.value
}

// drop counts one use less, and forgets a value with its last.
func drop[T any](t tree[string, interned[T]], id string) tree[string, interned[T]] {
	kept, ok := t.get(id)
	switch {
	case !ok:
		return t
	case kept.uses <= 1:
		return t.without(id)
	}
	kept.uses--
	return t.set(id, kept)
}

// digestOf names a value by its bytes.
func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

func (Describe) kind() string { return "describe" }

func (b Describe) apply(s *State, _ Meta, c *Command) error {
	id := c.Actor.ID
	member, ok := s.members.get(id)
	_, isHost := s.hosts.get(id)
	if err := c.from(id); err != nil {
		return err
	}
	if !ok || !isHost {
		return refuse(CodeUnknownHost, "%.40s has not announced itself as a hypervisor", id)
	}
	if b.Incarnation != member.Incarnation {
		return refuse(CodeStaleIncarnation, "host %s: description of start %d, the present one is %d", member.Name, b.Incarnation, member.Incarnation)
	}
	old, known := s.descriptions.get(id)
	if known && old.Incarnation == b.Incarnation && b.Revision <= old.Revision {
		return refuse(CodeStaleSequence, "host %s: description %d after %d", member.Name, b.Revision, old.Revision)
	}
	if err := s.describe(id, b, s.Now); err != nil {
		return err
	}
	if err := b.checkMetas(); err != nil {
		return err
	}
	s.noteMetas(id, b)
	return nil
}

// describe puts a description in place of the host's older one.
func (s *State) describe(id string, b Describe, at Time) error {
	offer, needs, err := b.ids()
	if err != nil {
		return err
	}
	old, _ := s.descriptions.get(id)
	next := Description{Incarnation: b.Incarnation, Revision: b.Revision, At: at, Starts: b.Starts, Copied: b.Copied, Rooms: b.Rooms, offerID: offer}
	s.offers, next.offer = intern(s.offers, offer, b.Offer)
	kept := map[string]*Need{}
	for _, v := range b.VMs {
		need := needs[v.Need]
		if kept[need] == nil {
			s.needs, kept[need] = intern(s.needs, need, b.Needs[v.Need])
		}
		next.vms = append(next.vms, needing{v.VM, need, kept[need]})
	}
	s.undescribe(old)
	s.descriptions = s.descriptions.set(id, next)
	return nil
}

// ids checks the description and names its parts.
func (b Describe) ids() (offer string, needs []string, err error) {
	switch {
	case b.Offer == nil:
		return "", nil, refuse(CodeAbsurdFigure, "a description without an offer")
	case len(b.VMs) > MaxVMsPerHost || len(b.Needs) > len(b.VMs):
		return "", nil, refuse(CodeTooMany, "%d needs of %d VMs, at most %d", len(b.Needs), len(b.VMs), MaxVMsPerHost)
	}
	for i, v := range b.VMs {
		if !validID(v.VM) || i > 0 && v.VM <= b.VMs[i-1].VM || v.Need < 0 || v.Need >= len(b.Needs) {
			return "", nil, refuse(CodeAbsurdFigure, "VM %.40q is no UUID, repeated, out of order or without a need", v.VM)
		}
	}
	if err := b.Offer.check(); err != nil {
		return "", nil, err
	}
	for _, err := range []error{checkStarts(b.Starts), checkCopied(b.Copied), checkRooms(b.Rooms)} {
		if err != nil {
			return "", nil, err
		}
	}
	data, err := bytesOf(b.Offer, maxOfferBytes)
	if err != nil {
		return "", nil, err
	}
	offer = digestOf(data)
	for _, n := range b.Needs {
		if n == nil {
			return "", nil, refuse(CodeAbsurdFigure, "an empty need")
		}
		if err := n.check(); err != nil {
			return "", nil, err
		}
		data, err := bytesOf(n, maxNeedBytes)
		if err != nil {
			return "", nil, err
		}
		needs = append(needs, digestOf(data))
	}
	return offer, needs, nil
}

// undescribe gives back what a description had.
func (s *State) undescribe(d Description) {
	if d.offer == nil {
		return
	}
	s.offers = drop(s.offers, d.offerID)
	seen := map[string]bool{}
	for _, v := range d.vms {
		if !seen[v.id] {
			seen[v.id] = true
			s.needs = drop(s.needs, v.id)
		}
	}
}

// Described finds what a host said last of itself and its VMs.
func (s State) Described(host string) (Description, bool) { return s.descriptions.get(host) }

// Hindered says why a VM cannot go from one host to another by what they said
// of it and themselves, the gravest reason first. What nobody has described
// hinders nothing: hosts of an older version say nothing, and the source looks
// again before it begins. Where the source has described its VMs, one that is
// missing, and a target that has not spoken, hold automatic moves back.
func (s State) Hindered(vm, source, target string) []Hindrance {
	from, ok := s.descriptions.get(source)
	if !ok {
		return nil
	}
	need := from.Need(vm)
	if need == nil {
		return []Hindrance{notChecked("what the VM needs has not been read yet")}
	}
	out := need.Stays(s.Settings.Leeway())
	if to, ok := s.descriptions.get(target); ok {
		out = append(out, need.Fit(from.offer, to.offer)...)
		return append(out, FitCopies(from.Disks(vm), s.Settings.CopyStorage, from.Rooms, to.Rooms)...)
	}
	return append(out, notChecked(s.HostName(target)+" has not said yet what it offers"))
}

func notChecked(text string) Hindrance {
	return Hindrance{Code: CodeNotChecked, Text: text, Remedy: "wait for a minute; if it lasts, look at libvirt there", Auto: true}
}

// checkFit holds an order against what its ends have described.
func (s *State) checkFit(o Order, vm VM) error {
	for _, h := range s.Hindered(o.VM, o.Source, o.Target) {
		if !h.Auto || o.Trigger == TriggerAuto {
			return refuse(h.Code, "VM %s to %s: %s", vm.Name, s.HostName(o.Target), h.Refusal().Text)
		}
	}
	return nil
}
