package libvirt

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/agent"
)

// TestDefinitionsOnLibvirt moves VMs as they are between two real libvirtds:
// what libvirt takes along, what it leaves behind, and what it refuses.
func TestDefinitionsOnLibvirt(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("hosts", func(t *testing.T) {
		p := startPeer(t)
		started := p.ask(t, "start", "")
		if started.Err != "" {
			t.Fatal(started.Err)
		}
		m := mover{bench{ctx, h}, p, rootOf(started.PID)}
		t.Run("follow", m.follow)
		t.Run("everywhere", m.everywhere)
		t.Run("transient", m.transient)
		t.Run("changed meanwhile", m.changed)
		t.Run("as the voters keep them", m.kept)
	})
	if err := errors.Join(h.Close(), d.stop(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t)
}

const (
	vmOffice   = "44444444-4444-4444-8444-444444444444"
	officeName = "Büro 東京 1"
	notesURI   = "https://example.org/notes"
)

// office defines a VM with all that an operator gives one, and starts it.
func (m mover) office(t *testing.T) {
	t.Helper()
	xml := strings.Replace(guestXML(officeName, vmOffice, 1), "<memory",
		"<title>Büro</title><description>two\nlines</description><metadata><n:notes xmlns:n='"+notesURI+"'>stored</n:notes></metadata><memory", 1)
	err := m.h.call(m.ctx, "define", func(lv *golibvirt.Libvirt) error { _, err := lv.DomainDefineXML(xml); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.away(t) })
	if err := m.h.SetAutostart(m.ctx, vmOffice, true); err != nil {
		t.Fatal(err)
	}
	m.do(t, "start", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error { return lv.DomainCreate(dom) })
	m.do(t, "set live metadata", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error {
		return lv.DomainSetMetadata(dom, int32(golibvirt.DomainMetadataElement), golibvirt.OptString{"<notes>live</notes>"},
			golibvirt.OptString{"n"}, golibvirt.OptString{notesURI}, golibvirt.DomainAffectLive)
	})
	if err := m.h.Stamp(m.ctx, vmOffice, "m-7"); err != nil {
		t.Fatal(err)
	}
	m.defined(t, agent.Definition{Persistent: true, Autostart: true})
}

// away removes the VM from both hosts.
func (m mover) away(t *testing.T) {
	_ = m.h.destroyGuest(m.ctx, vmOffice) // where it does not run, libvirt says so
	m.peer.ask(t, "destroy", vmOffice)
	if err := m.h.undefineGuest(m.ctx, vmOffice); err != nil && !errors.Is(err, ErrNoVM) {
		t.Error(err)
	}
	m.peer.ask(t, "undefine", vmOffice)
}

func (m mover) do(t *testing.T, what string, call func(*golibvirt.Libvirt, golibvirt.Domain) error) {
	t.Helper()
	if err := m.h.on(m.ctx, vmOffice, what, call); err != nil {
		t.Fatal(err)
	}
}

func (m mover) defined(t *testing.T, want agent.Definition) {
	t.Helper()
	if got, err := m.h.Definition(m.ctx, vmOffice); err != nil || got != want {
		t.Errorf("host A defines it %+v, %v; want %+v", got, err, want)
	}
}

func (m mover) peerDefines(t *testing.T, want agent.Definition) {
	t.Helper()
	if r := m.peer.ask(t, "definition", vmOffice); r.Err != "" || r.Defined != want {
		t.Errorf("host B defines it %+v %s; want %+v", r.Defined, r.Err, want)
	}
}

func (m mover) moved(t *testing.T, change func(*agent.MigrateRequest)) {
	t.Helper()
	openGate(t, m.root).release()
	r := m.request(vmOffice)
	change(&r)
	if err := m.h.Migrate(m.ctx, r); err != nil {
		t.Fatal(err)
	}
	m.sees(t, vmOffice, absent)
	m.peerSees(t, vmOffice, running)
}

func (m mover) starts(t *testing.T, want ...string) {
	t.Helper()
	if got, err := NewSurvey(m.h).Starts(m.ctx); err != nil || !slices.Equal(got, want) {
		t.Errorf("host A starts %v, %v; want %v", got, err, want)
	}
}

// follow: the definition goes along, with what is stored in it and what is
// live; the autostart does not, until the target sets it.
func (m mover) follow(t *testing.T) {
	m.office(t)
	m.starts(t) // it runs: it is not off
	m.moved(t, func(r *agent.MigrateRequest) { r.Persist, r.Undefine = true, true })
	if _, err := m.h.Definition(m.ctx, vmOffice); !errors.Is(err, agent.ErrNoVM) {
		t.Errorf("host A: %v, want ErrNoVM", err)
	}
	m.peerDefines(t, agent.Definition{Persistent: true})
	if r := m.peer.ask(t, "autostart", vmOffice); r.Err != "" {
		t.Error(r.Err)
	}
	m.peerDefines(t, agent.Definition{Persistent: true, Autostart: true})
	stored := m.peer.ask(t, "stored", vmOffice)
	for _, want := range []string{"<name>" + officeName + "</name>", "<title>Büro</title>", "two\nlines", ">stored<"} {
		if !strings.Contains(stored.XML, want) {
			t.Errorf("host B's definition lacks %q (%s):\n%s", want, stored.Err, stored.XML)
		}
	}
	if strings.Contains(stored.XML, "m-7") {
		t.Errorf("the order's stamp is stored:\n%s", stored.XML)
	}
	at := m.peer.ask(t, "guests", "")
	if len(at.Guests) != 1 || at.Guests[0].Name != officeName || !at.Guests[0].Persistent || at.Guests[0].Order != "m-7" || at.Guests[0].PID == 0 {
		t.Errorf("host B lists %+v (%s)", at.Guests, at.Err)
	}
	m.peer.ask(t, "destroy", vmOffice)
	if r := m.peer.ask(t, "starts", ""); !slices.Equal(r.Starts, []string{vmOffice}) {
		t.Errorf("host B starts %v (%s)", r.Starts, r.Err)
	}
}

// everywhere: the source's copy stays, off, and is still started with its host
// until that is unset. It is no second VM.
func (m mover) everywhere(t *testing.T) {
	m.office(t)
	m.moved(t, func(r *agent.MigrateRequest) { r.Persist = true })
	m.defined(t, agent.Definition{Persistent: true, Autostart: true})
	m.starts(t, vmOffice)
	if err := m.h.SetAutostart(m.ctx, vmOffice, false); err != nil {
		t.Error(err)
	}
	m.defined(t, agent.Definition{Persistent: true})
	m.starts(t)
	m.peerDefines(t, agent.Definition{Persistent: true})
	if guests, err := m.h.Guests(m.ctx); err != nil || len(guests) != 0 {
		t.Errorf("host A lists %+v, %v", guests, err)
	}
}

// transient: nothing is defined anywhere, and libvirt starts no such VM.
func (m mover) transient(t *testing.T) {
	if err := m.h.startGuest(m.ctx, guestXML(officeName, vmOffice, 1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.away(t) })
	m.defined(t, agent.Definition{})
	if err := m.h.SetAutostart(m.ctx, vmOffice, true); !hasCode(err, golibvirt.ErrOperationInvalid) {
		t.Errorf("autostart of a transient VM: %v", err)
	}
	m.moved(t, func(*agent.MigrateRequest) {})
	m.peerDefines(t, agent.Definition{})
}

// changed: what people do with a VM between an order and its migration, and
// what libvirt answers then. The VM is as they left it.
func (m mover) changed(t *testing.T) {
	m.office(t)
	err := m.h.on(m.ctx, vmOffice, "rename", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error {
		_, err := lv.DomainRename(dom, golibvirt.OptString{"other"}, 0)
		return err
	})
	if !hasCode(err, golibvirt.ErrOperationInvalid) {
		t.Errorf("a running VM is renamed: %v", err)
	}
	t.Log("rename a running VM:", err)

	// Without a disk there is nothing to take a snapshot of; that libvirt keeps
	// one in its books is what stands against a migration.
	m.do(t, "snapshot", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error {
		def, err := lv.DomainGetXMLDesc(dom, golibvirt.DomainXMLInactive)
		if err != nil {
			return err
		}
		xml := "<domainsnapshot><name>s1</name><state>shutoff</state><creationTime>1790000000</creationTime>" + def + "</domainsnapshot>"
		_, err = lv.DomainSnapshotCreateXML(dom, xml, uint32(golibvirt.DomainSnapshotCreateRedefine))
		return err
	})
	need, err := NewSurvey(m.h).Need(m.ctx, vmOffice)
	if err != nil || need.Snapshots != 1 {
		t.Errorf("it needs %+v, %v; want one snapshot", need, err)
	}
	m.refused(t, "a snapshot", running)
	m.do(t, "delete the snapshot", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error {
		s, err := lv.DomainSnapshotLookupByName(dom, "s1", 0)
		if err != nil {
			return err
		}
		return lv.DomainSnapshotDelete(s, golibvirt.DomainSnapshotDeleteMetadataOnly)
	})

	m.do(t, "save", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error { return lv.DomainManagedSave(dom, 0) })
	m.refused(t, "saved", absent)
	m.defined(t, agent.Definition{Persistent: true, Autostart: true})
	m.do(t, "start from what was saved", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error {
		saved, err := lv.DomainHasManagedSaveImage(dom, 0)
		if err != nil || saved != 1 {
			return errors.Join(err, errors.New("what was saved is gone"))
		}
		return lv.DomainCreate(dom)
	})
	m.sees(t, vmOffice, running)
}

// refused asks for a migration that libvirt must refuse.
func (m mover) refused(t *testing.T, why string, left agent.Sighting) {
	t.Helper()
	r := m.request(vmOffice)
	r.Persist, r.Undefine = true, true
	err := m.h.Migrate(m.ctx, r)
	if e := (*Error)(nil); !errors.As(err, &e) {
		t.Errorf("%s: Migrate: %v, want libvirt's refusal", why, err)
	}
	t.Logf("%s: %v", why, err)
	m.sees(t, vmOffice, left)
	m.peerSees(t, vmOffice, absent)
}

// kept reads the definitions of a VM that runs and of one that is off: both can
// be defined again, and neither tells a password.
func (m mover) kept(t *testing.T) {
	m.office(t)
	const off, secret = "55555555-5555-4555-8555-555555555555", "s3cr3t"
	xml := strings.Replace(guestXML("off", off, 1), "</devices>", "<graphics type='vnc' port='-1' autoport='yes' passwd='"+secret+"'/></devices>", 1)
	if !strings.Contains(xml, secret) {
		t.Fatalf("no place for a password in %s", xml)
	}
	var stored string
	err := m.h.call(m.ctx, "define", func(lv *golibvirt.Libvirt) error {
		dom, err := lv.DomainDefineXML(xml)
		if err != nil {
			return err
		}
		stored, err = lv.DomainGetXMLDesc(dom, golibvirt.DomainXMLSecure|golibvirt.DomainXMLInactive)
		return err
	})
	if err != nil || !strings.Contains(stored, secret) {
		t.Fatalf("libvirt has not stored the password: %v", err)
	}
	all, err := m.h.Definitions(m.ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d definitions, %v", len(all), err)
	}
	for i, name := range []string{officeName, "off"} {
		if all[i].Name != name || strings.Contains(all[i].XML, secret) {
			t.Errorf("%s: %s", name, all[i].XML)
		}
		err := m.h.call(m.ctx, "define anew", func(lv *golibvirt.Libvirt) error { _, err := lv.DomainDefineXML(all[i].XML); return err })
		if err != nil {
			t.Errorf("%s cannot be defined again: %v", name, err)
		}
	}
	err = m.h.call(m.ctx, "undefine", func(lv *golibvirt.Libvirt) error {
		id, err := parseUUID(off)
		if err != nil {
			return err
		}
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainUndefine(dom)
	})
	if err != nil {
		t.Error(err)
	}
}
