package libvirt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	vmPacemakers = "66666666-6666-4666-8666-666666666666"
	vmOurs       = "77777777-7777-4777-8777-777777777777"
)

// corosyncConf is a Pacemaker cluster of this host alone.
const corosyncConf = `totem {
  version: 2
  cluster_name: test
  transport: udpu
  crypto_cipher: none
  crypto_hash: none
}
nodelist {
  node {
    ring0_addr: 127.0.0.1
    name: host-a
    nodeid: 1
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_stderr: yes
  to_syslog: no
}
`

// TestPacemakersVMsAreOwned has a real Pacemaker start a VM: it is its owner's,
// and another VM is not, until somebody takes the resource away.
func TestPacemakersVMsAreOwned(t *testing.T) {
	need(t, "pacemaker", errors.Join(look("pacemakerd"), look("corosync"), look("cibadmin")))
	if !inside(t) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	p := pacemaker{t, ctx, h, NewSurvey(h)}
	p.start()
	if err := h.startGuest(ctx, guestXML("ours", vmOurs, 1)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "db.xml")
	xml := strings.Replace(guestXML("db", vmPacemakers, 1), "</name>", "</name>\n", 1) // VirtualDomain wants the name's line to end there
	if err := os.WriteFile(file, []byte(xml), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run("crm_attribute", "-n", "stonith-enabled", "-v", "false") // else it starts nothing
	p.run("cibadmin", "-C", "-o", "resources", "-X", fmt.Sprintf(`<primitive id="vm-db" class="ocf" provider="heartbeat" type="VirtualDomain">
  <instance_attributes id="vm-db-a"><nvpair id="vm-db-c" name="config" value=%q/><nvpair id="vm-db-h" name="hypervisor" value="qemu:///system"/></instance_attributes>
</primitive>`, file))
	p.until("Pacemaker to start its VM", func() bool {
		n, err := p.s.Need(ctx, vmPacemakers)
		return err == nil && n.Owner == "Pacemaker"
	})
	n, err := p.s.Need(ctx, vmOurs)
	if err != nil || n.Owner != "" {
		t.Errorf("a VM that Pacemaker does not know is owned by %q, %v", n.Owner, err)
	}
	// Taken out of its hands while it runs, it is anybody's.
	p.run("crm_resource", "--resource", "vm-db", "--meta", "--set-parameter", "is-managed", "--parameter-value", "false")
	p.run("cibadmin", "-D", "-o", "resources", "-X", `<primitive id="vm-db"/>`)
	p.until("the VM to be its own again", func() bool {
		n, err := p.s.Need(ctx, vmPacemakers)
		return err == nil && n.Owner == ""
	})
	// Where its list cannot be read, every VM may be its own.
	if err := os.Rename("/var/lib/pacemaker/cib/cib.xml", "/var/lib/pacemaker/cib/away"); err != nil {
		t.Fatal(err)
	}
	if n, err := p.s.Need(ctx, vmOurs); err != nil || !strings.HasPrefix(n.Owner, "Pacemaker, which runs here") {
		t.Errorf("with an unreadable list a VM is owned by %q, %v", n.Owner, err)
	}
	if err := errors.Join(h.Close(), d.stop(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
}

// pacemaker is a Pacemaker on this host; it ends with the process namespace.
type pacemaker struct {
	t   *testing.T
	ctx context.Context
	h   *Host
	s   *Survey
}

func (p pacemaker) start() {
	p.t.Helper()
	for _, dir := range []string{"/var/lib/pacemaker", "/var/lib/corosync", "/var/log", "/dev/shm", "/etc/corosync"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			p.t.Fatal(err)
		}
	}
	p.run("install", "-d", "-o", "hacluster", "-g", "haclient", "/var/lib/pacemaker/cib", "/var/lib/pacemaker/pengine", "/var/lib/pacemaker/cores",
		"/var/lib/pacemaker/blackbox", "/var/log/pacemaker", "/run/crm", "/run/resource-agents")
	if err := os.WriteFile("/etc/corosync/corosync.conf", []byte(corosyncConf), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.daemon("corosync", "-f")
	p.until("corosync to answer", func() bool { return p.try("corosync-quorumtool", "-s") == nil })
	p.daemon("pacemakerd")
	p.until("Pacemaker to have a controller", func() bool { return p.try("crmadmin", "-D") == nil })
}

func (p pacemaker) daemon(name string, args ...string) {
	p.t.Helper()
	log, err := os.Create("/run/" + name + ".out")
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if p.t.Failed() {
			text, err := os.ReadFile(log.Name())
			p.t.Logf("%s: %s %v", name, text, err)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func (p pacemaker) try(argv ...string) error {
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
	}
	return nil
}

func (p pacemaker) run(argv ...string) {
	p.t.Helper()
	if err := p.try(argv...); err != nil {
		p.t.Fatal(err)
	}
}

func (p pacemaker) until(what string, ok func() bool) {
	p.t.Helper()
	for !ok() {
		select {
		case <-p.ctx.Done():
			out, _ := exec.Command("crm_mon", "-1").CombinedOutput()
			p.t.Fatalf("waited in vain for %s; Pacemaker says %s", what, out)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
