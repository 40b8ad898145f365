package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/consensus/rpc"
)

// patience bounds what must come; it decides nothing.
const patience = 2 * time.Minute

// TestClusterScripts runs the command against real daemons, witnesses on
// loopback, each with its own files, over TLS.
func TestClusterScripts(t *testing.T) {
	binary := buildDaemon(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/cluster",
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exitsWith, "host": newHost, "daemon": runDaemon, "eventually": eventually, "token": keepToken, "mode-of": modeOf, "appears": appears, "move": moveHost, "serves": serves,
			"receiver": startReceiver, "receiver-is": breakReceiver, "received": received, "received-all": receivedAll, "holds": holds,
		},
		Setup: func(env *testscript.Env) error {
			f := &testFleet{binary: binary, hosts: map[string]*testHost{}}
			env.Values[fleetKey{}] = f
			env.Defer(f.stop)
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
	})
}

type fleetKey struct{}

// testFleet is the hosts of one script.
type testFleet struct {
	binary   string
	hosts    map[string]*testHost
	receiver *receiver // of their events, nil until a script wants one
}

// testHost is one host's files, and its daemon while it runs.
type testHost struct {
	dir, config string
	daemon      *exec.Cmd
	log         *os.File
}

func (f *testFleet) stop() {
	for _, h := range f.hosts {
		h.end(syscall.SIGTERM)
	}
}

func (h *testHost) end(signal syscall.Signal) {
	if h.daemon == nil {
		return
	}
	_ = h.daemon.Process.Signal(signal) // it may have ended by itself
	ended := make(chan struct{})
	go func() { _ = h.daemon.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = h.daemon.Process.Kill()
		<-ended
	}
	h.log.Close()
	h.daemon = nil
}

// buildDaemon makes evenkeeld in a folder of the test's.
func buildDaemon(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "evenkeeld")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/evenkeel/evenkeel/cmd/evenkeeld")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build evenkeeld: %v\n%s", err, out)
	}
	return path
}

// newHost makes a witness' folder with ports of its own: host NAME. Its
// configuration is $CONFIG_NAME, its socket $SOCK_NAME, its folder $DIR_NAME.
func newHost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: host NAME")
	}
	dir, err := os.MkdirTemp("", "ek") // a socket's path has at most 107 bytes
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	h := &testHost{dir: dir, config: filepath.Join(dir, "agent.yaml")}
	ts.Value(fleetKey{}).(*testFleet).hosts[args[0]] = h
	text := strings.NewReplacer("DIR", dir, "NAME", args[0], "API", freeAddress(ts), "PORT", freeAddress(ts)).Replace(`# a comment that stays
role: witness
host: {name: NAME}
listen: {api: "API", cluster: "PORT"}
tls: {ca: DIR/tls/ca.pem, cert: DIR/tls/host.pem, key: DIR/tls/host.key}
stateDir: DIR/state
socket: DIR/agent.sock
`)
	ts.Check(os.WriteFile(h.config, []byte(text), 0o644))
	ts.Setenv("CONFIG_"+args[0], h.config)
	ts.Setenv("SOCK_"+args[0], filepath.Join(dir, "agent.sock"))
	ts.Setenv("DIR_"+args[0], dir)
}

func freeAddress(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	return l.Addr().String()
}

// runDaemon starts or ends a host's evenkeeld: daemon start|stop|kill NAME.
func runDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: daemon start|stop|kill NAME")
	}
	h := ts.Value(fleetKey{}).(*testFleet).hosts[args[1]]
	if h == nil {
		ts.Fatalf("no host %s", args[1])
	}
	switch args[0] {
	case "start":
		path := ts.Value(fleetKey{}).(*testFleet).binary
		log, err := os.OpenFile(filepath.Join(h.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		ts.Check(err)
		cmd := exec.Command(path, "--config", h.config)
		cmd.Stdout, cmd.Stderr = log, log
		ts.Check(cmd.Start())
		h.daemon, h.log = cmd, log
	case "stop":
		h.end(syscall.SIGTERM)
	case "kill":
		h.end(syscall.SIGKILL)
	}
}

// eventually runs the command until its output is as wanted: eventually
// PATTERN ARGS...
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN ARGS...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var last string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		cmd := exec.Command("evenkeel", args[1:]...)
		cmd.Env = append(os.Environ(), "TESTSCRIPT_COVER_DIR=")
		out, _ := cmd.CombinedOutput()
		if last = string(out); want.Match(out) {
			return
		}
	}
	for name, h := range ts.Value(fleetKey{}).(*testFleet).hosts {
		if log, err := os.ReadFile(filepath.Join(h.dir, "log")); err == nil {
			ts.Logf("log of %s:\n%s", name, log[max(0, len(log)-8<<10):])
		}
	}
	ts.Fatalf("never %q; last:\n%s", args[0], last)
}

// keepToken puts the last command's output into a variable: token NAME.
func keepToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: token NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// modeOf compares a file's mode: mode-of 0600 FILE.
func modeOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode-of MODE FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// serves demands that each port of a host shows the certificate in its files,
// in every language: serves NAME.
func serves(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serves NAME")
	}
	cfg, err := config.Load(ts.Getenv("CONFIG_" + args[0]))
	ts.Check(err)
	data, err := os.ReadFile(cfg.TLS.Cert)
	ts.Check(err)
	block, _ := pem.Decode(data)
	for _, at := range []struct{ addr, protocol string }{
		{cfg.Listen.API, "h2"}, {cfg.Listen.Cluster, rpc.ProtocolAgent}, {cfg.Listen.Cluster, rpc.ProtocolRaft}, {cfg.Listen.Cluster, rpc.ProtocolJoin},
	} {
		conn, err := tls.Dial("tcp", at.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{at.protocol}})
		if err != nil {
			ts.Fatalf("%s in %s: %v", at.addr, at.protocol, err)
		}
		shown := conn.ConnectionState().PeerCertificates[0]
		conn.Close()
		if !bytes.Equal(shown.Raw, block.Bytes) {
			ts.Fatalf("%s shows in %s another certificate than its file holds, one until %v", at.addr, at.protocol, shown.NotAfter)
		}
	}
}

// moveHost gives a host another address for the cluster: move NAME. Its port is
// $PORT_NAME.
func moveHost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: move NAME")
	}
	path := ts.Getenv("CONFIG_" + args[0])
	cfg, err := config.Load(path)
	ts.Check(err)
	data, err := os.ReadFile(path)
	ts.Check(err)
	to := freeAddress(ts)
	ts.Check(os.WriteFile(path, bytes.ReplaceAll(data, []byte(cfg.Listen.Cluster), []byte(to)), 0o644))
	_, port, err := net.SplitHostPort(to)
	ts.Check(err)
	ts.Setenv("PORT_"+args[0], port)
}

// appears waits for a file: appears FILE.
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appears FILE")
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
	}
	ts.Fatalf("%s never appeared", args[0])
}
