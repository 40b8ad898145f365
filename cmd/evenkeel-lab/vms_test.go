package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/heartbeat"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The VM of the story is one as people make them: a name in three scripts, with
// blanks, notes in its metadata, and started with its host.
const (
	officeName = "Büro 東京 1"
	officeUUID = "b0e60000-7090-4000-8000-000000000001"
	notesURI   = "https://example.org/notes"
)

// TestVMsAsTheyAre moves a VM with all that an operator gives one, and a
// transient one, under each policy of definitions, and looks from outside, by
// virsh, at what became of them. Then people stop, suspend and save the VM
// between its order and its migration.
func TestVMsAsTheyAre(t *testing.T) {
	d := fleet(t, lab.Scenario{
		Description: "a VM as people make them, and a transient one",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 4)}},
		Witness:     true,
		Mode:        "off",
		Policy:      map[string]string{"warm_up": "2s", "settle": "5s", "allow_unlocked": "true"},
		Guests:      []lab.Guest{{Name: "plain", On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB), Load: "cpu:20"}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	o := office{preflight: preflight{t: t, ctx: ctx, d: d, said: map[string]string{}}}
	from, pulse := time.Now(), d.Listen()
	o.make()

	// It goes to hv2 and all of it comes along; hv1 has nothing of it left.
	o.migrate(officeName, "hv2")
	o.at(map[string]string{officeName: "hv2"})
	o.wants("hv2", "Persistent:     yes", "dominfo", officeUUID)
	o.wants("hv2", "Autostart:      enable", "dominfo", officeUUID)
	o.wants("hv2", "<name>"+officeName+"</name>", "dumpxml", "--inactive", officeUUID)
	o.wants("hv2", "stored", "metadata", "--config", officeUUID, notesURI)
	o.wants("hv2", "live", "metadata", "--live", officeUUID, notesURI)
	if out := o.virsh("hv1", "list", "--all", "--uuid"); strings.Contains(out, officeUUID) {
		t.Errorf("hv1 still defines it: %s", out)
	}
	// The other is transient, and stays so.
	o.migrate("plain", "hv2")
	o.wants("hv2", "Persistent:     no", "dominfo", "plain")

	// Under `everywhere` a copy stays behind, without the autostart; it is no
	// duplicate.
	o.say("policy", "set", "definitions=everywhere")
	o.migrate(officeName, "hv1")
	o.wants("hv1", "Autostart:      enable", "dominfo", officeUUID)
	o.wants("hv2", "Autostart:      disable", "dominfo", officeUUID)
	o.wants("hv2", "State:          shut off", "dominfo", officeUUID)
	o.until("no VM to look doubled, nor started twice", func() bool {
		out, err := o.ask("witness", "status")
		return err == nil && !strings.Contains(out, "is reported by") && !strings.Contains(out, "would start")
	})

	// Definitions at home: this one would be started there again.
	o.say("policy", "set", "definitions=transient")
	o.refused("AUTOSTART_STAYS")
	o.virsh("hv1", "autostart", "--disable", officeUUID)
	o.migrate(officeName, "hv2")
	o.wants("hv1", "Persistent:     yes", "dominfo", officeUUID)

	// A person has hv1 start its copy, too: an alarm.
	if out, err := o.ask("witness", "events", "--since", "10m"); err != nil || strings.Contains(out, "autostart-twice") {
		t.Errorf("a move was taken for a second start: %v", err)
	}
	o.virsh("hv1", "autostart", officeUUID)
	o.until("the second autostart to be an alarm", func() bool {
		out, _ := o.ask("witness", "events", "--since", "10m")
		return strings.Contains(out, "libvirt at hv1 would start "+officeName)
	})
	if out, err := o.ask("witness", "status", "--json"); err != nil || !strings.Contains(out, "libvirt at hv1 would start VM "+officeName) {
		t.Errorf("status does not warn of it: %v", err)
	}
	if out, err := o.ask("hv1", "doctor"); err == nil || !strings.Contains(out, officeName+", which runs on hv2") {
		t.Error("doctor does not find it")
	}
	o.virsh("hv1", "autostart", "--disable", officeUUID)
	o.until("the alarm to end", func() bool {
		out, _ := o.ask("witness", "events", "--since", "10m")
		return strings.Contains(out, "libvirt at hv1 would start "+officeName+" no more")
	})
	heartbeats(t, d, pulse, from)
	o.beats()
	o.meddled()
}

type office struct{ preflight }

// make defines the VM on hv1 after the image of the other, starts it, and waits
// until evenkeel knows both.
func (o office) make() {
	o.t.Helper()
	dir := filepath.Join(o.d.Lab.Dir(), "guests")
	data, err := os.ReadFile(filepath.Join(dir, "plain", "domain.xml"))
	if err != nil {
		o.t.Fatal(err)
	}
	plain, err := o.d.Lab.Guest("plain")
	if err != nil {
		o.t.Fatal(err)
	}
	xml := strings.NewReplacer(
		"<name>plain</name>", "<name>"+officeName+"</name><title>Büro</title><metadata><n:notes xmlns:n='"+notesURI+"'>stored</n:notes></metadata>",
		plain.UUID, officeUUID, o.d.Lab.SerialLog("plain"), o.log(),
	).Replace(string(data))
	file := filepath.Join(o.d.Lab.Dir(), "office.xml")
	for path, text := range map[string]string{file: xml, o.log(): ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			o.t.Fatal(err)
		}
	}
	o.virsh("hv1", "define", file)
	o.virsh("hv1", "autostart", officeUUID)
	o.virsh("hv1", "start", officeUUID)
	o.virsh("hv1", "metadata", "--live", officeUUID, notesURI, "--key", "n", "--set", "<notes>live</notes>")
	if err := drill.Until(o.ctx, "its first heartbeat", func() (bool, error) {
		beats, err := heartbeat.ReadFile(o.log())
		return len(beats) > 0, err
	}); err != nil {
		o.t.Fatal(err)
	}
}

