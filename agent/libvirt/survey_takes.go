package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	golibvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Takes asks this host's own hypervisor whether it could run a VM: its CPU,
// its emulator, its firmware, its block devices. It gives what stands against
// it, or nil.
func (s *Survey) Takes(ctx context.Context, n *cluster.Need) (*cluster.Hindrance, error) {
	if h := s.files(n); h != nil {
		return h, nil
	}
	if h, err := s.blocks(n); h != nil || err != nil {
		return h, err
	}
	if h := hugePages(s.host.qemus.proc.FS(), n.Pages); h != nil {
		return h, nil
	}
	return s.compare(ctx, n)
}

// files asks for what QEMU and the guest are started from.
func (s *Survey) files(n *cluster.Need) *cluster.Hindrance {
	if e := n.Emulator; e != "" && !s.exists(e) {
		return &cluster.Hindrance{Code: cluster.CodeEmulatorPath, Text: "its emulator " + e + " is not there", Remedy: "install QEMU at the same path, or correct <emulator>"}
	}
	for _, file := range n.Firmware {
		if !s.exists(file) {
			return &cluster.Hindrance{Code: cluster.CodeFirmwarePath, Text: "it boots from " + file + ", which is not there", Remedy: "install it there at the same path"}
		}
	}
	return nil
}

