package rpc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func FuzzCodec(f *testing.F) {
	f.Add([]byte(`{"command":{"level":1,"kind":"reserve","id":"1","actor":{"kind":"agent","id":"a"},"at":0,"body":{"move":"m-1"}}}`))
	f.Add([]byte(`{"address":"a:1"}`))
	f.Add([]byte(`{"cluster":"c","secret":"AQIDBAUGBwgJCgsMDQ4PEA==","name":"hv9","role":"witness","csr":"MA==","addresses":["10.0.0.1"]}`))
	f.Add([]byte(`{"index":7,"token":"t-00000001","csr":"MA==","addresses":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		codec := JSON{Strict: true}
		var propose proposeRequest
		if codec.Unmarshal(data, &propose) == nil {
			if c, err := cluster.DecodeCommand(propose.Command); err == nil {
				_, _ = actor(cluster.Identity{Kind: cluster.KindAgent, MemberID: "m", Name: "n"}, propose.Operator, c)
			}
		}
		var up attachUp
		if err := (streamCodec{codec}).Unmarshal(data, &up); err != nil {
			t.Fatal(err)
		}
		if again, err := (streamCodec{codec}).Marshal(&up); err != nil || string(again) != string(data) {
			t.Fatalf("%q came through as %q, %v", data, again, err)
		}
		var join joinRequest
		_ = codec.Unmarshal(data, &join)
		var enrol EnrolRequest
		if codec.Unmarshal(data, &enrol) == nil {
			if id := cluster.TokenID(HashSecret(enrol.Secret)); len(id) != len("t-00000000") {
				t.Fatalf("token id %s of secret %x", id, enrol.Secret)
			}
		}
		var signing signRequest
		_ = codec.Unmarshal(data, &signing)
		var renewal renewRequest
		_ = codec.Unmarshal(data, &renewal)
		var key caKeyRequest
		_ = codec.Unmarshal(data, &key)
	})
}

// A client reads what a newer server adds; a server takes nothing it does not
// know.
func TestCodecStrictness(t *testing.T) {
	data := []byte(`{"index":4,"newer":true}`)
	var out proposeResponse
	if err := (JSON{}).Unmarshal(data, &out); err != nil || out.Index != 4 {
		t.Errorf("client: %+v, %v", out, err)
	}
	if err := (JSON{Strict: true}).Unmarshal(data, &out); err == nil {
		t.Error("server: an unknown field was dropped in silence")
	}
	if err := (JSON{}).Unmarshal([]byte(`{"index":4} {}`), &out); err == nil {
		t.Error("data behind the value was dropped in silence")
	}
}

// pipe is a connection whose other end is thrown away.
func pipe(t *testing.T) net.Conn {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	return a
}

func isClosed(c net.Conn) bool {
	return errors.Is(c.SetDeadline(time.Now()), io.ErrClosedPipe)
}

func TestCrowdPrefersTheNewest(t *testing.T) {
	c := crowd{perPeer: 2, all: 5}
	conns := []net.Conn{pipe(t), pipe(t), pipe(t)}
	for _, conn := range conns {
		if !c.enter("a", conn) {
			t.Fatal("no room")
		}
	}
	if !isClosed(conns[0]) || isClosed(conns[1]) || c.count() != 2 {
		t.Errorf("%d open; the oldest must give way", c.count())
	}
	c.leave("a", conns[0]) // its owner notices late
	if c.count() != 2 {
		t.Errorf("%d open", c.count())
	}
	for i := range 3 {
		if !c.enter(fmt.Sprint(i), pipe(t)) {
			t.Fatal("no room")
		}
	}
	if c.enter("stranger", pipe(t)) {
		t.Error("more than the cap of all")
	}
	if !c.enter("0", pipe(t)) || c.count() != 5 {
		t.Errorf("a peer that is there may replace its own connection; %d open", c.count())
	}
	c.close()
	if !isClosed(conns[2]) || c.enter("a", pipe(t)) {
		t.Error("a closed crowd holds or takes connections")
	}
}

func TestRoute(t *testing.T) {
	own, known := "", false
	r := route{peers: []string{"p1", "p2", "p3"}, own: func() (string, string, bool) { return "id", own, known }}
	ask := func(want string) {
		t.Helper()
		if got := r.target(); got != want {
			t.Fatalf("target %s, want %s", got, want)
		}
	}
	ask("p2")
	r.failed("p2", errors.New("refused"))
	ask("p3")
	own, known = "l1", true
	ask("l1")
	r.failed("l1", errors.New("dead")) // our node has not noticed yet
	ask("p1")
	r.failed("p1", errors.New("refused"))
	ask("l1")
	r.found("l1")
	ask("l1")
	moved := connect.NewError(connect.CodeFailedPrecondition, errors.New("not me"))
	moved.Meta().Set(headerLeaderAddress, "l2")
	r.failed("l1", fmt.Errorf("ask: %w", moved))
	ask("l2")
	r.failed("l2", errors.New("dead"))
	ask("l1")
	if none := (&route{}).target(); none != "" {
		t.Errorf("target %q of nobody", none)
	}
}

func TestFateOf(t *testing.T) {
	for want, errs := range map[fate][]error{
		fateRetry: {
			&dialError{io.EOF}, fmt.Errorf("ask: %w", &dialError{io.EOF}), connect.NewWireError(connect.CodeUnavailable, io.EOF),
			connect.NewWireError(connect.CodeFailedPrecondition, io.EOF),
		},
		fateRefused: {connect.NewWireError(connect.CodeInvalidArgument, io.EOF), connect.NewWireError(connect.CodePermissionDenied, io.EOF)},
		fateUnknown: {
			io.EOF, connect.NewError(connect.CodeUnavailable, io.EOF), connect.NewWireError(connect.CodeAborted, io.EOF),
			connect.NewWireError(connect.CodeDeadlineExceeded, io.EOF), connect.NewWireError(connect.CodeUnknown, io.EOF),
		},
	} {
		for _, err := range errs {
			if got := fateOf(err); got != want {
				t.Errorf("%v: %d, want %d", err, got, want)
			}
		}
	}
}

func TestQuiet(t *testing.T) {
	var q quiet
	now := time.Unix(1000, 0)
	said := 0
	for range 100 {
		if ok, _ := q.may(now); ok {
			said++
		}
	}
	if ok, swallowed := q.may(now.Add(time.Minute)); said != saidPerMinute || !ok || swallowed != 100-saidPerMinute {
		t.Errorf("said %d, then %v with %d swallowed", said, ok, swallowed)
	}
}

// A Raft stream may rest between requests, not within one.
func TestBoundedConnStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := net.Pipe()
		defer in.Close()
		defer out.Close()
		c := &boundedConn{Conn: in, stall: time.Second}
		go func() {
			time.Sleep(time.Hour)
			_, _ = out.Write([]byte{0})
			_, _ = out.Read(make([]byte, 1))
			time.Sleep(time.Hour)
			_, _ = out.Write([]byte{0})
		}()
		b := make([]byte, 8)
		if _, err := c.Read(b); err != nil {
			t.Fatalf("after an hour's rest: %v", err)
		}
		if _, err := c.Write(b[:1]); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(b); err != nil {
			t.Fatalf("after another hour's rest: %v", err)
		}
		began := time.Now()
		if _, err := c.Read(b); err == nil || time.Since(began) > time.Minute {
			t.Errorf("within a request: %v after %v", err, time.Since(began))
		}
		out.Close()
	})
}

func TestBoundedConnSize(t *testing.T) {
	for first, limit := range map[byte]int64{0: maxRaftRequest, rpcInstall: maxRaftSnapshot} {
		c := &boundedConn{Conn: endless{first}, stall: time.Second}
		var total int64
		b := make([]byte, 1<<20)
		var err error
		for err == nil {
			var n int
			n, err = c.Read(b)
			total += int64(n)
		}
		if !errors.Is(err, errRaftRequest) || total > limit+int64(len(b)) || total < limit {
			t.Errorf("request of type %d: %v after %d bytes, limit %d", first, err, total, limit)
		}
	}
}

// endless sends one byte for ever.
type endless struct{ b byte }

func (e endless) Read(p []byte) (int, error)     { p[0] = e.b; return len(p), nil }
func (endless) Write(p []byte) (int, error)      { return len(p), nil }
func (endless) Close() error                     { return nil }
func (endless) LocalAddr() net.Addr              { return nil }
func (endless) RemoteAddr() net.Addr             { return nil }
func (endless) SetDeadline(time.Time) error      { return nil }
func (endless) SetReadDeadline(time.Time) error  { return nil }
func (endless) SetWriteDeadline(time.Time) error { return nil }
