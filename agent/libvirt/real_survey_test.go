package libvirt

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestSurveyOnLibvirt reads a real host's offer and real VMs' needs, and holds
// them against each other.
func TestSurveyOnLibvirt(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	surveyed{ctx, h, NewSurvey(h)}.run(t)
	if err := errors.Join(h.Close(), d.stop(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t)
}

type surveyed struct {
	ctx context.Context
	h   *Host
	s   *Survey
}

// bridged is guestXML with something more in its devices.
func bridged(name, uuid, devices string) string {
	return strings.Replace(guestXML(name, uuid, 1), "</devices>", devices+"</devices>", 1)
}

const (
	vmPlugged = "33333333-3333-4333-8333-333333333333"
	vmOwned   = "44444444-4444-4444-8444-444444444444"
)

func (c surveyed) run(t *testing.T) {
	for _, command := range [][]string{
		{"ip", "link", "add", "br7", "type", "bridge"},
		{"ip", "link", "set", "br7", "up"},
		{"ip", "link", "add", "up7", "type", "veth", "peer", "name", "far7"},
		{"ip", "link", "set", "up7", "master", "br7"},
		{"ip", "link", "add", "lonely", "type", "bridge"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", command, err, out)
		}
	}
	offer, err := c.s.Offer(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.offered(t, offer)
	owned := strings.Replace(guestXML("owned", vmOwned, 1), "<devices>", `<metadata><nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"><nova:name>x</nova:name></nova:instance></metadata><devices>`, 1)
	for _, xml := range []string{
		guestXML("one", vmOne, 1),
		bridged("plugged", vmPlugged, `<interface type='bridge'><source bridge='br7'/></interface>`),
		owned,
	} {
		if err := c.h.startGuest(c.ctx, xml); err != nil {
			t.Fatal(err)
		}
	}
	needs, err := c.s.Needs(c.ctx)
	if err != nil || len(needs) != 3 {
		t.Fatalf("%d needs, %v", len(needs), err)
	}
	c.plain(t, needs[vmOne], offer)
	c.plugged(t, needs[vmPlugged], offer)
	if stays := needs[vmOwned].Stays(cluster.Leeway{}); len(stays) != 1 || stays[0].Code != cluster.CodeOwnedElsewhere || !strings.Contains(stays[0].Text, "nova") {
		t.Errorf("a VM of nova's: %+v", stays)
	}
	c.ruled(t)
	c.jobs(t)
	c.reach(t)
	for vm := range needs {
		if err := c.h.destroyGuest(c.ctx, vm); err != nil {
			t.Error(err)
		}
	}
}

func (c surveyed) offered(t *testing.T, o *cluster.Offer) {
	t.Helper()
	if o.Libvirt[0] < 5 || o.QEMU[0] < 4 || o.Processor == "" || o.Kernel == "" || len(o.Emulators) == 0 || o.Blind {
		t.Errorf("offer: libvirt %v, QEMU %v, processor %q, kernel %q, emulators %q, blind %v", o.Libvirt, o.QEMU, o.Processor, o.Kernel, o.Emulators, o.Blind)
	}
	i := slices.IndexFunc(o.Guests, func(g cluster.Guests) bool { return g.Arch == "x86_64" && g.Virt == "qemu" })
	if i < 0 || !slices.Contains(o.Guests[i].Machines, "q35") || !slices.Contains(o.Guests[i].Models, "qemu64") || !slices.Contains(o.Guests[i].Features, "sse2") {
		t.Errorf("guests: %+v", o.Guests)
	}
	want := []cluster.Bridge{{Name: "br7", Up: true, Uplink: true}, {Name: "lonely"}}
	if !slices.Equal(o.Bridges, want) {
		t.Errorf("bridges %+v, want %+v", o.Bridges, want)
	}
}

// plain is a VM that may go to a host like its own.
func (c surveyed) plain(t *testing.T, n *cluster.Need, o *cluster.Offer) {
	t.Helper()
	if n.Unread != "" || n.Virt != "qemu" || !strings.HasPrefix(n.Machine, "pc-i440fx-") || n.CPU.Model != "qemu64" || len(n.CPU.Features) < 10 {
		t.Fatalf("need: %+v", n)
	}
	if list := append(n.Stays(cluster.Leeway{}), n.Fit(o, o)...); len(list) > 0 {
		t.Errorf("a plain VM, and a host like its own: %+v", list)
	}
	if h, err := c.s.Takes(c.ctx, n); h != nil || err != nil {
		t.Errorf("the VM's own hypervisor does not take it: %+v, %v", h, err)
	}
	other := *n
	other.CPU.Model, other.CPU.Require = "Skylake-Server", nil
	if h, err := c.s.Takes(c.ctx, &other); err != nil || h == nil || h.Code != cluster.CodeCPUIncompatible {
		t.Errorf("a CPU that QEMU cannot emulate whole: %+v, %v", h, err)
	}
	other = *n
	other.Firmware = []string{"/no/such/kernel"}
	if h, err := c.s.Takes(c.ctx, &other); err != nil || h == nil || h.Code != cluster.CodeFirmwarePath {
		t.Errorf("a kernel that is not there: %+v, %v", h, err)
	}
}

func (c surveyed) plugged(t *testing.T, n *cluster.Need, o *cluster.Offer) {
	t.Helper()
	if !slices.Equal(n.Links, []cluster.Link{{Kind: "bridge", Name: "br7"}}) {
		t.Fatalf("links: %+v", n.Links)
	}
	if list := n.Fit(o, o); len(list) > 0 {
		t.Errorf("a host with the same bridge: %+v", list)
	}
	without := *o
	without.Bridges = o.Bridges[1:]
	if list := n.Fit(o, &without); len(list) != 1 || list[0].Code != cluster.CodeNoSuchNetwork || !strings.Contains(list[0].Text, "br7") {
		t.Errorf("a host without the bridge: %+v", list)
	}
}

// ruled: rules that virsh put into a VM's live metadata, as docs/rules.md says;
// and what is no rule among them.
func (c surveyed) ruled(t *testing.T) {
	t.Helper()
	for _, step := range []struct {
		xml   string
		rules []cluster.MetaRule
		wrong string
	}{
		{
			`<rules><rule kind="anti-affinity" group="db"/><rule kind="pin" hosts="hv1,zone=b" should="yes"/></rules>`,
			[]cluster.MetaRule{{Kind: cluster.RuleAntiAffinity, Group: "db"}, {Kind: cluster.RulePin, Should: true, Hosts: []string{"hv1", "zone=b"}}},
			"",
		},
		{`<rules><rule kind="class" class="latency"/><rule kind="class" class="royal"/></rules>`, []cluster.MetaRule{{Kind: cluster.RuleClass, Class: cluster.ClassLatency}}, "rule 2"},
	} {
		out, err := exec.CommandContext(c.ctx, "virsh", "metadata", vmOne, rulesNamespace, "--live", "--key", "evenkeel", "--set", step.xml).CombinedOutput()
		if err != nil {
			t.Fatalf("virsh: %v: %s", err, out)
		}
		need, err := c.s.Need(c.ctx, vmOne)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.rules, need.Metas); diff != "" || !strings.Contains(need.Wrong, step.wrong) || (need.Wrong == "") != (step.wrong == "") {
			t.Errorf("%s: %q\n%s", step.xml, need.Wrong, diff)
		}
	}
}

// jobs: none runs; then a snapshot, with which libvirt migrates no VM.
func (c surveyed) jobs(t *testing.T) {
	t.Helper()
	if busy, err := c.s.Busy(c.ctx, vmOne); busy != "" || err != nil {
		t.Errorf("busy with %q, %v", busy, err)
	}
	if _, err := c.s.Need(c.ctx, "55555555-5555-4555-8555-555555555555"); !errors.Is(err, ErrNoVM) {
		t.Errorf("need of a VM that is not here: %v", err)
	}
	dom, err := c.s.find(c.ctx, vmOne)
	if err != nil {
		t.Fatal(err)
	}
	err = c.h.call(c.ctx, "snapshot", func(lv *golibvirt.Libvirt) error {
		_, err := lv.DomainSnapshotCreateXML(dom, "<domainsnapshot><name>s</name></domainsnapshot>", uint32(golibvirt.DomainSnapshotCreateDiskOnly))
		return err
	})
	if err != nil {
		t.Logf("no snapshot of a VM without disks: %v", err)
	}
}

func (c surveyed) reach(t *testing.T) {
	t.Helper()
	if err := c.s.Reach(c.ctx, "qemu+unix:///system?socket=/run/libvirt/libvirt-sock"); err != nil {
		t.Errorf("the libvirt that serves us is out of reach: %v", err)
	}
	for _, uri := range []string{"qemu+unix:///system?socket=/run/nobody", "qemu+tcp://127.0.0.1:1/system", "qemu+tls://127.0.0.1:1/system", "xen+tcp://a/", "qemu+unix:///system", "qemu+carrier://pigeon/", "%"} {
		if err := c.s.Reach(c.ctx, uri); err == nil {
			t.Errorf("%s was reached", uri)
		}
	}
}
