package libvirt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

func params(pairs ...any) (out []golibvirt.TypedParam) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, golibvirt.TypedParam{Field: pairs[i].(string), Value: golibvirt.TypedParamValue{I: pairs[i+1]}})
	}
	return out
}

func TestParseVMStats(t *testing.T) {
	got, err := vmStats(params("net.0.name", "vnet3", "net.0.rx.bytes", uint64(10), "net.count", uint32(2), "net.0.rx.pkts", uint64(1),
		"net.0.tx.bytes", uint64(20), "net.0.tx.pkts", uint64(2), "net.0.rx.drop", uint64(3), "net.0.tx.drop", uint64(4), "net.0.rx.errs", uint64(5),
		"net.1.name", "user\x00", "balloon.current", uint64(512), "balloon.maximum", uint64(1024), "balloon.rss", uint64(7)))
	want := VMStats{
		Balloon: &Balloon{512 << 10, 1 << 20},
		NICs:    []NICStats{{"vnet3", true, 10, 1, 20, 2, 3, 4}, {Name: cleanName("user\x00")}},
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := vmStats(params("balloon.current", uint64(1))); err != nil || got.Balloon != nil {
		t.Errorf("half a balloon: %+v, %v", got, err)
	}
	for what, p := range map[string][]golibvirt.TypedParam{
		"too many":    params("net.count", uint64(maxNICs+1)),
		"not counted": params("net.0.name", "x"),
		"beyond":      params("net.count", uint64(1), "net.1.rx.bytes", uint64(1)),
		"negative":    params("net.count", uint64(1), "net.0.rx.bytes", int64(-1)),
		"a text":      params("balloon.current", "x"),
		"no text":     params("net.count", uint64(1), "net.0.name", 5),
		"overflow":    params("balloon.maximum", uint64(1<<54)),
	} {
		if got, err := vmStats(p); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestParseDirtyRate(t *testing.T) {
	const status, rate = golibvirt.DomainStatsDirtyrateCalcStatus, golibvirt.DomainStatsDirtyrateMegabytesPerSecond
	if got, done, err := parseDirtyRate(params(status, int32(2), rate, int64(3))); got != 3<<20 || !done || err != nil {
		t.Error(got, done, err)
	}
	if _, done, err := parseDirtyRate(params(status, int32(1))); done || err != nil {
		t.Error(done, err)
	}
	for what, p := range map[string][]golibvirt.TypedParam{
		"none": nil, "not started": params(status, int32(0)), "no rate": params(status, int32(2)), "another state": params(status, int32(3), rate, int64(1)),
	} {
		if got, _, err := parseDirtyRate(p); !errors.Is(err, ErrNoDirtyRate) {
			t.Errorf("%s: %d, %v", what, got, err)
		}
	}
	for what, p := range map[string][]golibvirt.TypedParam{
		"negative": params(status, int32(2), rate, int64(-1)), "absurd": params(status, int32(2), rate, int64(maxDirtyMiB+1)), "text": params(status, "2"),
	} {
		if got, _, err := parseDirtyRate(p); err == nil || errors.Is(err, ErrNoDirtyRate) {
			t.Errorf("%s: %d, %v", what, got, err)
		}
	}
}

func TestDirtyRateRefuses(t *testing.T) {
	h, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, period := range []time.Duration{0, -time.Second, 1500 * time.Millisecond, 61 * time.Second} {
		if _, err := h.DirtyRate(t.Context(), vmOne, period); err == nil || !strings.Contains(err.Error(), "whole seconds") {
			t.Errorf("%s: %v", period, err)
		}
	}
	if _, err := h.DirtyRate(t.Context(), "x", time.Second); err == nil {
		t.Error("no UUID")
	}
}

// dirtier is a boot sector that writes one word to each page from 1 MiB on to
// 513 MiB, round and round: half of the memory of a VM with 1 GiB.
func dirtier() []byte {
	const origin, gdtr, protected, gdt = 0x7c00, 0x40, 0x20, 0x48
	s := make([]byte, 512)
	copy(s, []byte{
		0xfa,       // cli
		0x31, 0xc0, // xor ax, ax
		0x8e, 0xd8, // mov ds, ax
		0x0f, 0x01, 0x16, gdtr, origin >> 8, // lgdt [gdtr]
		0xe4, 0x92, 0x0c, 0x02, 0xe6, 0x92, // the A20 gate, by port 0x92
		0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // cr0 |= 1
		0xea, protected, origin >> 8, 0x08, 0x00, // jmp 8:protected
	})
	copy(s[protected:], []byte{
		0x66, 0xb8, 0x10, 0x00, // mov ax, 0x10
		0x8e, 0xd8, // mov ds, ax
		0xbf, 0x00, 0x00, 0x10, 0x00, // again: mov edi, 1 MiB
		0xff, 0x07, // next: inc dword [edi]
		0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, // add edi, 4096
		0x81, 0xff, 0x00, 0x00, 0x10, 0x20, // cmp edi, 513 MiB
		0x72, 0xf0, // jb next
		0xeb, 0xe9, // jmp again
	})
	copy(s[gdtr:], []byte{23, 0, gdt, origin >> 8, 0, 0})
	copy(s[gdt+8:], []byte{0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0})  // code, 4 GiB
	copy(s[gdt+16:], []byte{0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0}) // data, 4 GiB
	s[510], s[511] = 0x55, 0xaa
	return s
}

// statsXML is a VM with 1 GiB, a balloon, and devices.
func statsXML(name, uuid, boot, devices string) string {
	return fmt.Sprintf(`<domain type='qemu'>
  <name>%s</name><uuid>%s</uuid>
  <memory unit='MiB'>1024</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='%s'/></os>
  <devices><memballoon model='virtio'/>%s</devices>
</domain>`, name, uuid, boot, devices)
}

// TestStatsOnLibvirt measures real VMs: one that dirties half of its memory all
// the time, one that does nothing but ask its network for a boot server.
func TestStatsOnLibvirt(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	floppy := filepath.Join("/var/lib/libvirt", "dirtier.img")
	if err := os.WriteFile(floppy, append(dirtier(), make([]byte, 1440<<10-512)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, xml := range []string{
		statsXML("one", vmOne, "fd", `<disk type='file' device='floppy'><source file='`+floppy+`'/><target dev='fda'/></disk>`),
		statsXML("two", vmTwo, "network", `<interface type='ethernet'><target dev='ektap0'/><model type='e1000'/></interface><interface type='user'/>`),
	} {
		if err := h.startGuest(ctx, xml); err != nil {
			t.Fatal(err)
		}
	}
	b := bench{ctx, h}
	t.Run("memory and network", b.memoryAndNetwork)
	t.Run("dirty rate", b.dirtyRate)
	t.Run("cost", func(t *testing.T) { b.costOfStats(t, d) })
	t.Run("hung QEMU", b.statsOfHungQEMU)
	for _, vm := range []string{vmOne, vmTwo} {
		if err := h.destroyGuest(ctx, vm); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.DirtyRate(ctx, vmOne, time.Second); !errors.Is(err, ErrNoVM) {
		t.Errorf("dirty rate of a VM that is gone: %v", err)
	}
	if err := errors.Join(h.Close(), d.stop(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
}

// What libvirt tells lies between two readings of the kernel's own counters.
func (b bench) memoryAndNetwork(t *testing.T) {
	for {
		before := tap(t)
		all, err := b.h.VMStats(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		after := tap(t)
		one, two := all[vmOne], all[vmTwo]
		if len(all) != 2 || one.Balloon == nil || *one.Balloon != (Balloon{1 << 30, 1 << 30}) || len(one.NICs) != 0 || len(two.NICs) != 2 {
			t.Fatalf("%+v", all)
		}
		nic, user := two.NICs[0], two.NICs[1]
		if nic.Name != "ektap0" || !nic.Known || user.Known || nic.TxPackets < before || nic.TxPackets > after {
			t.Fatalf("the kernel has %d to %d packets, libvirt tells %+v", before, after, two.NICs)
		}
		if nic.TxPackets > 0 && nic.TxBytes >= 60*nic.TxPackets {
			t.Logf("%+v", nic)
			return
		}
		if err := sleep(b.ctx, 100*time.Millisecond); err != nil {
			t.Fatal("the guest sent nothing: ", err)
		}
	}
}

// tap is how many packets the host's side of the guest's interface took in. It
// is asked of /proc: /sys still shows the network namespace of outside.
func tap(t *testing.T) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "ektap0:")
	fields := strings.Fields(rest)
	if !found || len(fields) < 2 {
		t.Fatalf("no ektap0 in %s", text)
	}
	n, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Half of 1 GiB in each second, found from 512 sampled pages: σ is 2.2 % of
// 1 GiB, so 400 to 624 MiB is five of them.
func (b bench) dirtyRate(t *testing.T) {
	for pid := b.guest(t, vmOne).PID; ; { // until it has been round once
		f, err := procfs.Host().Footprint(pid)
		if err != nil {
			t.Fatal(err)
		}
		if f.ResidentBytes > 512<<20 {
			break
		}
		if err := sleep(b.ctx, 100*time.Millisecond); err != nil {
			t.Fatalf("the guest wrote to no memory: %+v", f)
		}
	}
	other := make(chan error, 1)
	go func() {
		_, err := b.h.DirtyRate(b.ctx, vmOne, time.Second)
		other <- err
	}()
	for _, c := range []struct {
		vm              string
		seconds, lo, hi int64
	}{{vmOne, 1, 400, 624}, {vmOne, 2, 200, 312}, {vmTwo, 1, 0, 20}} {
		got, err := b.h.DirtyRate(b.ctx, c.vm, time.Duration(c.seconds)*time.Second)
		if c.vm == vmOne && c.seconds == 1 {
			if err := <-other; err != nil {
				t.Errorf("two at once: %v", err)
			}
		}
		t.Logf("VM %s over %d s: %d MiB/s", c.vm[:4], c.seconds, got>>20)
		if err != nil || got < c.lo<<20 || got > c.hi<<20 {
			t.Errorf("VM %s over %d s: %d MiB/s, %v, want %d to %d", c.vm, c.seconds, got>>20, err, c.lo, c.hi)
		}
	}
}

// costOfStats logs what the calls cost libvirtd and QEMU; figures, no verdict.
func (b bench) costOfStats(t *testing.T, d *daemon) {
	const calls = 200
	qemu := b.guest(t, vmTwo).PID
	cpu := func(pid int) (ns uint64) {
		threads, err := procfs.Host().ThreadIDs(pid)
		if err != nil {
			t.Fatal(err)
		}
		for _, tid := range threads {
			if s, err := procfs.Host().Schedstat(pid, tid); err == nil {
				ns += s.RunNS
			}
		}
		return ns
	}
	monitor := func() uint64 { // without the vCPU, which runs the guest
		s, err := procfs.Host().Schedstat(qemu, qemu)
		if err != nil {
			t.Fatal(err)
		}
		return s.RunNS
	}
	libvirtd, main := cpu(d.cmd.Process.Pid), monitor()
	for range calls {
		if _, err := b.h.VMStats(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("VMStats of 2 VMs: libvirtd %d µs, one QEMU's main thread %d µs a call",
		(cpu(d.cmd.Process.Pid)-libvirtd)/calls/1000, (monitor()-main)/calls/1000)
}

// A QEMU that hangs holds up the first question to it; while that is owed an
// answer the others are answered without it.
func (b bench) statsOfHungQEMU(t *testing.T) {
	pid := b.guest(t, vmOne).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer resume(t, pid)
	id, err := parseUUID(vmOne)
	if err != nil {
		t.Fatal(err)
	}
	blocked, release := context.WithCancel(b.ctx)
	first := make(chan error, 1)
	go func() { _, err := b.h.VMStats(blocked); first <- err }()
	b.untilOccupied(t, id)
	all, err := b.h.VMStats(b.ctx)
	if err != nil || all[vmTwo].Balloon == nil || len(all[vmTwo].NICs) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	t.Logf("of the hung one: %+v", all[vmOne])
	release()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
}
