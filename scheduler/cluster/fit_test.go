package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestFitStories tells each file of testdata/fit: what VMs need, what hosts
// offer, and what is said of the two.
//
//	need NAME [like=NAME]     lines of key=value, over a plain VM's need
//	offer NAME [like=NAME]    lines of key=value, over a plain host's offer
//	fit VM from=HOST to=HOST
func TestFitStories(t *testing.T) {
	datadriven.Walk(t, "testdata/fit", func(t *testing.T, path string) {
		s := fitStory{t, map[string]*Need{}, map[string]*Offer{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			return s.tell(d)
		})
	})
}

type fitStory struct {
	t      *testing.T
	needs  map[string]*Need
	offers map[string]*Offer
}

func (s fitStory) tell(d *datadriven.TestData) string {
	var like string
	d.MaybeScanArgs(s.t, "like", &like)
	name := d.CmdArgs[0].Key
	switch d.Cmd {
	case "need":
		n := plainNeed()
		if like != "" {
			n = *s.needs[like]
		}
		s.lines(d, func(key, value string) error { return setNeed(&n, key, value) })
		if err := n.Valid(); err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		s.needs[name] = &n
	case "offer":
		o := plainOffer()
		if like != "" {
			o = *s.offers[like]
		}
		s.lines(d, func(key, value string) error { return setOffer(&o, key, value) })
		if err := o.Valid(); err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		s.offers[name] = &o
	case "fit":
		var from, to string
		d.ScanArgs(s.t, "from", &from)
		d.ScanArgs(s.t, "to", &to)
		by := Leeway{Unsafe: d.HasArg("unsafe"), Copies: d.HasArg("copies")}
		n := s.needs[name]
		return words(append(n.Stays(by), n.Fit(s.offers[from], s.offers[to])...))
	default:
		d.Fatalf(s.t, "no such directive: %s", d.Cmd)
	}
	return ""
}

func (s fitStory) lines(d *datadriven.TestData, set func(key, value string) error) {
	for line := range strings.Lines(d.Input) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if err := set(key, value); err != nil || !ok {
			d.Fatalf(s.t, "%s: %v", line, err)
		}
	}
}

func words(list []Hindrance) string {
	if len(list) == 0 {
		return "ok"
	}
	var b strings.Builder
	for _, h := range list {
		auto := ""
		if h.Auto {
			auto = " (not by itself)"
		}
		fmt.Fprintf(&b, "%s%s: %s\n  fix: %s\n", h.Code, auto, h.Text, h.Remedy)
	}
	return b.String()
}

func plainNeed() Need {
	return Need{
		Arch: "x86_64", Machine: "pc-q35-7.2", Virt: "kvm", Emulator: "/usr/bin/qemu-system-x86_64",
		CPU: NeedCPU{Mode: "custom", Model: "EPYC", Features: []string{"aes", "sse2"}},
	}
}

func plainOffer() Offer {
	return Offer{
		Processor: "AMD EPYC stepping 1", Kernel: "6.1.0-30", Libvirt: SoftwareVersion{9, 0, 0}, QEMU: SoftwareVersion{7, 2, 22},
		Emulators: []string{"/usr/bin/qemu-system-x86_64"},
		Guests:    []Guests{{"x86_64", "kvm", []string{"pc-q35-7.2", "q35"}, []string{"EPYC"}, []string{"aes", "avx2", "sse2"}}},
	}
}

// list reads a,b,c; - is an empty list, ? one that is not known.
func list(value string) []string {
	switch value {
	case "-":
		return []string{}
	case "?":
		return nil
	}
	return strings.Split(value, ",")
}

func setNeed(n *Need, key, value string) error {
	a, b, _ := strings.Cut(value, " ")
	switch key {
	case "arch":
		n.Arch = value
	case "machine":
		n.Machine = value
	case "virt":
		n.Virt = value
	case "emulator":
		n.Emulator = value
	case "cpu":
		n.CPU = NeedCPU{Mode: a, Model: b}
	case "features":
		n.CPU.Features = list(value)
	case "require":
		n.CPU.Require = list(value)
	case "link":
		n.Links = append(slices.Clone(n.Links), Link{a, b})
	case "disk": // TARGET KIND POINT STORAGE|own [CACHE|media]
		f := strings.Split(value, " ")
		d := Disk{Target: f[0], Kind: f[1], Point: f[2], Storage: strings.ReplaceAll(f[3], "_", " ")}
		if d.Storage == "own" {
			d.Storage = ""
		}
		if len(f) > 4 {
			if d.Media = f[4] == "media"; !d.Media {
				d.Cache = f[4]
			}
		}
		n.Disks = append(slices.Clone(n.Disks), d)
	case "device":
		n.Devices = append(slices.Clone(n.Devices), Device{a, b})
	case "firmware":
		n.Firmware = list(value)
	case "secret":
		n.Secrets = list(value)
	case "listen":
		n.Listen = list(value)
	case "pages":
		n.Pages = pagesIn(a, b)
	case "leases":
		n.Leases = value == "yes"
	case "locked": // MANAGER [SPACE,SPACE]
		n.LockedBy, n.LockSpaces = a, nil
		if b != "" {
			n.LockSpaces = list(b)
		}
	case "pins":
		n.Pins = value
	case "owner":
		n.Owner = value
	case "snapshots":
		n.Snapshots, _ = strconv.Atoi(value)
	case "unread":
		n.Unread = value
	default:
		return fmt.Errorf("no such property: %s", key)
	}
	return nil
}

