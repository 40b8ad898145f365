package relay_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/agent/relay"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// authority signs the certificates of a test's hosts.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	id   string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool, uuid.NewString()}
}

func (a *authority) issue(t testing.TB, kind cluster.Kind, name string) (tls.Certificate, string) {
	t.Helper()
	member := uuid.NewString()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	san, err := url.Parse(fmt.Sprintf("evenkeel://%s/%s/%s", a.id, kind, member))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{san},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, member
}

// config is what both ends of a connection demand; names are not checked, as
// in evenkeel's own.
func (a *authority) config(cert tls.Certificate, server bool) func(...string) *tls.Config {
	return func(protocols ...string) *tls.Config {
		c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: protocols, Certificates: []tls.Certificate{cert}}
		if server {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, a.pool
			return c
		}
		c.InsecureSkipVerify = true // a host's certificate has no name in it; its chain is verified below
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: a.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			return err
		}
		return c
	}
}

func identify(cs tls.ConnectionState) (cluster.Identity, error) {
	cert := cs.PeerCertificates[0]
	if len(cert.URIs) != 1 {
		return cluster.Identity{}, errors.New("no identity")
	}
	id, err := cluster.ParseIdentity(cert.URIs[0].String())
	id.Name = cert.Subject.CommonName
	return id, err
}

// end is one host: its relay, and what listens at its libvirt's socket.
type end struct {
	relay.Control
	member, address, dir, libvirt string
	cert                          tls.Certificate
}

