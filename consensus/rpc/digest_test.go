package rpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// stream opens an agent's stream by hand and sends a message; it returns what
// the leader says until it ends the stream.
func stream(t *testing.T, b *badge, addr, language string, message []byte) string {
	t.Helper()
	tr := &http2.Transport{DialTLSContext: func(_ context.Context, _, addr string, _ *tls.Config) (net.Conn, error) {
		return tls.Dial("tcp", addr, b.config(rpc.ProtocolAgent))
	}}
	defer tr.CloseIdleConnections()
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	req, err := http.NewRequestWithContext(within(t), http.MethodPost, "https://"+addr+"/evenkeel.agent.v1/Attach", bytes.NewReader(append(frame, message...)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/connect+"+language)
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status + string(out)
}

// What is no digest ends its stream, with the place of the fault in the answer
// and the agent's name in the leader's log.
func TestBadDigests(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	leaderOf(t, fleet)
	d := fleet[0]
	good, err := cluster.NewDigest(snapshot(d.badge.id, 1))
	if err != nil {
		t.Fatal(err)
	}
	badge := d.badge.ca.issue(t, cluster.KindAgent, "liar")
	for name, c := range map[string]struct {
		language string
		message  []byte
		word     string
	}{
		"garbage":             {"evenkeel", []byte("hello"), "format 104"},
		"cut short":           {"evenkeel", good.Bytes()[:25], "cut short"},
		"bytes behind":        {"evenkeel", append(bytes.Clone(good.Bytes()), 0), "too many"},
		"beyond the bound":    {"evenkeel", make([]byte, cluster.MaxDigestBytes+1), "larger than configured max"},
		"in another's name":   {"evenkeel", good.Bytes(), "snapshot of host"},
		"in another language": {"morse", good.Bytes(), "415"},
	} {
		t.Run(name, func(t *testing.T) {
			if answer := stream(t, badge, d.addr, c.language, c.message); !strings.Contains(answer, c.word) {
				t.Errorf("the leader answers %q, want an error with %q", answer, c.word)
			}
		})
	}
	logged(t, d, "an agent's stream ends", "format 104")
	goesOn(t, d)
}

// An agent that hears what was committed sends what changed, and the State
// has the whole; after a snapshot that nobody took, the next is whole again.
func TestDeltasOverTheStream(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	d := fleet[0]
	if _, err := d.uplink.Propose(within(t), announce(d)); err != nil {
		t.Fatal(err)
	}
	var pub cluster.Publisher
	committed := uint64(0)
	publish := func(sequence uint64, run cluster.MilliCPU) cluster.Snapshot {
		s := snapshot(d.badge.id, sequence)
		s.Load.VMs = []cluster.VMLoad{{Slot: 1, Run: 1000, Demand: 1000}, {Slot: 2, Run: run, Demand: run}}
		sent := pub.Next(s, committed)
		d.uplink.Publish(sent)
		return sent
	}
	taken := func(sequence uint64) {
		t.Helper()
		awaitView(t, d.uplink, func(v cluster.View) bool { return v.Sequence == sequence })
		committed = sequence
		h, _ := d.linearizable(t).Host(d.badge.id.MemberID)
		last, _ := h.Last()
		if len(last.Load.VMs) != 2 || last.Load.VMs[0].Run != 1000 {
			t.Fatalf("snapshot %d left %+v", sequence, last.Load.VMs)
		}
	}
	if s := publish(1, 1000); s.Base != 0 {
		t.Fatalf("the first amends %d", s.Base)
	}
	taken(1)
	if s := publish(2, 4000); s.Base != 1 || len(s.Load.VMs) != 1 {
		t.Fatalf("the second amends %d with %d VMs; want 1 with what changed", s.Base, len(s.Load.VMs))
	}
	taken(2)
	pub.Next(snapshot(d.badge.id, 3), committed) // lost on the way
	if s := publish(4, 500); s.Base != 0 || len(s.Load.VMs) != 2 {
		t.Fatalf("after a lost one comes base %d with %d VMs; want a whole one", s.Base, len(s.Load.VMs))
	}
	taken(4)
	if s := d.linearizable(t); s.Rejected != 0 {
		t.Errorf("%d snapshots were refused", s.Rejected)
	}
}
