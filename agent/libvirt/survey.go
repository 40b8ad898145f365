package libvirt

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

var _ agent.Surveyor = (*Survey)(nil)

// Survey reads what a host offers to VMs and what its VMs need. Its methods
// may be called concurrently.
type Survey struct {
	host *Host
	now  func() time.Time

	mu       sync.Mutex
	expanded map[string][]string // features of a CPU, by the question
	offered  *cluster.Offer      // the newest
}

// NewSurvey makes a survey of a host.
func NewSurvey(h *Host) *Survey {
	return &Survey{host: h, now: time.Now, expanded: map[string][]string{}}
}

// virts are the kinds of guests whose CPUs are asked for.
var virts = []string{"kvm", "qemu"}

// Offer reads what the host has for VMs now.
func (s *Survey) Offer(ctx context.Context) (*cluster.Offer, error) {
	var text string
	var lib, qemu uint64
	err := s.host.call(ctx, "ask for the host's capabilities", func(lv *golibvirt.Libvirt) error {
		var err error
		if text, err = lv.ConnectGetCapabilities(); err != nil {
			return err
		}
		if lib, err = lv.ConnectGetLibVersion(); err != nil {
			return err
		}
		qemu, err = lv.ConnectGetVersion()
		return err
	})
	if err != nil {
		return nil, err
	}
	o, native, err := parseCapabilities(text)
	if err != nil {
		return nil, err
	}
	o.Libvirt, o.QEMU = numbers(lib), numbers(qemu)
	if err := s.cpus(ctx, &o, native); err != nil {
		return nil, err
	}
	if err := s.networks(ctx, &o); err != nil {
		return nil, err
	}
	if err := s.secrets(ctx, &o); err != nil {
		return nil, err
	}
	if err := s.mounted(&o); err != nil {
		return nil, err
	}
	o.Kernel, o.KVM = s.kernel(), s.kvm()
	if o.Hooks, err = hooksOf(s.host.qemus.proc.FS()); err != nil {
		return nil, fmt.Errorf("libvirt's hooks: %w", err)
	}
	s.locks(&o)
	if err := o.Valid(); err != nil {
		return nil, fmt.Errorf("what this host offers: %w", err)
	}
	s.mu.Lock()
	s.offered = &o
	s.mu.Unlock()
	return &o, nil
}

// numbers undoes libvirt's major*1,000,000 + minor*1,000 + release.
func numbers(v uint64) cluster.SoftwareVersion {
	return cluster.SoftwareVersion{uint32(v / 1_000_000 % 1_000_000), uint32(v / 1_000 % 1_000), uint32(v % 1_000)}
}

