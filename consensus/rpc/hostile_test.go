package rpc_test

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
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// goesOn demands that a daemon still serves after what was done to it.
func goesOn(t *testing.T, d *daemon) {
	t.Helper()
	if _, err := d.uplink.Propose(within(t), pause("still here")); err != nil {
		t.Errorf("the daemon does not go on: %v", err)
	}
}

// logged demands a clear word in a daemon's log.
func logged(t *testing.T, d *daemon, words ...string) {
	t.Helper()
	for _, w := range words {
		eventually(t, fmt.Sprintf("%q in the log", w), func() bool { return d.log.has(w) })
	}
}

// knock dials the port with a certificate and a protocol, and returns what is
// read after sending something; with TLS 1.3 a refusal of ours arrives there.
func knock(t *testing.T, addr string, b *badge, protocol string, send []byte) ([]byte, error) {
	t.Helper()
	cfg := b.config(protocol)
	cfg.VerifyConnection = nil // it is the daemon that shall refuse
	if protocol == "" {
		cfg.NextProtos = nil
	}
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = conn.Write(send) // refused or not: reading tells
	return io.ReadAll(io.LimitReader(conn, 1<<16))
}

func TestFault33StrangersAreRefused(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	leaderOf(t, fleet)
	d := fleet[0]
	ca := d.badge.ca
	otherCA := newAuthority(t, ca.cluster)
	otherCluster := cluster.Identity{ClusterID: uuid.NewString(), Kind: cluster.KindAgent, MemberID: uuid.NewString(), Name: "foreigner"}

	for name, c := range map[string]struct {
		badge    *badge
		protocol string
		word     string // in the daemon's log
	}{
		"another CA":                      {otherCA.issue(t, cluster.KindAgent, "mallory"), rpc.ProtocolAgent, "unknown authority"},
		"another CA, as a member":         {otherCA.issueFor(t, d.badge.id), rpc.ProtocolRaft, "unknown authority"},
		"another cluster":                 {ca.issueFor(t, otherCluster), rpc.ProtocolAgent, "is of cluster " + otherCluster.ClusterID},
		"an operator who speaks Raft":     {ca.issue(t, cluster.KindOperator, "alice"), rpc.ProtocolRaft, "certificate of kind operator may not speak ek-raft/1"},
		"an agent outside who does":       {ca.issue(t, cluster.KindAgent, "hv9"), rpc.ProtocolRaft, "the configuration does not name it"},
		"a language that nobody speaks":   {ca.issue(t, cluster.KindAgent, "hv8"), "h2", "unsupported application protocols"},
		"a client that names no protocol": {ca.issue(t, cluster.KindAgent, "hv7"), "", "speaks \\\"\\\""},
	} {
		t.Run(name, func(t *testing.T) {
			// A forged AppendEntries of a huge term, in MessagePack: on an open Raft
			// port such a frame took a cluster over.
			forged := append([]byte{0}, []byte("\x81\xa4Term\xcf\x00\x00\x00\x00\xff\xff\xff\xff")...)
			answer, err := knock(t, d.addr, c.badge, c.protocol, forged)
			if err == nil && len(answer) > 0 {
				t.Errorf("answered %q", answer)
			}
			logged(t, d, c.word)
		})
	}
	if term := d.node.Health().Term; term > 100 {
		t.Errorf("term %d: a forged frame was believed", term)
	}
	goesOn(t, d)
}

// The library takes whatever answers at an address for the member configured
// there; we do not.
func TestDialRaftChecksWhoAnswers(t *testing.T) {
	fleet := newFleet(t, 2)
	startAll(t, fleet)
	leaderOf(t, fleet)
	a, b := fleet[0], fleet[1]
	conn, err := a.server.Network().DialRaft(within(t), b.addr, b.badge.id.MemberID)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	other := uuid.NewString()
	if _, err := a.server.Network().DialRaft(within(t), b.addr, other); err == nil || !strings.Contains(err.Error(), "it should be "+other) {
		t.Errorf("%v", err)
	}
}

