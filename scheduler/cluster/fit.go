package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// Hindrance is a reason for which a VM cannot go somewhere, and what would
// help.
type Hindrance struct {
	Code   Code   `json:"code"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
	// Auto says that it holds back only what evenkeel would do by itself.
	Auto bool `json:"auto,omitempty"`
}

// Refusal is a hindrance in the form in which everything is refused.
func (h *Hindrance) Refusal() *Refusal {
	if h == nil {
		return nil
	}
	return &Refusal{Code: h.Code, Text: h.Text + "; " + h.Remedy}
}

// fitting compares one VM with one pair of hosts.
type fitting struct {
	need     *Need
	leeway   Leeway
	from, to *Offer
	out      []Hindrance
}

func (f *fitting) hinder(code Code, remedy, format string, args ...any) {
	f.out = append(f.out, Hindrance{Code: code, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// Stays says what keeps a VM from going anywhere, the gravest first, but for
// what the policy lets pass.
func (n *Need) Stays(by Leeway) []Hindrance {
	f := fitting{need: n, leeway: by}
	if n.Unread != "" {
		f.hinder(CodeNotChecked, "look at the VM's definition (virsh dumpxml) and at libvirt there", "what the VM needs could not be read: %s", n.Unread)
		return f.out
	}
	f.owner()
	f.pins()
	f.devices()
	f.listen()
	f.snapshots()
	f.cpuAlone()
	f.disksAlone()
	return f.out
}

// Fit says what keeps a VM from going from a host that offers one thing to a
// host that offers another, the gravest first. It does not repeat what
// [Need.Stays] says.
func (n *Need) Fit(from, to *Offer) []Hindrance {
	if n.Unread != "" {
		return nil
	}
	f := fitting{need: n, from: from, to: to}
	guests, ok := f.machine()
	if ok {
		f.cpu(guests)
	}
	f.releases()
	f.hooks()
	f.locks()
	f.links()
	f.disks()
	f.firmware()
	f.hostThings()
	return f.out
}

func (f *fitting) owner() {
	if f.need.Owner != "" {
		f.hinder(CodeOwnedElsewhere, "move it with that software, or take the VM out of its hands",
			"the VM belongs to %s, which would not know of the move and might start it a second time", f.need.Owner)
	}
}

func (f *fitting) pins() {
	if f.need.Pins != "" {
		f.hinder(CodePinnedCPUs, "take the pins out of its definition (virsh vcpupin, emulatorpin, numatune)",
			"the VM is pinned: %s; the pins would travel along", f.need.Pins)
	}
}

// deviceWords are what is said of each kind of device that does not travel.
var deviceWords = map[string]struct {
	code         Code
	text, remedy string
}{
	DeviceHost:   {CodeHostdevAttached, "the host's device %s is handed to it", "detach it (virsh detach-device)"},
	DeviceSRIOV:  {CodeSRIOVAttached, "it has a function of the host's network card (%s)", "detach it, or plug the VM into a bridge"},
	DeviceVGPU:   {CodeVGPUAttached, "it has a mediated device (%s)", "detach it"},
	DeviceFolder: {CodeSharedFolder, "it mounts the host's folder %s", "detach it, or use a network file system in the guest"},
	DeviceMemory: {CodeSharedMemory, "it shares memory with others on the host (%s)", "take the device out of its definition"},
	DeviceSealed: {CodeSealedMemory, "its memory is sealed to the host's processor (%s)", "it can only be started anew elsewhere"},
	DeviceOther:  {CodeHypervisorBlocked, "it has %s, which does not travel", "take the device out of its definition"},
}

func (f *fitting) devices() {
	for _, d := range f.need.Devices {
		if w, ok := deviceWords[d.Kind]; ok {
			f.hinder(w.code, w.remedy, w.text, d.Name)
		} else if d.Kind != DeviceTPM {
			f.hinder(CodeHypervisorBlocked, "upgrade this member", "it has a device of kind %s, which is not known here", d.Kind)
		}
	}
}

func (f *fitting) listen() {
	for _, a := range f.need.Listen {
		f.hinder(CodeListenAddress, "let it listen on 127.0.0.1 or 0.0.0.0, or on a network's address",
			"its display or console listens on %s, an address of its host", a)
	}
}

func (f *fitting) snapshots() {
	if n := f.need.Snapshots; n > 0 {
		f.hinder(CodeJobActive, "delete them (virsh snapshot-delete, checkpoint-delete)", "it has %d snapshots or checkpoints, with which libvirt migrates no VM", n)
	}
}

// disksAlone are the disks that no other host can have.
func (f *fitting) disksAlone() {
	for _, d := range f.need.Disks {
		copied := f.leeway.Copies && d.Format != "" && d.Storage == "" && !d.Media
		switch {
		case copied: // what QEMU copies is what the guest wrote, whatever the cache
		case d.Cache == "unsafe" && !d.Media && !f.leeway.Unsafe:
			f.hinder(CodeUnsafeCache, "set cache='none' in its definition", "disk %s has cache='unsafe': what the guest wrote may not be in its storage", d.Target)
		case d.Storage != "":
		case d.Media:
			f.hinder(CodeLocalMedia, "eject it (virsh change-media --eject), or put it on shared storage", "the medium in %s (%s) is only on its host", d.Target, d.where())
		case f.leeway.Copies:
			f.hinder(CodeStorageNotShared, "put it on storage that both hosts reach, or make it one raw or qcow2 image in a file (virsh blockpull)",
				"disk %s (%s) is its host's own, and libvirt cannot copy it along", d.Target, d.where())
		default:
			f.hinder(CodeStorageNotShared, "put it on storage that both hosts reach", "disk %s (%s) is its host's own", d.Target, d.where())
		}
	}
}

func (d Disk) where() string {
	if d.Point == "" {
		return d.Kind
	}
	return d.Kind + " on " + d.Point
}

// disks asks that the target has the same storage at the same place.
func (f *fitting) disks() {
	for _, d := range f.need.Disks {
		if d.Kind != "file" && d.Kind != "dir" || d.Storage == "" {
			continue
		}
		code := CodeStorageNotShared
		if d.Media {
			code = CodeLocalMedia
		}
		i := slices.IndexFunc(f.to.Storage, func(s Storage) bool { return s.Point == d.Point })
		switch {
		case i < 0:
			f.hinder(code, "mount "+d.Storage+" there at "+d.Point, "disk %s lies on %s at %s, and nothing shared is mounted there", d.Target, d.Storage, d.Point)
		case f.to.Storage[i].Name != d.Storage:
			f.hinder(code, "mount the same storage at "+d.Point+" on both hosts", "disk %s lies on %s at %s, and %s is mounted there", d.Target, d.Storage, d.Point, f.to.Storage[i].Name)
		}
	}
}

func (f *fitting) links() {
	if f.to.Blind {
		return
	}
	for i, l := range f.need.Links {
		if slices.Contains(f.need.Links[:i], l) {
			continue // a second interface in the same network
		}
		switch l.Kind {
		case "bridge":
			f.bridge(l.Name)
		case "network":
			f.network(l.Name)
		case "direct":
			if _, ok := f.to.bridge(l.Name); !ok && !slices.Contains(f.to.Ports, l.Name) {
				f.hinder(CodeNoSuchNetwork, "name the device alike on both hosts, or use a network of libvirt's", "it is plugged into device %s, which is not there or is down", l.Name)
			}
		case "vhostuser":
			f.hinder(CodeNetworkHostLocal, "plug it into a bridge", "its interface is served by another process of its host (vhost-user)")
		case "ethernet":
			f.hinder(CodeNetworkHostLocal, "plug it into a bridge or a network of libvirt's", "its interface %s was made by hand on its host", l.Name)
		}
	}
}

func (f *fitting) bridge(name string) {
	if n, ok := f.from.networkOf(name); ok {
		f.hostLocal("bridge "+name, n.Forward)
		return
	}
	b, ok := f.to.bridge(name)
	from, _ := f.from.bridge(name)
	switch {
	case !ok:
		f.hinder(CodeNoSuchNetwork, "make the bridge there, into the same network", "it is plugged into bridge %s, which is not there", name)
	case !b.Up:
		f.hinder(CodeNoSuchNetwork, "ip link set "+name+" up, there", "bridge %s is down there", name)
	case !b.Uplink || !from.Uplink && !f.from.Blind:
		where := "there"
		if b.Uplink {
			where = "on its own host"
		}
		f.hinder(CodeNetworkHostLocal, "give the bridge a port into the network that both hosts share", "bridge %s has no uplink %s: the VM would lose those it talks to", name, where)
	}
}

func (f *fitting) network(name string) {
	n, ok := f.to.network(name)
	switch {
	case !ok:
		f.hinder(CodeNoSuchNetwork, "define it there (virsh net-define)", "it is plugged into libvirt's network %s, which is not there", name)
	case !n.Active:
		f.hinder(CodeNoSuchNetwork, "virsh net-start "+name+", there; and net-autostart", "libvirt's network %s is not active there", name)
	case n.inside():
		f.hostLocal("libvirt's network "+name, n.Forward)
	case n.Forward == "bridge" && n.Bridge != "":
		f.bridge(n.Bridge)
	}
}

func (f *fitting) hostLocal(what, forward string) {
	if forward == "" || forward == "none" {
		forward = "isolated"
	}
	f.hinder(CodeNetworkHostLocal, "plug the VM into a bridge that both hosts have in the same network", "%s (%s) ends at its host, and the VM's connections with it", what, forward)
}

// firmware asks for the files and the emulator that a guest is started from.
func (f *fitting) firmware() {
	// One that is not libvirt's own choice on the source may be on the target all
	// the same: the target itself looks for it.
	if e := f.need.Emulator; slices.Contains(f.from.Emulators, e) && len(f.to.Emulators) > 0 && !slices.Contains(f.to.Emulators, e) {
		f.hinder(CodeEmulatorPath, "install QEMU at the same path, or correct <emulator>", "its emulator is %s, there it is %s", e, strings.Join(f.to.Emulators[:min(3, len(f.to.Emulators))], ", "))
	}
	for _, file := range f.need.Firmware {
		if slices.Contains(f.from.Firmware, file) && !slices.Contains(f.to.Firmware, file) {
			f.hinder(CodeFirmwarePath, "install the same firmware package there", "it boots from %s, which is not there", file)
		}
	}
}

func (f *fitting) hostThings() {
	if slices.ContainsFunc(f.need.Devices, func(d Device) bool { return d.Kind == DeviceTPM }) && !f.to.TPM {
		f.hinder(CodeVTPM, "install swtpm there", "it has an emulated TPM, and libvirt cannot emulate one there")
	}
	for _, s := range f.need.Secrets {
		if !slices.Contains(f.to.Secrets, s) {
			f.hinder(CodeSecretMissing, "define it there (virsh secret-define, secret-set-value)", "a disk of it needs libvirt's secret %s, which is not there", s)
		}
	}
	for _, p := range f.need.Pages {
		i := slices.IndexFunc(f.to.Pages, func(o Pages) bool { return o.KiB == p.KiB })
		have := uint64(0)
		if i >= 0 {
			have = f.to.Pages[i].Count
		}
		if have < p.Count {
			f.hinder(CodeHugePages, "set aside more (vm.nr_hugepages)", "its memory is %d huge pages of %d KiB, and there are %d there", p.Count, p.KiB, have)
		}
	}
}