// exists asks no file system that a dead server could hold up.
func (s *Survey) exists(path string) bool {
	mounts, _, err := s.places("self")
	if err == nil && mounts.Remote(path) {
		return true
	}
	_, err = os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// blocks asks for the block devices under the same paths, upon the same storage.
func (s *Survey) blocks(n *cluster.Need) (*cluster.Hindrance, error) {
	for _, d := range n.Disks {
		if d.Kind != "block" {
			continue
		}
		mounts, devices, err := s.places("self")
		if err != nil {
			return nil, err
		}
		here := diskOf(layer{target: d.Target, source: agent.DiskSource{Type: "block", Path: d.Point}}, mounts, devices)
		if here.Storage != d.Storage {
			if here.Storage == "" {
				here.Storage = "nothing shared"
			}
			return &cluster.Hindrance{
				Code: cluster.CodeStorageNotShared, Text: fmt.Sprintf("disk %s is %s on %s, and there it is on %s", d.Target, d.Point, d.Storage, here.Storage),
				Remedy: "give both hosts the same device under the same path",
			}, nil
		}
	}
	return nil, nil
}

// hugePages asks the kernel for huge pages that no VM has yet: those that are
// free and not promised, and those that it may still make.
func hugePages(root fs.FS, needed []cluster.Pages) *cluster.Hindrance {
	for _, p := range needed {
		dir := fmt.Sprintf("sys/kernel/mm/hugepages/hugepages-%dkB/", p.KiB)
		count := func(name string) (n uint64) {
			text, err := readSmall(root, dir+name, 64)
			if err == nil {
				n, err = strconv.ParseUint(strings.TrimSpace(text), 10, 64)
			}
			if err != nil {
				return 0 // the kernel has none of that size
			}
			return n
		}
		free := less(count("free_hugepages"), count("resv_hugepages")) + less(count("nr_overcommit_hugepages"), count("surplus_hugepages"))
		if free < p.Count {
			return &cluster.Hindrance{
				Code: cluster.CodeHugePages, Text: fmt.Sprintf("its memory is %d huge pages of %d KiB, and %d are free there", p.Count, p.KiB, free),
				Remedy: "set aside more (vm.nr_hugepages), or let other VMs leave",
			}
		}
	}
	return nil
}

// less subtracts, down to 0: the kernel's counters are read one by one.
func less(a, b uint64) uint64 { return a - min(a, b) }

// The answers of virConnectCompareHypervisorCPU.
const (
	cpuIdentical = 1
	cpuSuperset  = 2
)

// compare asks libvirt whether a guest here can have the VM's CPU. It judges
// models; of a CPU that is the host's own it knows nothing.
func (s *Survey) compare(ctx context.Context, n *cluster.Need) (*cluster.Hindrance, error) {
	if n.CPU.Mode != "custom" || n.CPU.Model == "" {
		return nil, nil
	}
	cpu := libvirtxml.DomainCPU{Mode: "custom", Match: "exact", Model: &libvirtxml.DomainCPUModel{Fallback: "forbid", Value: n.CPU.Model}}
	for _, f := range n.CPU.Require {
		cpu.Features = append(cpu.Features, libvirtxml.DomainCPUFeature{Policy: "require", Name: f})
	}
	for _, f := range n.CPU.Disable {
		cpu.Features = append(cpu.Features, libvirtxml.DomainCPUFeature{Policy: "disable", Name: f})
	}
	text, err := cpu.Marshal()
	if err != nil {
		return nil, err
	}
	var answer int32
	err = s.host.call(ctx, "compare CPUs", func(lv *golibvirt.Libvirt) error {
		var err error
		answer, err = lv.ConnectCompareHypervisorCPU(emulator(n), golibvirt.OptString{n.Arch}, golibvirt.OptString{n.Machine}, golibvirt.OptString{n.Virt}, text, 0)
		return err
	})
	switch {
	case hasAnswer(err):
		return &cluster.Hindrance{
			Code: cluster.CodeCPUIncompatible, Text: word(fmt.Sprintf("libvirt there cannot compare its CPU %s: %v", n.CPU.Model, err)),
			Remedy: "look at virsh hypervisor-cpu-compare there",
		}, nil
	case err != nil:
		return nil, err
	case answer == cpuIdentical, answer == cpuSuperset:
		return nil, nil
	}
	return &cluster.Hindrance{
		Code: cluster.CodeCPUIncompatible, Text: "the hypervisor there cannot give it its CPU (" + n.CPU.Model + ")",
		Remedy: "give it a CPU model that both hosts have (virsh hypervisor-cpu-baseline) and restart it",
	}, nil
}

func emulator(n *cluster.Need) golibvirt.OptString {
	if n.Emulator == "" {
		return nil
	}
	return golibvirt.OptString{n.Emulator}
}

// The ports of libvirt's transports.
var peerPorts = map[string]string{"tcp": "16509", "tls": "16514", "ssh": "22"}

// Reach opens the target's libvirt as this host's libvirtd would: wholly over
// UNIX sockets and plain TCP, and as far as the port answers over TLS and SSH,
// whose credentials are libvirtd's.
func (s *Survey) Reach(ctx context.Context, peerURI string) error {
	network, address, transport, err := peerAddress(peerURI)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}
	if transport == "tls" || transport == "ssh" {
		return conn.Close()
	}
	c, err := openConn(ctx, conn, qemuURI)
	if err != nil {
		return fmt.Errorf("open libvirt at %s: %w", address, err)
	}
	c.close()
	return nil
}

// peerAddress is where a libvirt URI leads.
func peerAddress(uri string) (network, address, transport string, err error) {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > 1024 {
		return "", "", "", fmt.Errorf("peer URI %q is none", clip(uri, 256))
	}
	driver, transport, _ := strings.Cut(u.Scheme, "+")
	port := peerPorts[transport]
	switch {
	case driver != "qemu":
		return "", "", "", fmt.Errorf("peer URI %q: want qemu+TRANSPORT://", clip(uri, 256))
	case transport == "" && u.Host != "":
		transport, port = "tls", peerPorts["tls"]
	case transport == "unix":
		socket := u.Query().Get("socket")
		if socket == "" {
			return "", "", "", fmt.Errorf("peer URI %q names no socket", clip(uri, 256))
		}
		return "unix", socket, transport, nil
	case port == "":
		return "", "", "", fmt.Errorf("peer URI %q: transport %q is not known", clip(uri, 256), clip(transport, 16))
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return "tcp", net.JoinHostPort(u.Hostname(), port), transport, nil
}
