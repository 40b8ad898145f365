package libvirt

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func fixture(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The fixtures are what libvirt 9.0 wrote.
func TestDefinition(t *testing.T) {
	for name, want := range map[string]definition{
		"domain-stamped.xml": {maxMemoryBytes: 64 << 20, order: "order-7", diskless: true},
		// 16 GiB may be plugged, 4 GiB are: those count. Of three elements called
		// order only the last is ours.
		"domain-rich.xml": {maxMemoryBytes: 4 << 30, order: "0190c2f3-7a00-7000-8000-000000000001", beyond: true},
	} {
		got, err := parseDefinition(fixture(t, name))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestDiskLocks(t *testing.T) {
	const (
		file     = "<disk type='file' device='disk'><source file='/srv/a.qcow2'/><target dev='vda'/></disk>"
		shared   = "<disk type='file' device='disk'><source file='/srv/b.raw'/><target dev='vdb'/><shareable/></disk>"
		network  = "<disk type='network' device='disk'><source protocol='nbd' name='x'/><target dev='vdc'/></disk>"
		block    = "<disk type='block' device='disk'><source dev='/dev/vg/x'/><target dev='vdd'/></disk>"
		readOnly = "<disk type='block' device='disk'><source dev='/dev/vg/y'/><target dev='vde'/><readonly/></disk>"
		empty    = "<disk type='file' device='cdrom'><target dev='sda'/></disk>"
	)
	for _, c := range []struct {
		disks            string
		diskless, locked bool
	}{
		{"", true, false},
		{empty + readOnly, true, false},
		{file, false, true},
		{file + empty, false, true},
		{file + shared, false, false},
		{network, false, false},
		{file + block, false, false},
	} {
		d, err := parseDefinition("<domain><memory unit='KiB'>65536</memory><devices>" + c.disks + "</devices></domain>")
		if err != nil || d.diskless != c.diskless || d.locked != c.locked {
			t.Errorf("%s: %+v, %v", c.disks, d, err)
		}
	}
}

func TestDefinitionRefused(t *testing.T) {
	const good = "<domain><memory unit='KiB'>65536</memory></domain>"
	if _, err := parseDefinition(good); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"empty":         "",
		"not XML":       "hello",
		"cut off":       good[:30],
		"no memory":     "<domain/>",
		"zero memory":   strings.Replace(good, "65536", "0", 1),
		"negative":      strings.Replace(good, "65536", "-1", 1),
		"overflow":      strings.Replace(good, "65536", "18014398509481984", 1),
		"unknown unit":  strings.Replace(good, "KiB", "pages", 1),
		"another":       "<network><memory>1</memory></network>",
		"too long":      good + strings.Repeat(" ", maxXML),
		"bad UTF-8":     strings.Replace(good, "<memory", "<title>\xff</title><memory", 1),
		"huge exponent": strings.Replace(good, "65536", "1e9", 1),
	} {
		if d, err := parseDefinition(text); err == nil {
			t.Errorf("%s: took %+v", what, d)
		}
	}
}

func TestMemoryUnits(t *testing.T) {
	for unit, want := range map[string]int64{"": 3 << 10, "b": 3, "KB": 3000, "KiB": 3 << 10, "MiB": 3 << 20, "GB": 3e9, "G": 3 << 30, "TiB": 3 << 40} {
		if got, err := memoryBytes(3, unit); err != nil || got != want {
			t.Errorf("3 %q is %d (%v), want %d", unit, got, err, want)
		}
	}
}

func TestStampRefusesForeignText(t *testing.T) {
	for _, metadata := range []string{
		"", "<", "<order id='x'/>",
		"<e:order xmlns:e='https://evenkeel.dev/xmlns/order/1' id='../../&lt;x'/>",
		"<e:order xmlns:e='https://evenkeel.dev/xmlns/order/1' id=''/>",
		"<e:order xmlns:e='https://evenkeel.dev/xmlns/order/2' id='o-1'/>",
		"<e:other xmlns:e='https://evenkeel.dev/xmlns/order/1' id='o-1'/>",
		"<e:order xmlns:e='https://evenkeel.dev/xmlns/order/1' e:id='o-1'/>",
		"<a><e:order xmlns:e='https://evenkeel.dev/xmlns/order/1' id='o-1'/></a>",
	} {
		if got := orderIn(metadata); got != "" {
			t.Errorf("%s reads as order %q", metadata, got)
		}
	}
}

func TestXMLCache(t *testing.T) {
	var c xmlCache
	text := fixture(t, "domain-stamped.xml")
	for range 2 {
		if d, err := c.parse(vmOne, text); err != nil || d.order != "order-7" {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	if d, _ := c.parse(vmOne, strings.Replace(text, "order-7", "order-8", 1)); d.order != "order-8" {
		t.Errorf("after a change the cache says %q", d.order)
	}
	if d, _ := c.parse(vmTwo, text); d.order != "order-7" {
		t.Errorf("another VM with the first text: %q", d.order)
	}
	c.keep(map[string]bool{vmTwo: true})
	if len(c.last) != 1 {
		t.Errorf("%d VMs kept, want 1", len(c.last))
	}
}

func TestMigrationInStatusFile(t *testing.T) {
	for name, want := range map[string]string{
		"status-idle.xml":          "",
		"status-migration-in.xml":  migrationIn,
		"status-migration-out.xml": migrationOut,
	} {
		if got, err := migrationJob(fixture(t, name)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	for _, text := range []string{"<domain/>", "<domstatus><job", "<domstatus>&x;</domstatus>"} {
		if got, err := migrationJob(text); err == nil {
			t.Errorf("%s: took %q", text, got)
		}
	}
	// A job element elsewhere is not the VM's, and other jobs migrate nothing.
	for _, text := range []string{"<domstatus><a><job async='migration out'/></a></domstatus>", "<domstatus><job async='backup'/></domstatus>"} {
		if got, err := migrationJob(text); err != nil || got != "" {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

func FuzzDefinition(f *testing.F) {
	for _, name := range []string{"domain-stamped.xml", "domain-rich.xml", "status-idle.xml"} {
		f.Add(fixture(f, name))
	}
	f.Add("<domain><metadata><order xmlns='https://evenkeel.dev/xmlns/order/1' id='o'/></metadata><memory>1</memory></domain>")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseDefinition(text); err == nil {
			if d.maxMemoryBytes <= 0 {
				t.Errorf("memory %d", d.maxMemoryBytes)
			}
			if d.order != "" && validOrder(d.order) != nil {
				t.Errorf("order %q", d.order)
			}
		}
		if job, err := migrationJob(text); err == nil && job != "" && !strings.Contains(text, "migration") {
			t.Errorf("job %q", job)
		}
	})
}
