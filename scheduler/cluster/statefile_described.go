package cluster

// describedFile is what hosts have described, at rest: each offer and need
// once, in the order of their digests.
type describedFile struct {
	Offers []*Offer        `json:"offers,omitempty"`
	Needs  []*Need         `json:"needs,omitempty"`
	Hosts  []describedHost `json:"hosts,omitempty"`
}

type describedHost struct {
	Host string `json:"host"`
	Description
	Offer int     `json:"offer"`
	VMs   []Needy `json:"vms,omitempty"`
}

func (s *State) describedFile() *describedFile {
	if s.descriptions.len() == 0 {
		return nil
	}
	f := &describedFile{}
	offers, needs := map[*Offer]int{}, map[*Need]int{}
	for _, o := range s.offers.all() {
		offers[o.value] = len(f.Offers)
		f.Offers = append(f.Offers, o.value)
	}
	for _, n := range s.needs.all() {
		needs[n.value] = len(f.Needs)
		f.Needs = append(f.Needs, n.value)
	}
	for id, d := range s.descriptions.all() {
		h := describedHost{Host: id, Description: d, Offer: offers[d.offer]}
		for _, v := range d.vms {
			h.VMs = append(h.VMs, Needy{v.vm, needs[v.need]})
		}
		f.Hosts = append(f.Hosts, h)
	}
	return f
}

// redescribe reads what describedFile wrote, by the way of what hosts send.
func (s *State) redescribe(f *describedFile) error {
	if f == nil {
		return nil
	}
	for _, h := range f.Hosts {
		if h.Offer < 0 || h.Offer >= len(f.Offers) {
			return refuse(CodeAbsurdFigure, "host %.40s has offer %d of %d", h.Host, h.Offer, len(f.Offers))
		}
		b := Describe{Incarnation: h.Incarnation, Revision: h.Revision, Offer: f.Offers[h.Offer], Starts: h.Starts, Copied: h.Copied, Rooms: h.Rooms}
		places := map[int]int{}
		for _, v := range h.VMs {
			if v.Need < 0 || v.Need >= len(f.Needs) {
				return refuse(CodeAbsurdFigure, "VM %.40s has need %d of %d", v.VM, v.Need, len(f.Needs))
			}
			i, ok := places[v.Need]
			if !ok {
				i = len(b.Needs)
				places[v.Need] = i
				b.Needs = append(b.Needs, f.Needs[v.Need])
			}
			b.VMs = append(b.VMs, Needy{v.VM, i})
		}
		if err := s.describe(h.Host, b, h.At); err != nil {
			return err
		}
	}
	return nil
}
