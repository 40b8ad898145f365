package rpc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// keyring is a member's part in issuing certificates, with certificates that
// are words.
type keyring struct {
	mu  sync.Mutex
	key string // of the CA, "" if it has none
}

func (k *keyring) Has() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key != ""
}

func (k *keyring) Applicant(csr []byte) (string, error) {
	parsed, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return "", err
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, parsed.RawSubjectPublicKeyInfo).String(), parsed.CheckSignature()
}

func (k *keyring) Issue(_ []byte, id cluster.Identity, addresses []string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key == "" {
		return nil, errors.New("no key")
	}
	return fmt.Appendf(nil, "%s %s %v", id.URI(), id.Name, addresses), nil
}

func (k *keyring) Key() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return []byte(k.key), nil
}

func (k *keyring) Adopt(key []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = string(key)
	return nil
}

// open is a configuration for hosts without certificate.
func (b *badge) open(protocol string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, Certificates: []tls.Certificate{b.pair}}
}

// believe is what a joining host does in these tests; the fingerprint is
// cmd/internal/certs' part.
func believe(protocol string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, InsecureSkipVerify: true}
}

func csrOf(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// site is a fleet with tokens.
func newSite(t *testing.T, n int, keys ...string) []*daemon {
	t.Helper()
	fleet := newFleet(t, n)
	for i, d := range fleet {
		d.keys, d.limits = &keyring{}, rpc.Limits{KeyPause: 50 * time.Millisecond}
		if i < len(keys) {
			d.keys.key = keys[i]
		}
	}
	startAll(t, fleet)
	return fleet
}

// invite puts a token into the State and returns what its holder would send.
func invite(t *testing.T, d *daemon, name string, valid time.Duration) rpc.EnrolRequest {
	t.Helper()
	secret := rpc.NewSecret()
	hash := rpc.HashSecret(secret[:])
	_, err := d.uplink.Propose(within(t), cluster.Command{
		Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid 0", Name: "root"},
		Body:  cluster.AddToken{Token: cluster.Token{ID: cluster.TokenID(hash), Hash: hash, Name: name, Role: cluster.RoleHypervisor, Expires: cluster.TimeOf(time.Now().Add(valid))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rpc.EnrolRequest{Cluster: d.badge.id.ClusterID, Secret: secret[:], Name: name, Role: cluster.RoleHypervisor, CSR: csrOf(t, newKey(t)), Addresses: []string{"10.0.0.9"}}
}

func enrol(t *testing.T, addrs []string, req rpc.EnrolRequest) (*rpc.Enrolment, error) {
	t.Helper()
	return rpc.Enrol(within(t), addrs, believe, req)
}

// A host joins through any member, is answered again if its first answer was
// lost, and nobody else joins with its token.
func TestEnrol(t *testing.T) {
	fleet := newSite(t, 3, "secret key")
	leader := leaderOf(t, fleet)
	for _, d := range fleet { // through each: two of them point at the leader
		req := invite(t, d, "new-"+d.badge.id.Name, time.Hour)
		out, err := enrol(t, []string{d.addr}, req)
		if err != nil {
			t.Fatalf("through %s: %v", d.badge.id.Name, err)
		}
		want := fmt.Sprintf("evenkeel://%s/agent/%s new-%s [10.0.0.9]", d.badge.id.ClusterID, out.Member, d.badge.id.Name)
		if string(out.Certificate) != want || string(out.CA) != "the CA" || len(out.Peers) != 3 {
			t.Errorf("%s, CA %s, peers %v; want %s", out.Certificate, out.CA, out.Peers, want)
		}
		again, err := enrol(t, []string{leader.addr}, req)
		if err != nil || again.Member != out.Member {
			t.Errorf("with the same key again: %+v, %v", again, err)
		}
		req.CSR = csrOf(t, newKey(t))
		if out, err := enrol(t, []string{leader.addr}, req); err == nil || !strings.Contains(err.Error(), "TOKEN_USED") {
			t.Errorf("a replay with another key: %+v, %v", out, err)
		}
	}
}

func TestFault33SpentAndSpoiltTokens(t *testing.T) {
	fleet := newSite(t, 1, "secret key")
	d := leaderOf(t, fleet)
	for name, c := range map[string]struct {
		spoil func(*rpc.EnrolRequest)
		words string
	}{
		"another cluster": {func(r *rpc.EnrolRequest) { r.Cluster = uuid.NewString() }, "the token is for cluster"},
		"another host":    {func(r *rpc.EnrolRequest) { r.Name = "hv7" }, "is for host hv9"},
		"another role":    {func(r *rpc.EnrolRequest) { r.Role = cluster.RoleWitness }, "is for a hypervisor"},
		"wrong secret":    {func(r *rpc.EnrolRequest) { r.Secret = make([]byte, 16) }, "UNKNOWN_TOKEN"},
		"no secret":       {func(r *rpc.EnrolRequest) { r.Secret = nil }, "UNKNOWN_TOKEN"},
		"no request":      {func(r *rpc.EnrolRequest) { r.CSR = nil }, "asn1"},
		"garbage":         {func(r *rpc.EnrolRequest) { r.CSR = []byte("give me a certificate") }, "asn1"},
		"not its key": {func(r *rpc.EnrolRequest) {
			r.CSR[len(r.CSR)-1] ^= 1
		}, ""},
		"many addresses": {func(r *rpc.EnrolRequest) { r.Addresses = make([]string, 100) }, "at most 8"},
		"huge":           {func(r *rpc.EnrolRequest) { r.CSR = make([]byte, 1<<20) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			req := invite(t, d, "hv9", time.Hour)
			c.spoil(&req)
			out, err := enrol(t, []string{d.addr}, req)
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%+v, %v; want an error with %q", out, err, c.words)
			}
			if state := d.linearizable(t); len(state.Tokens) > 0 && state.Tokens[len(state.Tokens)-1].UsedAt != 0 {
				t.Error("a refused request has spent the token")
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		req := invite(t, d, "hv9", 300*time.Millisecond)
		eventually(t, "refused as expired", func() bool {
			req.CSR = csrOf(t, newKey(t))
			req.Name = "hv9"
			state, _ := d.node.State()
			if err := state.Spendable(rpc.Token{Secret: [16]byte(req.Secret)}.ID(), uuid.NewString(), cluster.TimeOf(time.Now())); err == nil {
				return false
			}
			_, err := enrol(t, []string{d.addr}, req)
			return err != nil && strings.Contains(err.Error(), "TOKEN_EXPIRED")
		})
	})
	goesOn(t, d)
}

// The leader has no key: a voter signs, and hands the key over; once nobody
// has it, the answer says what to do.
func TestEnrolSignedByAnother(t *testing.T) {
	fleet := newFleet(t, 3)
	for _, d := range fleet {
		d.keys, d.limits = &keyring{}, rpc.Limits{KeyPause: time.Hour}
	}
	startAll(t, fleet)
	leader := leaderOf(t, fleet)
	req := invite(t, leader, "hv9", time.Hour)
	if _, err := enrol(t, []string{leader.addr}, req); err == nil || !strings.Contains(err.Error(), "copy ca.key") {
		t.Errorf("nobody has the key: %v", err)
	}
	if state := leader.linearizable(t); state.Tokens[0].UsedAt != 0 {
		t.Error("the token was spent although nobody can sign")
	}
	for _, d := range fleet {
		if d != leader {
			_ = d.keys.Adopt([]byte("secret key"))
			break
		}
	}
	if out, err := enrol(t, []string{leader.addr}, req); err != nil || !strings.Contains(string(out.Certificate), "hv9") {
		t.Errorf("a voter has the key: %+v, %v", out, err)
	}
	if leader.keys.Has() {
		t.Error("the leader has the key without having asked for it")
	}
}

// The CA's key goes to voters, and to nobody else.
func TestCAKeyGoesToVoters(t *testing.T) {
	fleet := newSite(t, 3, "secret key")
	for _, d := range fleet {
		eventually(t, "each voter has the key", d.keys.Has)
	}
	for name, kind := range map[string]cluster.Kind{"an agent": cluster.KindAgent, "an operator": cluster.KindOperator} {
		b := fleet[0].badge.ca.issue(t, kind, "stranger")
		for _, procedure := range []string{"CAKey", "Sign"} {
			status, answer := post(t, b, fleet[0].addr, "/evenkeel.agent.v1/"+procedure, "{}")
			if status != http.StatusForbidden || strings.Contains(answer, "secret key") {
				t.Errorf("%s asks for %s: %d %s", name, procedure, status, answer)
			}
		}
	}
}

// Without a certificate one call can be made, and only in the language for it.
func TestWithoutCertificate(t *testing.T) {
	fleet := newSite(t, 1, "secret key")
	d := leaderOf(t, fleet)
	for _, protocols := range [][]string{{rpc.ProtocolAgent}, {rpc.ProtocolRaft}, {rpc.ProtocolJoin, rpc.ProtocolAgent}, {rpc.ProtocolJoin, rpc.ProtocolRaft}, {"h2"}, nil} {
		conn, err := tls.Dial("tcp", d.addr, &tls.Config{NextProtos: protocols, InsecureSkipVerify: true})
		if err == nil { // TLS 1.3: a refusal of the missing certificate comes with the first read
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, err = io.ReadAll(conn)
			conn.Close()
		}
		if err == nil || isTimeout(err) {
			t.Errorf("%v: %v", protocols, err)
		}
	}
	call := func(procedure string) int {
		tr := &http2.Transport{TLSClientConfig: believe(rpc.ProtocolJoin)}
		tr.DialTLSContext = dialJoin(d.addr)
		defer tr.CloseIdleConnections()
		req, err := http.NewRequestWithContext(within(t), http.MethodPost, "https://"+d.addr+procedure, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for _, procedure := range []string{"Peer", "Join", "Propose", "ReadIndex", "Attach", "Sign", "CAKey"} {
		if status := call("/evenkeel.agent.v1/" + procedure); status != http.StatusNotFound {
			t.Errorf("%s without a certificate: %d", procedure, status)
		}
	}
	if status := call("/evenkeel.join.v1/Enrol"); status != http.StatusForbidden {
		t.Errorf("an empty request to join: %d", status)
	}
	goesOn(t, d)
}

// A removed member's open connections are cut, and it is let in nowhere.
func TestFault33RevokedMember(t *testing.T) {
	fleet := newFleet(t, 3)
	startAll(t, fleet)
	ctx := within(t)
	for _, d := range fleet {
		if _, err := d.uplink.Propose(ctx, announce(d)); err != nil {
			t.Fatal(err)
		}
	}
	leader := leaderOf(t, fleet)
	var gone *daemon
	for _, d := range fleet {
		if d != leader {
			gone = d
		}
	}
	eventually(t, "it is attached", func() bool { _, ok := gone.uplink.Connected(); return ok })
	_, err := leader.uplink.Propose(ctx, cluster.Command{
		Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid 0", Name: "root"}, Body: cluster.RemoveMember{Member: gone.badge.id.MemberID, Force: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "its stream is cut", func() bool { _, ok := gone.uplink.Connected(); return !ok })
	eventually(t, "it has no seat", func() bool { return len(leader.node.Health().Voters) == 2 })
	for _, d := range fleet {
		if d == gone {
			continue
		}
		for _, protocol := range []string{rpc.ProtocolAgent, rpc.ProtocolRaft} {
			eventually(t, "refused", func() bool {
				data, err := knock(t, d.addr, gone.badge, protocol, []byte("GET / HTTP/1.1\r\n\r\n"))
				return !bytes.Contains(data, []byte("HTTP")) && !isTimeout(err)
			})
		}
		logged(t, d, "was removed from the cluster")
		for _, procedure := range []string{"Peer", "Propose", "ReadIndex", "Join", "CAKey", "Renew"} {
			if status, answer := post(t, gone.badge, d.addr, "/evenkeel.agent.v1/"+procedure, "{}"); status != http.StatusForbidden || !strings.Contains(answer, "was removed") {
				t.Errorf("%s: %d %s", procedure, status, answer)
			}
		}
	}
	// It was not there when it happened: a fellow voter tells it.
	gone.close(t)
	if err := gone.start(t); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it knows that it was removed", func() bool { return strings.Contains(gone.node.Health().Waiting, "was removed") })
	goesOn(t, leader)
}

// dialJoin dials in the language of joining, whatever the transport wants.
func dialJoin(addr string) func(context.Context, string, string, *tls.Config) (net.Conn, error) {
	return func(ctx context.Context, network, _ string, _ *tls.Config) (net.Conn, error) {
		return (&tls.Dialer{Config: believe(rpc.ProtocolJoin)}).DialContext(ctx, network, addr)
	}
}