func pagesIn(kib, count string) []Pages {
	k, _ := strconv.ParseUint(kib, 10, 64)
	c, _ := strconv.ParseUint(count, 10, 64)
	return []Pages{{k, c}}
}

func setOffer(o *Offer, key, value string) error {
	a, b, _ := strings.Cut(value, " ")
	switch key {
	case "processor":
		o.Processor = value
	case "kernel":
		o.Kernel = value
	case "hooks":
		o.Hooks = value
	case "locks": // MANAGER [SPACE,SPACE]
		o.Locks, o.LockSpaces = a, nil
		if b != "" {
			o.LockSpaces = list(b)
		}
	case "kvm":
		o.KVM = value
	case "qemu":
		_, err := fmt.Sscanf(value, "%d.%d.%d", &o.QEMU[0], &o.QEMU[1], &o.QEMU[2])
		return err
	case "libvirt":
		_, err := fmt.Sscanf(value, "%d.%d.%d", &o.Libvirt[0], &o.Libvirt[1], &o.Libvirt[2])
		return err
	case "emulators":
		o.Emulators = list(value)
	case "machines":
		o.Guests = []Guests{{"x86_64", "kvm", list(value), o.Guests[0].Models, o.Guests[0].Features}}
	case "virt":
		g := o.Guests[0]
		g.Virt = value
		o.Guests = []Guests{g}
	case "models":
		g := o.Guests[0]
		g.Models = list(value)
		o.Guests = []Guests{g}
	case "features":
		g := o.Guests[0]
		g.Features = list(value)
		o.Guests = []Guests{g}
	case "firmware":
		o.Firmware = list(value)
	case "tpm":
		o.TPM = value == "yes"
	case "bridge": // NAME [down] [alone]
		o.Bridges = append(slices.Clone(o.Bridges), Bridge{a, !strings.Contains(b, "down"), !strings.Contains(b, "alone")})
	case "port":
		o.Ports = append(slices.Clone(o.Ports), value)
	case "network": // NAME FORWARD [BRIDGE] [inactive]
		f := strings.Fields(value)
		n := HostNetwork{Name: f[0], Forward: f[1], Active: f[len(f)-1] != "inactive"}
		if len(f) > 2 && f[2] != "inactive" {
			n.Bridge = f[2]
		}
		o.Networks = append(slices.Clone(o.Networks), n)
	case "blind":
		o.Blind = value == "yes"
	case "storage":
		o.Storage = append(slices.Clone(o.Storage), Storage{a, b})
	case "secrets":
		o.Secrets = list(value)
	case "pages":
		o.Pages = pagesIn(a, b)
	default:
		return fmt.Errorf("no such property: %s", key)
	}
	return nil
}

// Each code of the comparison is told in a story.
func TestEveryHindranceHasAStory(t *testing.T) {
	files, err := filepath.Glob("testdata/fit/*")
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		told.Write(text)
	}
	for _, code := range []Code{
		CodeNotChecked, CodeOwnedElsewhere, CodePinnedCPUs, CodeHostdevAttached, CodeSRIOVAttached, CodeVGPUAttached, CodeSharedFolder, CodeSharedMemory,
		CodeSealedMemory, CodeHypervisorBlocked, CodeListenAddress, CodeJobActive, CodeInvariantTSC, CodeUnsafeCache, CodeLocalMedia, CodeStorageNotShared,
		CodeMachineType, CodeCPUIncompatible, CodeOneWay, CodeNoSuchNetwork, CodeNetworkHostLocal, CodeEmulatorPath, CodeFirmwarePath, CodeVTPM,
		CodeSecretMissing, CodeHugePages, CodeHooksDiffer, CodeLockManagerDiffers,
	} {
		if !strings.Contains(told.String(), "\n"+string(code)) {
			t.Errorf("no story tells of %s", code)
		}
	}
}
