package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What an older version has written is read by the next one, and at the same
// feature level the next one writes the same bytes: its own tests read the
// golden files of this version's.
func TestFault37NextVersionSpeaksThisOnes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-tags", "evenkeel_next", "-run", "^(TestCommandBytes|TestStateBytes|TestNeeds|TestNext.*)$", "github.com/evenkeel/evenkeel/scheduler/cluster")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []string{"TestCommandBytes", "TestStateBytes", "TestNextReadsOlderCommands", "TestNextCommandNeedsItsLevel"} {
		if !bytes.Contains(out, []byte("--- PASS: "+test)) {
			t.Errorf("%s was not run:\n%s", test, out)
		}
	}
}

// trio is three witnesses on loopback, each a process of some version.
type trio struct {
	t       *testing.T
	dir     string
	cluster string
	tls     *certs.Material // an operator's
	members [3]*member
	counted int // pauses acknowledged
}

type member struct {
	name, config, api, port string

	mu     sync.Mutex
	stderr bytes.Buffer
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended
}

func newTrio(t *testing.T) *trio {
	s := &trio{t: t, dir: t.TempDir(), cluster: uuid.NewString()}
	ca, err := certs.NewCA(s.cluster, time.Now(), 2*time.Hour)
	if err == nil {
		err = ca.Save(filepath.Join(s.dir, "ca"))
	}
	s.must(err)
	s.issue(ca, cluster.KindOperator, "ann")
	s.tls, err = certs.LoadTLS(s.file("ca/ca.pem"), s.file("ann.pem"), s.file("ann.key"))
	s.must(err)
	var peers []string
	for i := range s.members {
		s.members[i] = &member{name: fmt.Sprint("wit", i), api: freeAddress(t), port: freeAddress(t)}
		peers = append(peers, `"`+s.members[i].port+`"`)
	}
	for _, m := range s.members {
		s.issue(ca, cluster.KindWitness, m.name)
		m.config = s.file(m.name + ".yaml")
		s.must(os.WriteFile(m.config, []byte(strings.NewReplacer(
			"DIR", s.dir, "NAME", m.name, "CLUSTER", s.cluster, "PEERS", strings.Join(peers, ", "), "API", m.api, "PORT", m.port,
		).Replace(`role: witness
host: {name: NAME}
cluster: {id: CLUSTER, peers: [PEERS], bootstrapExpect: 3}
listen: {api: "API", cluster: "PORT"}
tls: {ca: DIR/ca/ca.pem, cert: DIR/NAME.pem, key: DIR/NAME.key}
stateDir: DIR/NAME
socket: DIR/NAME.sock
`)), 0o600))
	}
	t.Cleanup(func() {
		for _, m := range s.members {
			m.stop(t)
		}
		if t.Failed() {
			for _, m := range s.members {
				t.Logf("%s said:\n%s", m.name, m.said())
			}
		}
	})
	return s
}

func (s *trio) file(name string) string { return filepath.Join(s.dir, name) }

func (s *trio) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *trio) issue(ca *certs.CA, kind cluster.Kind, name string) {
	s.t.Helper()
	req := certs.Request{Kind: kind, Name: name, MemberID: uuid.NewString(), IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	if kind == cluster.KindOperator {
		req.Role = roles.Admin // finalizes
	}
	pair, err := ca.Issue(req, time.Now(), time.Hour)
	if err == nil {
		err = pair.Save(s.file(name+".pem"), s.file(name+".key"))
	}
	s.must(err)
}

// build makes a daemon, with a build tag or without.
func (s *trio) build(name string, flags ...string) string {
	s.t.Helper()
	out := s.file(name)
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", out}, flags...), ".")...)
	if text, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("build %s: %v\n%s", name, err, text)
	}
	return out
}

// start runs a version as a member.
func (m *member) start(t *testing.T, binary string) {
	t.Helper()
	m.cmd = exec.Command(binary, "--config", m.config)
	m.cmd.Stderr = m
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(m.cmd, m.ended)
}

// stop ends it as systemd does.
func (m *member) stop(t *testing.T) {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		t.Errorf("%s does not end", m.name)
		_ = m.cmd.Process.Kill()
		<-m.ended
	}
	m.cmd = nil
}

// Write takes what the process says.
func (m *member) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stderr.Write(p)
}

func (m *member) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stderr.String()
}

func (s *trio) dial(m *member) *api.Client {
	s.t.Helper()
	c, err := api.Dial(api.Target{Addr: m.api, CACert: s.file("ca/ca.pem"), ClientCert: s.file("ann.pem"), ClientKey: s.file("ann.key")})
	s.must(err)
	return c
}

// until tries a thing until it works, for at most a minute a try.
func (s *trio) until(what string, try func(ctx context.Context) error) {
	s.t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
		err = try(ctx)
		cancel()
		if err == nil {
			return
		}
	}
	s.t.Fatalf("%s: %v", what, err)
}