func newEnd(t testing.TB, a *authority, kind cluster.Kind, name string) *end {
	t.Helper()
	root, err := os.MkdirTemp("", "ek") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	cert, member := a.issue(t, kind, name)
	peers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &end{
		Control: relay.Control{Socket: filepath.Join(root, "relay.sock")}, member: member, address: peers.Addr().String(),
		dir: filepath.Join(root, "relay"), libvirt: filepath.Join(root, "libvirt-sock"), cert: cert,
	}
	s, err := relay.New(relay.Config{
		Dir: e.dir, Control: e.Socket, Peers: peers, Libvirt: []string{e.libvirt}, Owner: relay.Owner{UID: os.Getuid(), GID: os.Getgid()},
		ServerTLS: a.config(cert, true), ClientTLS: a.config(cert, false), Identify: identify, Now: time.Now,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return e
}

// echo answers at a UNIX socket with whatever it is told.
func echo(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
}

const (
	move = "m-2f9"
	vm   = "4b1d1ae8-3c59-4a30-9f21-4d2a4e0c6e01"
)

// pair is two hosts with a passage from one to the other.
func pair(t testing.TB) (a *authority, source, target *end, route relay.Route) {
	t.Helper()
	a = newAuthority(t)
	source, target = newEnd(t, a, cluster.KindAgent, "hv1"), newEnd(t, a, cluster.KindAgent, "hv2")
	ctx := t.Context()
	if err := target.Receive(ctx, relay.Passage{Move: move, VM: vm, Peer: source.member}); err != nil {
		t.Fatal(err)
	}
	route, err := source.Send(ctx, relay.Passage{Move: move, VM: vm, Peer: target.member, Address: target.address})
	if err != nil {
		t.Fatal(err)
	}
	return a, source, target, route
}

func dialUnix(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

func memorySocket(e *end) string { return filepath.Join(e.dir, move, "memory.sock") }

// A VM's memory goes through byte for byte, both ways, with each end's "that
// was all".
func TestMemoryGoesThrough(t *testing.T) {
	_, source, target, route := pair(t)
	if want := "unix://" + memorySocket(source); route.MigrateURI != want {
		t.Errorf("memory goes to %s, want %s", route.MigrateURI, want)
	}
	echo(t, memorySocket(target))
	c := dialUnix(t, memorySocket(source))
	sent := make([]byte, 3<<20+17)
	if _, err := rand.Read(sent); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back of %d, %v", len(got), len(sent), err)
	}
	open, err := source.List(t.Context())
	if err != nil || len(open) != 1 || open[0].Bytes != 2*int64(len(sent)) || open[0].VM != vm {
		t.Errorf("the source's relay tells of %+v, %v", open, err)
	}
}

// So do disks that are copied, each over a connection of its own beside it.
func TestDisksGoThrough(t *testing.T) {
	_, source, target, route := pair(t)
	at := func(e *end) string { return filepath.Join(e.dir, move, "disks.sock") }
	if want := "unix://" + at(source); route.DisksURI != want {
		t.Errorf("disks go to %s, want %s", route.DisksURI, want)
	}
	echo(t, memorySocket(target))
	echo(t, at(target))
	conns := []*net.UnixConn{dialUnix(t, memorySocket(source)), dialUnix(t, at(source)), dialUnix(t, at(source))}
	for i, c := range conns {
		if _, err := fmt.Fprintf(c, "block %d", i); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range conns {
		got := make([]byte, len("block 0"))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != fmt.Sprintf("block %d", i) {
			t.Errorf("connection %d brings %q, %v", i, got, err)
		}
	}
}

// call is a message of libvirt's RPC.
func call(program, procedure, kind uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(28+len(body)))
	for _, w := range []uint32{program, 1, procedure, kind, 7, 0} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return append(b, body...)
}

const remote, keepalive = 0x20008086, 0x6b656570

// What belongs to a migration of the VM reaches the target's libvirtd; the
// first message that does not ends the connection before it gets there.
func TestOnlyAMigrationReachesLibvirt(t *testing.T) {
	prepare := func(id string) []byte { return call(remote, 303, 0, "<domain><uuid>"+id+"</uuid></domain>") }
	other := uuid.NewString()
	for _, c := range []struct {
		name    string
		message []byte
		through bool
	}{
		{"open", call(remote, 1, 0, "qemu:///system"), true},
		{"prepare", prepare(vm), true},
		{"finish", call(remote, 306, 0, "..."), true},
		{"keepalive", call(keepalive, 1, 2, ""), true},
		{"destroy a VM", call(remote, 12, 0, vm), false},
		{"define a VM", call(remote, 11, 0, "<domain/>"), false},
		{"prepare another VM", prepare(other), false},
		{"prepare both", call(remote, 303, 0, "<uuid>"+vm+"</uuid><uuid>"+other+"</uuid>"), false},
		{"prepare no VM", call(remote, 303, 0, "<domain/>"), false},
		{"a stream", call(remote, 303, 3, ""), false},
		{"the QEMU monitor", call(0x20008087, 1, 0, "{}"), false},
		{"a length of nothing", binary.BigEndian.AppendUint32(nil, 4), false},
		{"a length of 4 GiB", append(binary.BigEndian.AppendUint32(nil, 1<<32-1), make([]byte, 24)...), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, source, target, _ := pair(t)
			echo(t, target.libvirt)
			conn := dialUnix(t, filepath.Join(source.dir, move, "libvirt.sock"))
			if _, err := conn.Write(c.message); err != nil {
				t.Fatal(err)
			}
			if !c.through {
				_ = conn.CloseWrite()
			}
			got := make([]byte, len(c.message))
			n, err := io.ReadFull(conn, got)
			switch {
			case c.through && (err != nil || !bytes.Equal(got, c.message)):
				t.Errorf("libvirtd got %q of %q, %v", got[:n], c.message, err)
			case !c.through && n > 0:
				t.Errorf("libvirtd got %q", got[:n])
			}
		})
	}
}

// Who is not the source of a move that was announced does not get in.
func TestStrangersStayOut(t *testing.T) {
	a, source, target, _ := pair(t)
	echo(t, memorySocket(target))
	stranger := newEnd(t, a, cluster.KindAgent, "hv3")
	witness, _ := a.issue(t, cluster.KindWitness, "w1")
	foreign := newAuthority(t)
	other, _ := foreign.issue(t, cluster.KindAgent, "hv1")
	for _, c := range []struct {
		name string
		tls  *tls.Config
		move string
		says string
	}{
		{"another member", a.config(stranger.cert, false)(relay.Protocol), move, "is not awaited"},
		{"a witness", a.config(witness, false)(relay.Protocol), move, "is not awaited"},
		{"the source with another move", a.config(source.cert, false)(relay.Protocol), "m-1", "is not awaited"},
		{"the source with no move", a.config(source.cert, false)(relay.Protocol), "../..", "no move id"},
		{"another cluster", a.config(other, false)(relay.Protocol), move, ""},
		{"another protocol", a.config(source.cert, false)("ek-agent/1"), move, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", target.address, c.tls)
			if err != nil {
				if c.says != "" {
					t.Fatal(err)
				}
				return
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			hello := fmt.Sprintf(`{"move":%q,"channel":"memory"}`, c.move)
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(hello))), hello...))
			answer, _ := io.ReadAll(conn)
			if !strings.Contains(string(answer), c.says) || strings.Contains(string(answer), `{}`) {
				t.Errorf("answered %q, want a refusal with %q", answer, c.says)
			}
		})
	}
}

