package cluster

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fullNeed() *Need {
	return &Need{
		Arch: "x86_64", Machine: "pc-q35-7.2", Virt: "kvm", Emulator: "/usr/bin/qemu-system-x86_64",
		CPU:      NeedCPU{"custom", "Skylake-Server", []string{"aes"}, []string{"hle"}, []string{"aes", "sse2"}},
		Links:    []Link{{"bridge", "br0"}},
		Disks:    []Disk{{"vda", "file", "/vms", "nfs4 filer:/vms", "none", "", false}},
		Devices:  []Device{{DeviceTPM, "emulated"}},
		Firmware: []string{"/usr/share/OVMF/OVMF_CODE.fd"}, Secrets: []string{"ceph"}, Listen: []string{"10.0.0.1"}, Pages: []Pages{{2048, 512}},
		Pins: "vCPU 0 to 3", Owner: "Pacemaker", Snapshots: 1, Unread: "",
	}
}

func fullOffer() *Offer {
	return &Offer{
		Processor: "Intel 6/85/7", Kernel: "6.1.0", KVM: "ept=Y", Libvirt: SoftwareVersion{9, 0, 0}, QEMU: SoftwareVersion{7, 2, 22},
		Emulators: []string{"/usr/bin/qemu-system-x86_64"},
		Guests:    []Guests{{"x86_64", "kvm", []string{"pc-q35-7.2"}, []string{"Skylake-Server"}, []string{"aes", "sse2"}}},
		Firmware:  []string{"/usr/share/OVMF/OVMF_CODE.fd"}, TPM: true,
		Bridges: []Bridge{{"br0", true, true}}, Ports: []string{"eth0"}, Networks: []HostNetwork{{"prod", true, "bridge", "br0"}}, Blind: true,
		Storage: []Storage{{"/vms", "nfs4 filer:/vms"}}, Secrets: []string{"ceph"}, Pages: []Pages{{2048, 1024}},
	}
}

// described is a State in which two hosts have described themselves alike.
func described(t *testing.T) State {
	t.Helper()
	s := lived(t)
	for _, b := range []struct {
		host string
		vms  []Needy
	}{{hv1, []Needy{{vmA, 0}, {vmB, 0}}}, {hv2, nil}} {
		needs := []*Need{fullNeed()}
		if b.vms == nil {
			needs = nil
		}
		s = mustDescribe(t, s, b.host, 1, fullOffer(), needs, b.vms)
	}
	return s
}

func mustDescribe(t *testing.T, s State, host string, revision uint64, o *Offer, needs []*Need, vms []Needy) State {
	t.Helper()
	next, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, describeBy(s, host, revision, o, needs, vms))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func describeBy(s State, host string, revision uint64, o *Offer, needs []*Need, vms []Needy) Command {
	m, _ := s.Member(host)
	return Command{Level: 1, Actor: Actor{KindAgent, host, m.Name}, At: s.Now, Body: Describe{Incarnation: m.Incarnation, Revision: revision, Offer: o, Needs: needs, VMs: vms}}
}

