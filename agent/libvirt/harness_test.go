package libvirt

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The tests on a real libvirt run inside namespaces of their own (process,
// mount, network, UTS), which the test binary makes by starting itself again
// in a role. When they end, however they end, the kernel ends everything in
// the process namespace: no libvirtd and no QEMU stays behind.
const (
	roleEnv    = "EVENKEEL_TEST_ROLE"
	roleInit   = "init"   // process 1: starts the tests and reaps orphans
	roleInside = "inside" // the tests, as host A
	rolePeer   = "peer"   // host B, asked over its standard input
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case roleInit:
		os.Exit(runInit())
	case rolePeer:
		if err := runPeer(); err != nil {
			fmt.Fprintln(os.Stderr, "peer:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// need skips the test when this machine lacks a feature, or fails it when
// EVENKEEL_REQUIRE names that feature.
func need(t *testing.T, feature string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for f := range strings.SplitSeq(os.Getenv("EVENKEEL_REQUIRE"), ",") {
		if strings.TrimSpace(f) == feature {
			t.Fatalf("EVENKEEL_REQUIRE names %s: %v", feature, err)
		}
	}
	t.Skipf("%s: %v", feature, err)
}

func look(binary string) error {
	if os.Getuid() != 0 {
		return errors.New("needs root")
	}
	_, err := exec.LookPath(binary)
	return err
}

// inside reports true in the process that is inside the namespaces. Outside,
// it runs the same test inside and takes over its verdict.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleEnv) == roleInside {
		return true
	}
	need(t, "libvirt", look("libvirtd"))
	need(t, "qemu", look("qemu-system-x86_64"))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v=true", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), roleEnv+"="+roleInit)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	t.Logf("inside:\n%s", out)
	if err != nil {
		t.Fatalf("the test inside the namespaces: %v", err)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatal("the test inside the namespaces did not run")
	}
	return false
}

// runInit is process 1 of the namespace. It must reap what QEMU and libvirtd
// leave: libvirt waits until a QEMU process that it ended is really gone.
func runInit() int {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: not process 1: not in a process namespace of its own")
		return 1
	}
	err := errors.Join(
		os.Setenv(roleEnv, roleInside), // os.StartProcess keeps the first of two values: never append
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("proc", "/proc", "proc", 0, ""),
		exec.Command("ip", "link", "set", "lo", "up").Run(),
	)
	if err == nil {
		err = hostMounts("host-a")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		return 1
	}
	p, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil && err != syscall.EINTR {
			fmt.Fprintln(os.Stderr, "init: wait:", err)
			return 1
		}
		if pid == p.Pid {
			return status.ExitStatus()
		}
	}
}