// A passage ends with everything in it, and a second one may begin.
func TestEndClosesAll(t *testing.T) {
	_, source, target, _ := pair(t)
	echo(t, memorySocket(target))
	c := dialUnix(t, memorySocket(source))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := target.End(t.Context(), move); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came through an ended passage", n)
	}
	if _, err := os.Stat(filepath.Join(target.dir, move)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the sockets are still there: %v", err)
	}
	if err := target.Receive(t.Context(), relay.Passage{Move: move, VM: vm, Peer: source.member}); err != nil {
		t.Errorf("a second passage: %v", err)
	}
}

// A request that contradicts what is open is refused; the same one is not.
func TestRequestsAreIdempotent(t *testing.T) {
	_, source, target, route := pair(t)
	again, err := source.Send(t.Context(), relay.Passage{Move: move, VM: vm, Peer: target.member, Address: target.address})
	if err != nil || again != route {
		t.Errorf("the same request gives %+v, %v; before %+v", again, err, route)
	}
	for name, p := range map[string]relay.Passage{
		"another VM": {Move: move, VM: uuid.NewString(), Peer: source.member},
		"no move id": {Move: "../x", VM: vm, Peer: source.member},
		"no UUID":    {Move: "m-1", VM: "vm", Peer: source.member},
		"no member":  {Move: "m-1", VM: vm, Peer: "hv1"},
	} {
		if err := target.Receive(t.Context(), p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := source.Send(t.Context(), relay.Passage{Move: "m-2", VM: vm, Peer: target.member, Address: "nowhere"}); err == nil {
		t.Error("an address without a port was accepted")
	}
}

// BenchmarkRelay is the rate of a VM's memory through both relays on one
// machine, beside the same bytes through one TCP connection.
func BenchmarkRelay(b *testing.B) {
	const chunk = 4 << 20
	block := make([]byte, chunk)
	run := func(b *testing.B, to net.Conn, drained <-chan error) {
		b.SetBytes(chunk)
		for b.Loop() {
			if _, err := to.Write(block); err != nil {
				b.Fatal(err)
			}
		}
		to.Close()
		if err := <-drained; err != nil {
			b.Fatal(err)
		}
	}
	b.Run("relay", func(b *testing.B) {
		_, source, target, _ := pair(b)
		drained := drain(b, "unix", memorySocket(target))
		run(b, dialUnix(b, memorySocket(source)), drained)
	})
	b.Run("tcp", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		drained := drainAt(b, l)
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		run(b, c, drained)
	})
}

func drain(t testing.TB, network, address string) <-chan error {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return drainAt(t, l)
}

// drainAt reads all of the next connection.
func drainAt(t testing.TB, l net.Listener) <-chan error {
	t.Cleanup(func() { l.Close() })
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(io.Discard, c)
			c.Close()
		}
		done <- err
	}()
	return done
}
