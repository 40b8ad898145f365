package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const proto = "ek-test/1"

// shake runs both ends of a handshake and returns whom the server saw and what
// each end found. The server speaks first, so that its verdict on the client
// has reached the client.
func shake(t *testing.T, server, client *tls.Config) (peer cluster.Identity, serverErr, clientErr error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(a, server)
		err := conn.HandshakeContext(ctx)
		if err == nil {
			peer, err = PeerIdentity(conn.ConnectionState())
			_, _ = conn.Write([]byte("!"))
		}
		a.Close()
		done <- err
	}()
	conn := tls.Client(b, client)
	clientErr = conn.HandshakeContext(ctx)
	if clientErr == nil {
		_, clientErr = conn.Read(make([]byte, 1))
	}
	b.Close()
	serverErr = <-done
	return peer, serverErr, clientErr
}

func TestHandshakeMutual(t *testing.T) {
	ca := newCA(t)
	for _, kind := range []cluster.Kind{cluster.KindAgent, cluster.KindWitness, cluster.KindOperator} {
		t.Run(string(kind), func(t *testing.T) {
			server, client := newMember(t, ca, cluster.KindAgent, "hv1", year), newMember(t, ca, kind, "caller", year)
			clientCfg := Expect(client.load(t, at(noon)).ClientConfig(proto), Peer{MemberID: server.id.MemberID})
			peer, serverErr, clientErr := shake(t, server.load(t, at(noon)).ServerConfig(proto), clientCfg)
			if serverErr != nil || clientErr != nil {
				t.Fatalf("server: %v, client: %v", serverErr, clientErr)
			}
			if peer != client.id {
				t.Errorf("server sees %+v, want %+v", peer, client.id)
			}
		})
	}
}

func TestHandshakeRefusesClient(t *testing.T) {
	ca := newCA(t)
	sibling, err := NewCA(ca.ClusterID, noon, 10*year)
	if err != nil {
		t.Fatal(err)
	}
	server := newMember(t, ca, cluster.KindAgent, "hv1", 5*year)
	for name, c := range map[string]struct {
		client member
		now    time.Time // of the server; the client's clock stands at noon
		want   error
		peer   Peer
	}{
		"other CA":      {newMember(t, sibling, cluster.KindAgent, "x", year), noon, ErrOtherCA, Peer{}},
		"other cluster": {newMember(t, newCA(t), cluster.KindAgent, "x", year), noon, ErrOtherCluster, Peer{}},
		"expired":       {newMember(t, ca, cluster.KindAgent, "x", year), noon.Add(2 * year), ErrExpired, Peer{}},
		"wrong kind":    {newMember(t, ca, cluster.KindOperator, "x", year), noon, ErrWrongKind, Peer{Kinds: []cluster.Kind{cluster.KindAgent, cluster.KindWitness}}},
		"wrong member":  {newMember(t, ca, cluster.KindAgent, "x", year), noon, ErrWrongMember, Peer{MemberID: server.id.MemberID}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Expect(server.load(t, at(c.now)).ServerConfig(proto), c.peer)
			clientCfg := c.client.load(t, at(noon)).ClientConfig(proto)
			// A stranger asks nothing about the server.
			clientCfg.VerifyConnection = nil
			_, serverErr, clientErr := shake(t, cfg, clientCfg)
			if !errors.Is(serverErr, c.want) {
				t.Errorf("server found %v, want %v", serverErr, c.want)
			}
			if clientErr == nil {
				t.Error("the refused client read from the server")
			}
		})
	}
}

func TestHandshakeRefusesServer(t *testing.T) {
	ca := newCA(t)
	client := newMember(t, ca, cluster.KindAgent, "hv1", 5*year)
	for name, c := range map[string]struct {
		server member
		want   error
		peer   Peer
	}{
		"operator serves": {newMember(t, ca, cluster.KindOperator, "x", year), ErrWrongKind, Peer{}},
		"other cluster":   {newMember(t, newCA(t), cluster.KindAgent, "x", year), ErrOtherCluster, Peer{}},
		"wrong member":    {newMember(t, ca, cluster.KindAgent, "x", year), ErrWrongMember, Peer{MemberID: client.id.MemberID}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, clientErr := shake(t, c.server.load(t, at(noon)).ServerConfig(proto), Expect(client.load(t, at(noon)).ClientConfig(proto), c.peer))
			if !errors.Is(clientErr, c.want) {
				t.Errorf("client found %v, want %v", clientErr, c.want)
			}
		})
	}
}

func TestHandshakeRefusesOldTLSAndMissingParts(t *testing.T) {
	ca := newCA(t)
	server, client := newMember(t, ca, cluster.KindAgent, "hv1", year), newMember(t, ca, cluster.KindAgent, "hv2", year)
	for name, spoil := range map[string]func(*tls.Config){
		"TLS 1.2":          func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"no certificate":   func(cfg *tls.Config) { cfg.GetClientCertificate = nil },
		"other protocol":   func(cfg *tls.Config) { cfg.NextProtos = []string{"h2"} },
		"no protocol":      func(cfg *tls.Config) { cfg.NextProtos = nil },
		"strangers' names": func(cfg *tls.Config) { cfg.GetClientCertificate = nameless(t, ca) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := client.load(t, at(noon)).ClientConfig(proto)
			cfg.VerifyConnection = nil
			spoil(cfg)
			_, serverErr, clientErr := shake(t, server.load(t, at(noon)).ServerConfig(proto), cfg)
			if serverErr == nil || clientErr == nil {
				t.Fatalf("server: %v, client: %v; both should have failed", serverErr, clientErr)
			}
		})
	}
}

// nameless has the cluster's CA sign a certificate without an identity in it:
// the signature alone must not be enough.
func nameless(t *testing.T, ca *CA) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "hv1"},
		NotBefore:   noon.Add(-time.Hour),
		NotAfter:    noon.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{{Scheme: "spiffe", Host: "other", Path: "/workload"}},
	}, ca.Cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseIdentity(cert); !errors.Is(err, ErrNoIdentity) {
		t.Fatalf("the certificate has an identity after all: %v", err)
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, nil
	}
}

func TestHandshakeUsesTheNewCertificateWithoutRestart(t *testing.T) {
	ca := newCA(t)
	server, client := newMember(t, ca, cluster.KindAgent, "hv1", year), newMember(t, ca, cluster.KindAgent, "hv2", 5*year)
	later := noon.Add(2 * year)
	clock := noon
	serverMaterial := server.load(t, func() time.Time { return clock })
	serverCfg, clientCfg := serverMaterial.ServerConfig(proto), client.load(t, at(later)).ClientConfig(proto)
	clock = later
	if _, _, err := shake(t, serverCfg, clientCfg); !errors.Is(err, ErrExpired) {
		t.Fatalf("with the expired certificate the client found %v, want %v", err, ErrExpired)
	}
	pair, err := ca.Issue(Request{Kind: cluster.KindAgent, Name: "hv1", MemberID: server.id.MemberID}, later, year)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Save(server.cert, server.key); err != nil {
		t.Fatal(err)
	}
	if _, serverErr, clientErr := shake(t, serverCfg, clientCfg); serverErr != nil || clientErr != nil {
		t.Fatalf("after renewal, same configuration: server %v, client %v", serverErr, clientErr)
	}
}