// A daemon with another cluster's certificate, or another CA's, does not get
// in by joining, and its own log says why.
func TestForeignDaemonDoesNotJoin(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	leaderOf(t, fleet)
	home := fleet[0]
	otherCluster := cluster.Identity{ClusterID: uuid.NewString(), Kind: cluster.KindAgent, MemberID: uuid.NewString(), Name: "x"}
	for name, c := range map[string]struct {
		badge *badge
		word  string
	}{
		"another CA":      {newAuthority(t, home.badge.ca.cluster).issue(t, cluster.KindAgent, "y"), "unknown authority"},
		"another cluster": {home.badge.ca.issueFor(t, otherCluster), "is of cluster " + home.badge.ca.cluster},
	} {
		t.Run(name, func(t *testing.T) {
			d := &daemon{badge: c.badge, addr: freePort(t), dir: t.TempDir(), peers: home.peers}
			if err := d.start(t); err != nil {
				t.Fatal(err)
			}
			defer d.close(t)
			eventually(t, "a clear word", func() bool { return strings.Contains(d.uplinkError(t), c.word) })
			if d.node.Health().Healthy() || len(home.node.Health().Voters) != 1 {
				t.Error("it got in")
			}
		})
	}
	goesOn(t, home)
}

// uplinkError is what an operator would be told who asks this daemon.
func (d *daemon) uplinkError(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := d.uplink.ReadIndex(ctx)
	return fmt.Sprint(err)
}

func TestFault33Garbage(t *testing.T) {
	fleet := newFleet(t, 2) // two, so that one may speak Raft to the other
	fleet[0].limits = rpc.Limits{Stall: 500 * time.Millisecond}
	startAll(t, fleet)
	leaderOf(t, fleet)
	d, peer := fleet[0], fleet[1].badge
	noise := bytes.Repeat([]byte{0xff, 0x00, 'G', 'E', 'T', 0x7f}, 1<<17)
	hugeFrame := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1)
	// AppendEntries whose MessagePack promises a string of 4 GiB.
	hugeString := append([]byte{0, 0x81}, 0xdb, 0xff, 0xff, 0xff, 0xff)
	for name, c := range map[string]struct {
		protocol string
		send     []byte
	}{
		"noise to agents":      {rpc.ProtocolAgent, noise},
		"noise to Raft":        {rpc.ProtocolRaft, noise},
		"HTTP/1 to agents":     {rpc.ProtocolAgent, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		"huge frame to agents": {rpc.ProtocolAgent, append(hugeFrame, noise...)},
		"huge frame to Raft":   {rpc.ProtocolRaft, append(hugeString, noise...)},
		"unknown call of Raft": {rpc.ProtocolRaft, []byte{99}},
	} {
		t.Run(name, func(t *testing.T) {
			answer, _ := knock(t, d.addr, peer, c.protocol, c.send)
			if bytes.Contains(answer, []byte("200")) {
				t.Errorf("answered %q", answer)
			}
		})
	}
	t.Run("no TLS", func(t *testing.T) {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write(noise)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, _ = io.Copy(io.Discard, conn) // until it is closed
		logged(t, d, "connection refused", "does not look like a TLS handshake")
	})
	goesOn(t, d)
}