// works proves that commands are acknowledged through every member, and that
// every member shows the one that was acknowledged last.
func (s *trio) works(stage string) {
	s.t.Helper()
	for _, m := range s.members {
		c := s.dial(m)
		defer c.Close()
		s.counted++
		reason := fmt.Sprint("pause ", s.counted)
		s.until(stage+": pause through "+m.name, func(ctx context.Context) error {
			_, err := c.Pause(ctx, api.PauseRequest{Act: api.Act{Reason: reason}, ForSeconds: 3600})
			return err
		})
		for _, o := range s.members {
			look := s.dial(o)
			defer look.Close()
			s.until(stage+": status of "+o.name, func(ctx context.Context) error {
				st, err := look.Status(ctx)
				if err == nil && st.Stale != nil {
					return errors.New("stale: " + st.Stale.Why)
				}
				if err == nil && (st.Paused == nil || st.Paused.Reason != reason) {
					s.t.Fatalf("%s: %s shows %+v, %q was acknowledged", stage, o.name, st.Paused, reason)
				}
				return err
			})
		}
	}
	s.t.Logf("%s: works, %d commands acknowledged", stage, s.counted)
}

// note proposes the next version's command, at a level that it claims, to
// whoever leads. The answer is the wire's.
func (s *trio) note(level int) (answer string, err error) {
	command := fmt.Sprintf(`{"command":{"level":%d,"kind":"note","id":%q,"actor":{"kind":"operator","id":""},"at":0,"body":{"text":"rack 3 is warm"}}}`, level, uuid.NewString())
	client := &http.Client{Transport: &http2.Transport{DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return (&tls.Dialer{Config: certs.Expect(s.tls.ClientConfig("ek-agent/1"), certs.Peer{Kinds: []cluster.Kind{cluster.KindWitness}})}).DialContext(ctx, network, addr)
	}}}
	defer client.CloseIdleConnections()
	for _, m := range s.members {
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+m.port+"/evenkeel.agent.v1/Propose", strings.NewReader(command))
		s.must(err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		resp.Body.Close()
		if err != nil {
			return "", err
		}
		var wire struct{ Code string }
		if json.Unmarshal(text, &wire) == nil && wire.Code == "failed_precondition" {
			continue // another one leads
		}
		return string(text), nil
	}
	return "", errors.New("nobody leads")
}

// refuses asks that the command is turned away, whatever level it claims, and
// does not stop anybody.
func (s *trio) refuses(stage string) {
	s.t.Helper()
	for level := range 3 {
		s.until(stage, func(context.Context) error {
			answer, err := s.note(level)
			if err == nil && !strings.Contains(answer, `"code":"invalid_argument"`) {
				s.t.Fatalf("%s: the new command at level %d: %s", stage, level, answer)
			}
			return err
		})
	}
	s.works(stage + ", the new command refused")
}

// lead hands leadership to a member.
func (s *trio) lead(m *member) {
	s.t.Helper()
	c := s.dial(m)
	defer c.Close()
	s.until("hand over to "+m.name, func(ctx context.Context) error {
		_, err := c.TransferLeader(ctx, api.TransferLeaderRequest{Member: m.name})
		if st, again := c.Status(ctx); again == nil && st.Leader != nil && st.Leader.Name == m.name {
			return nil
		}
		if err == nil {
			err = errors.New("another one leads")
		}
		return err
	})
}

// finalize raises the feature level.
func (s *trio) finalize(ctx context.Context, m *member) (string, error) {
	c := s.dial(m)
	defer c.Close()
	change, err := c.Finalize(ctx, api.FinalizeRequest{})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%+v", *change), nil
}

// TestFault37MixedVersions rolls three members from this version to the next, back,
// and forth again, with either version leading; only once all know the new
// level can it be raised. Then the older version stops and says why.
func TestFault37MixedVersions(t *testing.T) {
	s := newTrio(t)
	now, next := s.build("now"), s.build("next", "-tags", "evenkeel_next")
	for _, m := range s.members {
		m.start(t, now)
	}
	s.works("all of this version")
	roll := func(m *member, binary string) {
		m.stop(t)
		m.start(t, binary)
		s.works(m.name + " rolled to " + filepath.Base(binary))
	}
	roll(s.members[0], next)
	s.lead(s.members[0])
	s.refuses("the next version leads two of this one")
	roll(s.members[1], next)
	s.lead(s.members[2])
	s.refuses("this version leads two of the next")
	s.until("finalize too early", func(ctx context.Context) error {
		s.lead(s.members[1])
		text, err := s.finalize(ctx, s.members[1])
		var refusal *api.Error
		if err == nil || !errors.As(err, &refusal) || refusal.Code != cluster.CodeNotReady {
			return fmt.Errorf("finalize with a member of this version: %s, %w", text, err)
		}
		return nil
	})
	roll(s.members[1], now)
	roll(s.members[0], now)
	for _, m := range s.members {
		roll(m, next)
	}
	s.refuses("all of the next version, not finalized")
	s.until("finalize", func(ctx context.Context) error {
		_, err := s.finalize(ctx, s.members[0])
		return err
	})
	s.until("the new command at last", func(context.Context) error {
		answer, err := s.note(0)
		if err == nil && !strings.Contains(answer, `"index"`) {
			err = errors.New(answer)
		}
		return err
	})
	s.works("all of the next version, finalized")
	s.stops(s.members[2], now)
	s.members[2].start(t, next)
	s.works("back with the next version")
}

// stops runs a version that does not know the cluster's level: it must end
// and say why, and must not skip what it cannot apply.
func (s *trio) stops(m *member, binary string) {
	s.t.Helper()
	m.stop(s.t)
	m.start(s.t, binary)
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		s.t.Fatalf("%s runs on at a level that it does not know", m.name)
	}
	if code := m.cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(m.said(), "feature level") {
		s.t.Errorf("%s ended with %d and does not name the feature level", m.name, code)
	}
	m.cmd = nil
}