// hostMounts makes this mount namespace a host of its own.
func hostMounts(name string) error {
	certificates, err := pki()
	if err != nil {
		return err
	}
	dirs := []string{"/run", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"}
	for _, d := range dirs {
		if err := syscall.Mount("tmpfs", d, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount tmpfs on %s: %w", d, err)
		}
	}
	// Host A has QEMU in the private mount namespace that is libvirt's
	// default, host B has not: the process must be found either way.
	namespaces := map[string]string{"host-a": `"mount"`}[name]
	uuid := map[string]string{"host-a": "a", "host-b": "b"}[name]
	qemu := `user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = [` + namespaces + `]
remember_owner = 0
stdio_handler = "file"
migrate_tls_x509_cert_dir = "` + pkiDir + `"
migrate_tls_x509_verify = 1
`
	daemon := fmt.Sprintf("host_uuid = \"%s\"\nunix_sock_group = \"root\"\nauth_unix_rw = \"none\"\n",
		"00000000-0000-4000-8000-00000000000"+uuid)
	return errors.Join(
		syscall.Sethostname([]byte(name)),
		os.WriteFile("/etc/libvirt/qemu.conf", []byte(qemu), 0o600),
		os.WriteFile("/etc/libvirt/libvirtd.conf", []byte(daemon), 0o600),
		writePKI(certificates),
	)
}

// daemon is a libvirtd in this process's mount namespace.
type daemon struct{ cmd *exec.Cmd }

func startDaemon() (*daemon, error) {
	logFile, err := os.OpenFile("/var/log/libvirt/libvirtd.out", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	cmd := exec.Command("libvirtd")
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &daemon{cmd}, nil
}

// stop ends the daemon, not its VMs, and waits for it.
func (d *daemon) stop(sig syscall.Signal) error {
	if err := d.cmd.Process.Signal(sig); err != nil {
		return err
	}
	err := d.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil // how it ended does not matter
	}
	return err
}

// untilUp waits until the daemon answers, however long that takes it within ctx.
func untilUp(ctx context.Context, h *Host) error {
	for {
		_, err := h.Version(ctx)
		if err == nil {
			return nil
		}
		if !errors.Is(err, agent.ErrDisconnected) || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// startHost starts a daemon and opens it.
func startHost(ctx context.Context, log *slog.Logger) (*Host, *daemon, error) {
	d, err := startDaemon()
	if err != nil {
		return nil, nil, err
	}
	h, err := Open(Config{Logger: log, CallTimeout: time.Minute})
	if err != nil {
		return nil, nil, err
	}
	if err := untilUp(ctx, h); err != nil {
		out, _ := os.ReadFile("/var/log/libvirt/libvirtd.out")
		return nil, nil, fmt.Errorf("%w\nlibvirtd said: %s", err, out)
	}
	return h, d, nil
}

// guestXML is a VM without any disk: its BIOS finds nothing to boot and waits.
func guestXML(name, uuid string, vcpus int) string {
	return fmt.Sprintf(`<domain type='qemu'>
  <name>%s</name><uuid>%s</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu current='%d'>%d</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><memballoon model='none'/></devices>
</domain>`, name, uuid, vcpus, vcpus+1)
}

func (h *Host) startGuest(ctx context.Context, xml string) error {
	return h.call(ctx, "start a VM", func(lv *golibvirt.Libvirt) error {
		_, err := lv.DomainCreateXML(xml, 0)
		return err
	})
}

func (h *Host) destroyGuest(ctx context.Context, vm string) error {
	id, err := parseUUID(vm)
	if err != nil {
		return err
	}
	return h.call(ctx, "destroy a VM", func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainDestroy(dom)
	})
}

// on calls libvirt about one VM.
func (h *Host) on(ctx context.Context, vm, what string, call func(*golibvirt.Libvirt, golibvirt.Domain) error) error {
	id, err := parseUUID(vm)
	if err != nil {
		return err
	}
	return h.call(ctx, what, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return call(lv, dom)
	})
}

func (h *Host) storedXML(ctx context.Context, vm string) (text string, err error) {
	err = h.on(ctx, vm, "read the stored definition", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error {
		text, err = lv.DomainGetXMLDesc(dom, golibvirt.DomainXMLInactive)
		return err
	})
	return text, err
}

func (h *Host) undefineGuest(ctx context.Context, vm string) error {
	return h.on(ctx, vm, "undefine a VM", func(lv *golibvirt.Libvirt, dom golibvirt.Domain) error { return lv.DomainUndefine(dom) })
}

// peer is host B, a process in a mount namespace of its own.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

type peerRequest struct {
	Op, VM string
	Disk   cluster.DiskCopy
}

type peerReply struct {
	PID      int // of libvirtd
	Guests   []agent.Guest
	Sighting agent.Sighting
	Job      agent.Job
	Defined  agent.Definition
	Starts   []string
	XML      string // the stored definition
	Err      string
}

func startPeer(t *testing.T) *peer {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+rolePeer)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("host B: %v", err)
		}
	})
	scan := bufio.NewScanner(out)
	scan.Buffer(nil, 1<<20)
	return &peer{cmd, in, scan}
}

func (p *peer) ask(t *testing.T, op, vm string) peerReply {
	t.Helper()
	return p.tell(t, peerRequest{Op: op, VM: vm})
}

func (p *peer) tell(t *testing.T, q peerRequest) peerReply {
	t.Helper()
	if err := json.NewEncoder(p.in).Encode(q); err != nil {
		t.Fatalf("ask host B to %s: %v", q.Op, err)
	}
	if !p.out.Scan() {
		t.Fatalf("host B ended: %v", p.out.Err())
	}
	var r peerReply
	if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func runPeer() error {
	if err := hostMounts("host-b"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	h, d, err := startHost(ctx, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	requests := json.NewDecoder(os.Stdin)
	for {
		var q peerRequest
		if err := requests.Decode(&q); err == io.EOF {
			return errors.Join(h.Close(), d.stop(syscall.SIGTERM))
		} else if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer(ctx, h, d, q)); err != nil {
			return err
		}
	}
}

func answer(ctx context.Context, h *Host, d *daemon, q peerRequest) (r peerReply) {
	var err error
	switch q.Op {
	case "start":
		r.PID = d.cmd.Process.Pid
	case "guests":
		r.Guests, err = h.Guests(ctx)
	case "look":
		r.Sighting, err = h.Look(ctx, q.VM)
	case "job":
		r.Job, err = h.Job(ctx, q.VM)
	case "completed":
		r.Job, err = h.CompletedJob(ctx, q.VM)
	case "definition":
		r.Defined, err = h.Definition(ctx, q.VM)
	case "autostart":
		err = h.SetAutostart(ctx, q.VM, true)
	case "starts":
		r.Starts, err = NewSurvey(h).Starts(ctx)
	case "stored":
		r.XML, err = h.storedXML(ctx, q.VM)
	case "undefine":
		err = h.undefineGuest(ctx, q.VM)
	case "create":
		err = h.startGuest(ctx, guestXML("twin", q.VM, 1))
	case "pool":
		err = h.makePool(ctx)
	case "make":
		err = NewImages(h).Make(ctx, q.Disk.Path, q.Disk.Format, q.Disk.Size)
	case "delete":
		err = NewImages(h).Delete(ctx, q.Disk.Path)
	case "destroy":
		err = h.destroyGuest(ctx, q.VM)
	default:
		err = fmt.Errorf("unknown request %q", q.Op)
	}
	if err != nil {
		r.Err = err.Error()
	}
	return r
}

// removePIDFile makes the finder use its second source.
func removePIDFile(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join("/run/libvirt/qemu", name+".pid")); err != nil {
		t.Fatal(err)
	}
}