// slow opens a connection, says little or nothing, and waits to be cut off.
func slow(t *testing.T, addr string, say []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(say); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Errorf("still open after %v: %v", patience, err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func TestFault33SlowHandshake(t *testing.T) {
	fleet := newFleet(t, 1)
	fleet[0].limits = rpc.Limits{Handshake: 200 * time.Millisecond}
	startAll(t, fleet)
	leaderOf(t, fleet)
	slow(t, fleet[0].addr, nil)
	slow(t, fleet[0].addr, []byte{0x16, 0x03, 0x01}) // the beginning of a ClientHello
	logged(t, fleet[0], "no handshake within 200ms")
	goesOn(t, fleet[0])
}

// Connections that never finish their handshake keep nobody out for longer
// than the deadline, and are not taken in any number.
func TestFault33ManySlowHandshakes(t *testing.T) {
	fleet := newFleet(t, 1)
	fleet[0].limits = rpc.Limits{Handshake: time.Second, PerHost: 4}
	startAll(t, fleet)
	leaderOf(t, fleet)
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for range 50 {
		c, err := net.Dial("tcp", fleet[0].addr)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	logged(t, fleet[0], "too many handshakes are under way")
	goesOn(t, fleet[0])
}

// A member with a good certificate may hold so many connections and no more: of
// more the oldest ones are closed, in either language, and nobody else notices.
func TestFault33ConnectionsOfOneMember(t *testing.T) {
	fleet := newFleet(t, 2)
	fleet[0].limits = rpc.Limits{PerPeer: 4}
	startAll(t, fleet)
	leaderOf(t, fleet)
	d, peer := fleet[0], fleet[1].badge
	for _, protocol := range []string{rpc.ProtocolAgent, rpc.ProtocolRaft} {
		t.Run(protocol, func(t *testing.T) {
			var held []*tls.Conn
			defer func() {
				for _, c := range held {
					c.Close()
				}
			}()
			for range 12 {
				conn, err := tls.Dial("tcp", d.addr, peer.config(protocol))
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, conn)
			}
			// Which of them count as the oldest their handshakes decide.
			ended := make(chan error, len(held))
			for _, conn := range held {
				_ = conn.SetReadDeadline(time.Now().Add(patience)) // only bounds a hang
				go func() { _, err := io.Copy(io.Discard, conn); ended <- err }()
			}
			for i := range len(held) - 4 {
				if err := <-ended; isTimeout(err) {
					t.Fatalf("%d of %d connections were closed", i, len(held))
				}
			}
			goesOn(t, d)
		})
	}
}

// Nor are more connections taken than the port has room for, whoever they are
// of: a member that has none yet is turned away, and one that has some is not.
func TestFault33ConnectionsInAll(t *testing.T) {
	fleet := newFleet(t, 1)
	fleet[0].limits = rpc.Limits{Connections: 3}
	startAll(t, fleet)
	leaderOf(t, fleet)
	d := fleet[0] // whose own uplink has the first of the three
	eventually(t, "its own stream", func() bool { _, ok := d.uplink.Connected(); return ok })
	for i := range 2 {
		conn, err := tls.Dial("tcp", d.addr, d.badge.ca.issue(t, cluster.KindAgent, fmt.Sprint("guest", i)).config(rpc.ProtocolAgent))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 1)); err != nil { // the server's SETTINGS: it was let in
			t.Fatal(err)
		}
	}
	if answer, err := knock(t, d.addr, d.badge.ca.issue(t, cluster.KindAgent, "late"), rpc.ProtocolAgent, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); len(answer) > 0 || isTimeout(err) {
		t.Errorf("the fourth is answered %q, %v", answer, err)
	}
	logged(t, d, "too many connections")
	goesOn(t, d)
}

