package libvirt

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// Names that libvirt takes and that somebody will give a VM. The second is what
// the first would be shown as if it were escaped carelessly.
var oddNames = []string{
	"right\u202eleft", `right\u{202e}left`, `back\slash ü 日本`, `-rf "a" <b> & 'c'`, " spaces  ",
}

// TestFault32OnLibvirt has VMs on a real libvirtd that are called and described
// as nobody expects. Each is listed, under a name of its own, with its memory
// and process; what cannot be read of one harms no other.
func TestFault32OnLibvirt(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var said bytes.Buffer
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), &said), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b := bench{ctx, h}
	t.Run("names", b.oddlyNamed)
	t.Run("names that are no text", b.notNamed)
	t.Run("metadata of 5 MiB", func(t *testing.T) { b.hugeMetadata(t, &said) })
	if err := errors.Join(h.Close(), d.stop(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
}

func (b bench) oddlyNamed(t *testing.T) {
	shown := map[string]string{}
	for i, name := range oddNames {
		var quoted strings.Builder
		if err := xml.EscapeText(&quoted, []byte(name)); err != nil {
			t.Fatal(err)
		}
		vm := fmt.Sprintf("11111111-1111-4111-8111-%012d", i)
		b.start(t, quoted.String(), vm, 1)
		g := b.guest(t, vm)
		if g.PID == 0 || g.MaxMemoryBytes != 64<<20 || len(g.VCPUThreads) != 1 || g.Name == "" {
			t.Errorf("%q: %+v", name, g)
		}
		if other, taken := shown[g.Name]; taken {
			t.Errorf("%q and %q are both shown as %q", name, other, g.Name)
		}
		shown[g.Name] = name
	}
	if guests, err := b.h.Guests(b.ctx); err != nil || len(guests) != len(oddNames) {
		t.Errorf("%d VMs are listed, %v", len(guests), err)
	}
}

// libvirt itself refuses what is no UTF-8. An older or newer one that does not
// would meet cleanName, under which two such names stay two.
func (b bench) notNamed(t *testing.T) {
	b.start(t, "one", vmOne, 1)
	for _, name := range []string{"a\xff", "a\xfe"} {
		if err := b.h.startGuest(b.ctx, guestXML(name, vmTwo, 1)); err == nil {
			g := b.guest(t, vmTwo)
			t.Logf("libvirt takes %q, shown as %q", name, g.Name)
			if g.Name != cleanName(name) {
				t.Errorf("%q is shown as %q", name, g.Name)
			}
			if err := b.h.destroyGuest(b.ctx, vmTwo); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.only(t)
}

// libvirt cannot send a definition of more than 4 MiB. The VM counts with its
// memory all the same, the log says of which VM the definition is unusable, and
// nobody concludes from it where the VM could go.
func (b bench) hugeMetadata(t *testing.T, said *bytes.Buffer) {
	b.start(t, "one", vmOne, 1)
	b.start(t, "two", vmTwo, 2)
	id, err := parseUUID(vmOne)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		fill := "<x>" + strings.Repeat("m", 1<<20) + "</x>"
		n := strconv.Itoa(i)
		err := b.h.call(b.ctx, "fill metadata", func(lv *golibvirt.Libvirt) error {
			dom, err := lookup(lv, id)
			if err != nil {
				return err
			}
			return lv.DomainSetMetadata(dom, int32(golibvirt.DomainMetadataElement), golibvirt.OptString{fill},
				golibvirt.OptString{"k" + n}, golibvirt.OptString{"urn:fill:" + n}, golibvirt.DomainAffectLive)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if g := b.guest(t, vmOne); g.MaxMemoryBytes != 64<<20 || g.PID == 0 || g.Name != "one" {
			t.Errorf("%+v", g)
		}
	}
	if n := strings.Count(said.String(), `msg="VM definition is not usable" vm=`+vmOne); n != 1 {
		t.Errorf("it was told %d times that the definition is not usable", n)
	}
	if need, err := NewSurvey(b.h).Need(b.ctx, vmOne); err == nil {
		t.Errorf("where it could go is known: %+v", need)
	}
	if needs, err := NewSurvey(b.h).Needs(b.ctx); err != nil || needs[vmOne] == nil || needs[vmOne].Unread == "" || needs[vmTwo] == nil || needs[vmTwo].Unread != "" {
		t.Errorf("needs %+v, %v", needs, err)
	}
	b.sees(t, vmOne, agent.Sighting{State: agent.RunStateRunning, Process: true})
	if err := b.h.Stamp(b.ctx, vmTwo, "order"); err != nil {
		t.Fatal(err)
	}
	if g := b.guest(t, vmTwo); g.Order != "order" || len(g.VCPUThreads) != 2 {
		t.Errorf("the other one: %+v", g)
	}
}

// Figures that cannot be are refused, with the field's name.
func TestFault32FiguresOfLibvirt(t *testing.T) {
	for what, value := range map[string]any{
		"not a number": math.NaN(), "infinite": math.Inf(1), "minus infinity": math.Inf(-1), "negative": int64(-1), "10^18 KiB": uint64(1e18), "a text": "1",
	} {
		if got, err := vmStats(params("balloon.current", value, "balloon.maximum", uint64(1))); err == nil || !strings.Contains(err.Error(), "balloon.current") {
			t.Errorf("a balloon that is %s: %+v, %v", what, got, err)
		}
	}
	for what, p := range map[string][]golibvirt.TypedParam{
		"negative": params("job_type", int32(2), golibvirt.DomainJobDataTotal, int64(-1)),
		"10^18":    params("job_type", int32(2), golibvirt.DomainJobDataTotal, uint64(1e18)),
	} {
		if got, err := jobOf("job", p); err == nil || !strings.Contains(err.Error(), golibvirt.DomainJobDataTotal) {
			t.Errorf("a job whose total is %s: %+v, %v", what, got, err)
		}
	}
	for what, text := range map[string]string{
		"10^18 TiB":     "<domain><memory unit='TiB'>1000000000000000000</memory></domain>",
		"negative":      "<domain><memory unit='KiB'>-1</memory></domain>",
		"not a number":  "<domain><memory unit='KiB'>NaN</memory></domain>",
		"nothing":       "<domain><memory unit='KiB'>0</memory></domain>",
		"over 4 MiB":    "<domain><!--" + strings.Repeat("m", maxXML) + "--><memory unit='KiB'>1</memory></domain>",
		"without UTF-8": "<domain><name>a\xff</name><memory unit='KiB'>1</memory></domain>",
	} {
		if got, err := parseDefinition(text); err == nil || !strings.Contains(err.Error(), "VM definition") {
			t.Errorf("a definition with memory of %s: %+v, %v", what, got, err)
		}
	}
}