// cpus asks which CPUs guests of this machine's own kind may have.
func (s *Survey) cpus(ctx context.Context, o *cluster.Offer, native string) error {
	for i := range o.Guests {
		g := &o.Guests[i]
		if g.Arch != native || !slices.Contains(virts, g.Virt) {
			continue
		}
		var text string
		err := s.host.call(ctx, "ask for the capabilities of "+g.Virt+" guests", func(lv *golibvirt.Libvirt) error {
			var err error
			text, err = lv.ConnectGetDomainCapabilities(nil, golibvirt.OptString{g.Arch}, nil, golibvirt.OptString{g.Virt}, 0)
			return err
		})
		if hasAnswer(err) {
			continue // such guests cannot run; the list of machines says no more
		}
		if err != nil {
			return err
		}
		caps, err := parseDomainCaps(text)
		if err != nil {
			return err
		}
		g.Models, o.TPM = caps.models, o.TPM || caps.tpm
		for _, f := range caps.firmware {
			o.Firmware = add(o.Firmware, f)
		}
		if caps.host != "" {
			if g.Features, err = s.expand(ctx, g.Arch, g.Virt, caps.host); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxExpanded bounds what is remembered of CPUs.
const maxExpanded = 512

// baselineExpand is VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES.
const baselineExpand = 1

// expand lists all features of a CPU that a guest here can have, nil if
// libvirt does not say.
func (s *Survey) expand(ctx context.Context, arch, virt, cpu string) ([]string, error) {
	key := arch + " " + virt + " " + cpu
	s.mu.Lock()
	known, ok := s.expanded[key]
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	var text string
	err := s.host.call(ctx, "ask for a CPU's features", func(lv *golibvirt.Libvirt) error {
		var err error
		text, err = lv.ConnectBaselineHypervisorCPU(nil, golibvirt.OptString{arch}, nil, golibvirt.OptString{virt}, []string{cpu}, baselineExpand)
		return err
	})
	var features []string
	switch {
	case hasAnswer(err):
	case err != nil:
		return nil, err
	default:
		if features, err = parseExpanded(text); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.expanded) >= maxExpanded {
		clear(s.expanded)
	}
	s.expanded[key] = features
	return features, nil
}

// kernel is the running kernel's release.
func (s *Survey) kernel() string {
	text, err := readSmall(s.host.qemus.proc.FS(), "proc/sys/kernel/osrelease", 1<<10)
	if err != nil {
		return ""
	}
	return word(strings.TrimSpace(text))
}

// kvmParameters are those that change what a guest sees of its CPU.
var kvmParameters = []string{
	"kvm/ignore_msrs", "kvm/enable_vmware_backdoor", "kvm_intel/nested", "kvm_intel/ept", "kvm_intel/enable_shadow_vmcs", "kvm_amd/nested", "kvm_amd/npt", "kvm_amd/avic",
}

func (s *Survey) kvm() string {
	var out []string
	for _, p := range kvmParameters {
		module, name, _ := strings.Cut(p, "/")
		text, err := readSmall(s.host.qemus.proc.FS(), "sys/module/"+module+"/parameters/"+name, 64)
		if err == nil {
			out = append(out, p+"="+strings.TrimSpace(text))
		}
	}
	return word(strings.Join(out, " "))
}

// networks reads bridges, devices and libvirt's networks. Where libvirt's are
// not to be read, or libvirtd is in another network than we are, nothing is
// concluded from what is missing.
func (s *Survey) networks(ctx context.Context, o *cluster.Offer) error {
	links, err := netLinks()
	if err != nil {
		return err
	}
	o.Bridges, o.Ports = plugs(links)
	if !s.sameNetwork(ctx) {
		o.Bridges, o.Ports, o.Blind = nil, nil, true
		return nil
	}
	err = s.host.call(ctx, "list networks", func(lv *golibvirt.Libvirt) error {
		nets, _, err := lv.ConnectListAllNetworks(1, 0)
		if err != nil {
			return err
		}
		for _, n := range nets[:min(len(nets), maxNetworks)] {
			text, err := lv.NetworkGetXMLDesc(n, 0)
			if refusedOf(err) {
				continue // it has just gone
			}
			if err != nil {
				return err
			}
			read, err := parseNetwork(text)
			if err != nil {
				continue // of a libvirt to come; such a network is missing here
			}
			active, err := lv.NetworkIsActive(n)
			if err != nil && !refusedOf(err) {
				return err
			}
			read.Active = active == 1
			o.Networks = append(o.Networks, read)
		}
		return nil
	})
	if hasAnswer(err) {
		o.Blind, err = true, nil
	}
	slices.SortFunc(o.Networks, func(a, b cluster.HostNetwork) int { return strings.Compare(a.Name, b.Name) })
	return err
}

const maxNetworks = 1024

func refusedOf(err error) bool { return err != nil && answered(err) }

// sameNetwork says whether libvirtd, which plugs guests in, is in the network
// namespace that this process sees.
func (s *Survey) sameNetwork(ctx context.Context) bool {
	pid, err := s.host.DaemonPID(ctx)
	if err != nil || pid == 0 {
		return true // a namespace of its own is the rarer case
	}
	ours, err1 := os.Readlink("/proc/self/ns/net")
	theirs, err2 := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/net")
	return err1 != nil || err2 != nil || ours == theirs
}

// secrets lists what libvirt's store has, by UUID and by usage; never a value.
func (s *Survey) secrets(ctx context.Context, o *cluster.Offer) error {
	err := s.host.call(ctx, "list secrets", func(lv *golibvirt.Libvirt) error {
		secrets, _, err := lv.ConnectListAllSecrets(1, 0)
		for _, k := range secrets {
			o.Secrets = add(o.Secrets, formatUUID(k.UUID))
			if k.UsageID != "" {
				o.Secrets = add(o.Secrets, word(k.UsageID))
			}
		}
		return err
	})
	slices.Sort(o.Secrets)
	if hasAnswer(err) {
		return nil // no such driver: VMs that need one are refused
	}
	return err
}

// mounted lists the mounts that other hosts can have, too.
func (s *Survey) mounted(o *cluster.Offer) error {
	mounts, devices, err := s.places("self")
	if err != nil {
		return err
	}
	for _, m := range mounts {
		top, ok := mounts.Of(m.Point)
		if !ok || top != m || len(o.Storage) >= maxLayers {
			continue // another lies above it
		}
		if name := agent.SharedAs(agent.DiskSource{Type: "file", Path: m.Point}, mounts, devices); name != "" {
			o.Storage = append(o.Storage, cluster.Storage{Point: word(m.Point), Name: word(name)})
		}
	}
	slices.SortFunc(o.Storage, func(a, b cluster.Storage) int { return strings.Compare(a.Point, b.Point) })
	return nil
}

// locks reads libvirt's lock manager. libvirt may understand a configuration that
// we do not: then nothing is said of it.
func (s *Survey) locks(o *cluster.Offer) {
	k, err := s.host.qemus.keeper()
	if err != nil {
		s.host.notices.warn(s.host.log, "", "libvirt's lock manager is not known: it locks nothing, and is not compared with other hosts'", err)
		return
	}
	if o.Locks = k.name; k.name != cluster.LocksNone {
		o.LockSpaces = k.spaces(k.ground)
	}
}

func (s *Survey) places(who string) (agent.Mounts, agent.Devices, error) {
	return s.host.qemus.places(who)
}

// places are the mounts that a process sees, and this host's devices.
func (f finder) places(who string) (agent.Mounts, agent.Devices, error) {
	devices := agent.Devices{Root: f.proc.FS()}
	text, err := readSmall(f.proc.FS(), "proc/"+who+"/mountinfo", 16<<20)
	if err != nil {
		return nil, devices, err
	}
	mounts, err := agent.ParseMounts(text)
	return mounts, devices, err
}
