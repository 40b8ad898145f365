package api_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
)

// short is a folder whose sockets' paths fit into an address.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ek")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func listenAt(path, group string) (*api.Server, error) {
	g := apitest.NewGroup(apitest.Moved(nil), apitest.HV2)
	return api.Listen(api.Config{
		Replica: g.Replica(apitest.HV2), Name: "hv2", Socket: path, Group: group, Now: g.Now, Logger: slog.New(slog.DiscardHandler),
	})
}

func TestSocketIsForRootAndTheGroup(t *testing.T) {
	path := filepath.Join(short(t), "run", "agent.sock")
	s, err := listenAt(path, "no-such-group")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("mode %v, %v; want a socket of 0660", info.Mode(), err)
	}
}

func TestSocketLeftByACrashIsReplaced(t *testing.T) {
	path := filepath.Join(short(t), "agent.sock")
	lis, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	lis.SetUnlinkOnClose(false)
	lis.Close() // the file stays, as after SIGKILL
	s, err := listenAt(path, "")
	if err != nil {
		t.Fatalf("a socket that nobody answers on was not replaced: %v", err)
	}
	s.Close()
}

func TestSocketInUseIsNotTaken(t *testing.T) {
	path := filepath.Join(short(t), "agent.sock")
	first, err := listenAt(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if second, err := listenAt(path, ""); err == nil {
		second.Close()
		t.Error("a second daemon took the socket of the first")
	} else if !strings.Contains(err.Error(), "another evenkeeld runs on this host") {
		t.Error(err)
	}
	file := filepath.Join(filepath.Dir(path), "notes")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := listenAt(file, ""); err == nil {
		s.Close()
		t.Error("a file that is no socket was replaced")
	}
	if data, err := os.ReadFile(file); string(data) != "mine" {
		t.Errorf("the file is %q, %v", data, err)
	}
}

// A stranger is kept out by the socket's mode, and, where that was loosened,
// only reads: by the credentials that the kernel vouches for.
func TestStrangersOnTheSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	s := site(t, apitest.Moved)
	if err := os.Chmod(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	forbidden := fmt.Sprintf("cause %d: ", api.CauseForbidden)
	if out := asNobody(t, s.Socket("hv2")); !strings.HasPrefix(out, forbidden) || !strings.Contains(out, "not allowed to open the socket") {
		t.Errorf("by the socket's mode: %s", out)
	}
	if err := os.Chmod(s.Socket("hv2"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out := asNobody(t, s.Socket("hv2")); !strings.HasPrefix(out, "reads; "+forbidden) || !strings.Contains(out, "Pause needs the role operate") || !strings.Contains(out, "has the role view") {
		t.Errorf("by the credentials: %s", out)
	}
}

// asNobody asks at a socket from a process that is nobody: a copy of this test
// binary.
func asNobody(t *testing.T, socket string) string {
	t.Helper()
	dir := short(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := filepath.Join(dir, "child")
	copyFile(t, self, child)
	cmd := exec.Command(child)
	cmd.Dir = "/"
	cmd.Env = []string{"EK_TEST_CHILD=" + socket, "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}