// Equal offers and needs are kept once, and forgotten with the last host that
// had them; a State at rest brings them back as they were.
func TestDescriptionsAreKeptOnce(t *testing.T) {
	s := described(t)
	d1, _ := s.Described(hv1)
	d2, _ := s.Described(hv2)
	if d1.Offer() != d2.Offer() || s.offers.len() != 1 {
		t.Errorf("%d offers of two equal hosts", s.offers.len())
	}
	if s.needs.len() != 1 || d1.Need(vmA) != d1.Need(vmB) || d1.Need(vmA) == nil {
		t.Errorf("%d needs of two equal VMs", s.needs.len())
	}
	if d2.Need(vmA) != nil {
		t.Error("a host has the need of a VM that it did not describe")
	}
	back, err := DecodeState(bytes.NewReader(encoded(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, back), encoded(t, s)) || back.offers.len() != 1 || back.needs.len() != 1 {
		t.Error("descriptions do not survive a snapshot of the State")
	}
	e1, _ := back.Described(hv1)
	if diff := cmp.Diff(d1.Need(vmB), e1.Need(vmB)); diff != "" {
		t.Error(diff)
	}

	// The next description takes the place of the last; of a need that nobody
	// has any more nothing stays, nor of one that no VM has.
	other := fullNeed()
	other.Machine = "pc-i440fx-7.2"
	unused := fullNeed()
	unused.Owner = "nobody"
	s = mustDescribe(t, back, hv1, 2, fullOffer(), []*Need{other, unused}, []Needy{{vmA, 0}, {vmB, 0}})
	if s.needs.len() != 1 || s.offers.len() != 1 {
		t.Errorf("%d needs, %d offers", s.needs.len(), s.offers.len())
	}
	s = mustDescribe(t, s, hv1, 3, fullOffer(), nil, nil)
	if s.needs.len() != 0 {
		t.Errorf("%d needs of no VM", s.needs.len())
	}
	member, _ := s.Member(hv1)
	s.expel(member, "ann", "scrapped")
	if _, ok := s.Described(hv1); ok || s.offers.len() != 1 {
		t.Error("a removed host is still described, or took the other's offer along")
	}
}

// Nothing of a description that is wrong is taken.
func TestDescribeRefuses(t *testing.T) {
	s := described(t)
	before := encoded(t, s)
	huge := fullNeed()
	huge.Pins = string(bytes.Repeat([]byte("x"), maxWordBytes+1))
	control := fullOffer()
	control.Kernel = "6.1\x00"
	many := fullOffer()
	many.Ports = make([]string, maxDescribed+1)
	large := fullOffer()
	for range maxDescribed {
		large.Ports = append(large.Ports[:len(large.Ports):len(large.Ports)], string(bytes.Repeat([]byte("p"), maxWordBytes)))[:min(len(large.Ports)+1, maxDescribed)]
	}
	one := []Needy{{vmA, 0}}
	for _, c := range []struct {
		name  string
		rev   uint64
		offer *Offer
		needs []*Need
		vms   []Needy
		want  Code
	}{
		{"older", 1, fullOffer(), nil, nil, CodeStaleSequence},
		{"no offer", 2, nil, nil, nil, CodeAbsurdFigure},
		{"unprintable", 2, control, nil, nil, CodeAbsurdFigure},
		{"too many ports", 2, many, nil, nil, CodeTooMany},
		{"too large", 2, large, nil, nil, CodeTooMany},
		{"long word", 2, fullOffer(), []*Need{huge}, one, CodeAbsurdFigure},
		{"no need", 2, fullOffer(), []*Need{nil}, one, CodeAbsurdFigure},
		{"need beyond the list", 2, fullOffer(), []*Need{fullNeed()}, []Needy{{vmA, 1}}, CodeAbsurdFigure},
		{"negative need", 2, fullOffer(), []*Need{fullNeed()}, []Needy{{vmA, -1}}, CodeAbsurdFigure},
		{"VM twice", 2, fullOffer(), []*Need{fullNeed()}, []Needy{{vmA, 0}, {vmA, 0}}, CodeAbsurdFigure},
		{"no UUID", 2, fullOffer(), []*Need{fullNeed()}, []Needy{{"web", 0}}, CodeAbsurdFigure},
		{"more needs than VMs", 2, fullOffer(), []*Need{fullNeed(), fullNeed()}, one, CodeTooMany},
	} {
		next, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, describeBy(s, hv1, c.rev, c.offer, c.needs, c.vms))
		if r := RefusalOf(err); r == nil || r.Code != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		next.Index = s.Index
		if !bytes.Equal(encoded(t, next), before) {
			t.Errorf("%s: the State changed", c.name)
		}
	}
	foreign := describeBy(s, hv1, 2, fullOffer(), nil, nil)
	foreign.Actor.Kind = KindOperator
	if _, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, foreign); RefusalOf(err) == nil || RefusalOf(err).Code != CodeNotYours {
		t.Errorf("an operator describes a host: %v", err)
	}
}