func (o office) log() string { return filepath.Join(o.d.Lab.Dir(), "office.log") }

func (o office) virsh(host string, args ...string) string {
	o.t.Helper()
	out, err := o.d.Lab.Exec(o.ctx, host, append([]string{"virsh", "--quiet"}, args...)...)
	if err != nil {
		o.t.Fatalf("%s$ virsh %s: %v", host, strings.Join(args, " "), err)
	}
	return out
}

func (o office) wants(host, want string, args ...string) {
	o.t.Helper()
	if out := o.virsh(host, args...); !strings.Contains(out, want) {
		o.t.Errorf("%s$ virsh %s: lacks %q:\n%s", host, strings.Join(args, " "), want, out)
	}
}

func (o office) say(args ...string) {
	o.t.Helper()
	if _, err := o.ask("witness", args...); err != nil {
		o.t.Fatal(err)
	}
}

// migrate moves a VM as soon as evenkeel would.
func (o office) migrate(vm, host string) {
	o.t.Helper()
	o.ready(vm, host)
	o.say("migrate", vm, host, "--yes", "--reason", "to see what comes along")
	if on := o.d.Lab.GuestHosts(vm); !slices.Equal(on, []string{host}) {
		o.t.Fatalf("%s runs on %v, want %s", vm, on, host)
	}
}

func (o office) ready(vm, host string) {
	o.t.Helper()
	o.until(vm+" to be free to go to "+host, func() bool {
		_, err := o.d.Lab.Exec(o.ctx, "witness", "evenkeel", "migrate", vm, host, "--dry-run")
		return err == nil
	})
}

// refused orders a move of the VM to the other host, which ends with a code.
func (o office) refused(code string) {
	o.t.Helper()
	target := "hv1"
	if slices.Equal(o.d.Lab.GuestHosts(officeName), []string{"hv1"}) {
		target = "hv2"
	}
	o.ready(officeName, target)
	_, err := o.ask("witness", "migrate", officeName, target, "--yes")
	moves, listed := o.d.Moves(o.ctx)
	if err == nil || listed != nil || len(moves) == 0 || string(moves[0].WhyCode) != code || moves[0].State.Live() {
		o.t.Errorf("not refused with %s: %v, %v; newest move %+v", code, err, listed, moves[:min(len(moves), 1)])
	}
}

// meddled has the source's pre-move hook do what people do between an order
// and its migration.
func (o office) meddled() {
	o.t.Helper()
	for _, c := range []struct{ name, virsh, code, state, back string }{
		{"suspended", "suspend", "NOT_RUNNING", "paused", "resume"},
		{"saved", "managedsave", "UNKNOWN_VM", "shut off", "start"},
		{"stopped", "destroy", "UNKNOWN_VM", "shut off", "start"},
	} {
		o.define("hv2")
		path := "/etc/evenkeel/hooks/pre-move"
		script := fmt.Sprintf("#!/bin/sh\nrm %s\nvirsh --quiet %s \"$EVENKEEL_VM\"\n", path, c.virsh)
		if _, err := o.d.Lab.Exec(o.ctx, "hv2", "sh", "-c", "mkdir -p /etc/evenkeel/hooks && printf '%s' \"$1\" > "+path+" && chmod 755 "+path, "sh", script); err != nil {
			o.t.Fatal(err)
		}
		o.refused(c.code)
		if out := o.virsh("hv2", "domstate", officeUUID); !strings.Contains(out, c.state) {
			o.t.Errorf("%s: the VM is %q, want %q", c.name, strings.TrimSpace(out), c.state)
		}
		if c.name == "saved" {
			o.wants("hv2", "Managed save:   yes", "dominfo", officeUUID)
		}
		o.virsh("hv2", c.back, officeUUID)
	}
	if out, err := o.d.Lab.Exec(o.ctx, "hv2", "virsh", "domrename", officeUUID, "other"); err == nil {
		o.t.Errorf("libvirt renames a VM that runs: %s", out)
	} else {
		o.t.Log("rename a running VM: ", err)
	}
	o.until("the VM to be as it was", func() bool { return slices.Equal(o.d.Lab.GuestHosts(officeName), []string{"hv2"}) })
}

// define gives the VM, which came without one, a definition where it runs.
func (o office) define(host string) {
	o.t.Helper()
	o.virsh(host, "define", filepath.Join(o.d.Lab.Dir(), "office.xml"))
}

// beats asks that the VM never missed one.
func (o office) beats() {
	o.t.Helper()
	beats, err := heartbeat.ReadFile(o.log())
	if err != nil {
		o.t.Fatal(err)
	}
	if r := heartbeat.Judge(beats); r.Boots != 1 || r.Missing != 0 || r.Disordered != 0 || r.Beats < 2 {
		o.t.Errorf("the VM's heartbeats: %+v", r)
	}
}