// post makes a unary call by hand.
func post(t *testing.T, b *badge, addr, procedure, body string) (status int, answer string) {
	t.Helper()
	tr := &http2.Transport{DialTLSContext: func(_ context.Context, _, addr string, _ *tls.Config) (net.Conn, error) {
		return tls.Dial("tcp", addr, b.config(rpc.ProtocolAgent))
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(within(t), http.MethodPost, "https://"+addr+procedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(out)
}

func TestFault33BadMessages(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	leaderOf(t, fleet)
	d := fleet[0]
	command, err := cluster.EncodeCommand(cluster.Command{ID: "1", Body: cluster.Reserve{Move: "m-1"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ procedure, body, word string }{
		"not JSON":         {"Propose", "hello", "invalid character"},
		"cut off":          {"Propose", `{"command":`, "unexpected EOF"},
		"unknown field":    {"Propose", fmt.Sprintf(`{"command":%s,"sudo":true}`, command), "sudo"},
		"trailing data":    {"Propose", fmt.Sprintf(`{"command":%s}{}`, command), "more data"},
		"no command":       {"Propose", `{}`, "decode command"},
		"unknown command":  {"Propose", `{"command":{"level":1,"kind":"teleport","actor":{},"at":0,"body":{}}}`, "teleport"},
		"unknown body key": {"Propose", `{"command":{"level":1,"kind":"reserve","actor":{},"at":0,"body":{"mov":"m-1"}}}`, "mov"},
		"NaN":              {"Propose", `{"command":{"level":1,"kind":"pause","actor":{},"at":0,"body":{"until":NaN}}}`, "invalid character 'N'"},
		"future time":      {"Propose", `{"command":{"level":1,"kind":"resume","actor":{},"at":9223372036854775807,"body":{}}}`, "out of bounds"},
		"oversized":        {"Propose", `{"command":"` + strings.Repeat("x", 2<<20) + `"}`, "larger than configured max"},
		"join of nobody":   {"Join", `{"address":""}`, "not admitted"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := post(t, d.badge, d.addr, "/evenkeel.agent.v1/"+c.procedure, c.body)
			if status == http.StatusOK || !strings.Contains(answer, c.word) {
				t.Errorf("%d %s; want an error with %q", status, answer, c.word)
			}
		})
	}
	goesOn(t, d)
}

// An agent that reports in another host's name is cut off and told so; what it
// said enters no State.
func TestSnapshotInAnothersName(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	ctx := within(t)
	d := fleet[0]
	if _, err := d.uplink.Propose(ctx, announce(d)); err != nil {
		t.Fatal(err)
	}
	badge := d.badge.ca.issue(t, cluster.KindAgent, "liar")
	client := rpc.NewClient(badge.id, badge.config)
	defer client.Close()
	liar := rpc.NewUplink(rpc.UplinkConfig{Client: client, Peers: d.peers, Logger: quietLog})
	run, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { liar.Run(run); close(done) }()
	nextView(t, liar)
	liar.Publish(snapshot(d.badge.id, 1))
	logged(t, d, "another host's name")
	stop()
	<-done
	if h, ok := d.linearizable(t).Host(d.badge.id.MemberID); !ok || h.Seq != 0 {
		t.Errorf("the host is at sequence %d", h.Seq)
	}
	goesOn(t, d)
}

// Absurd figures reach the log, for only State judges; they are refused there,
// counted, and the host hears why.
func TestFault32AbsurdSnapshot(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	d := fleet[0]
	if _, err := d.uplink.Propose(within(t), announce(d)); err != nil {
		t.Fatal(err)
	}
	for code, spoil := range map[cluster.Code]func(*cluster.Snapshot){
		cluster.CodeAbsurdFigure: func(s *cluster.Snapshot) { s.Load.Steal = -1 },
		cluster.CodeClockSkew:    func(s *cluster.Snapshot) { s.Load.TakenAt = s.Load.TakenAt.Add(24 * time.Hour) },
	} {
		s := snapshot(d.badge.id, 1)
		spoil(&s)
		d.uplink.Publish(s)
		awaitView(t, d.uplink, func(v cluster.View) bool { return v.Refused != nil && v.Refused.Code == code })
	}
	d.uplink.Publish(snapshot(d.badge.id, 1))
	awaitView(t, d.uplink, func(v cluster.View) bool { return v.Sequence == 1 })
}

// A member that takes a command and vanishes: the caller cannot know, and is
// told exactly that.
func TestUnknownOutcome(t *testing.T) {
	ca := newAuthority(t, uuid.NewString())
	badge := ca.issue(t, cluster.KindAgent, "a")
	lis, err := tls.Listen("tcp", "127.0.0.1:0", badge.config(rpc.ProtocolAgent))
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan json.RawMessage, 100)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			if conn.(*tls.Conn).Handshake() != nil {
				continue
			}
			(&http2.Server{}).ServeConn(conn, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				var body struct{ Command struct{ ID json.RawMessage } }
				_ = json.NewDecoder(r.Body).Decode(&body)
				taken <- body.Command.ID
				conn.Close()
			})})
		}
	}()
	defer func() { lis.Close(); <-served }()
	client := rpc.NewClient(badge.id, badge.config)
	defer client.Close()
	uplink := rpc.NewUplink(rpc.UplinkConfig{Client: client, Peers: []string{lis.Addr().String()}, Logger: quietLog})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := uplink.Propose(ctx, cluster.Command{Body: cluster.Reserve{Move: "m-1"}}); !errors.Is(err, consensus.ErrUnknownOutcome) {
		t.Errorf("%v, want ErrUnknownOutcome", err)
	}
	if len(taken) == 0 {
		t.Fatal("nothing was sent")
	}
	first := <-taken
	if len(first) < 10 {
		t.Fatalf("ID %s", first)
	}
	for len(taken) > 0 {
		if again := <-taken; !bytes.Equal(first, again) {
			t.Errorf("tried again under another ID: %s, then %s", first, again)
		}
	}
}
