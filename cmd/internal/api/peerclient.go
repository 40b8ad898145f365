package api

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// peerClient calls other members' API with this member's certificate.
type peerClient struct {
	transport *http2.Transport
	http      *http.Client
}

func newPeerClient(clientTLS func(protocols ...string) *tls.Config) *peerClient {
	t := &http2.Transport{
		DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			cfg := certs.Expect(clientTLS("h2"), certs.Peer{Kinds: []cluster.Kind{cluster.KindAgent, cluster.KindWitness}})
			return dialTLS(ctx, network, addr, cfg)
		},
		IdleConnTimeout: time.Minute, ReadIdleTimeout: 10 * time.Second, PingTimeout: 5 * time.Second,
	}
	return &peerClient{t, &http.Client{Transport: t}}
}

func (c *peerClient) close() { c.transport.CloseIdleConnections() }

// callPeer makes one call to the member at an address. With a caller the
// request is forwarded in its name and with its role.
func callPeer[Req, Resp any](ctx context.Context, c *peerClient, addr, method string, req *Req, as *caller) (*Resp, error) {
	client := connect.NewClient[Req, Resp](c.http, "https://"+addr+procedure(method), clientOptions()...)
	r := connect.NewRequest(req)
	if as != nil {
		r.Header().Set(headerActor, writeActor(as.actor))
		r.Header().Set(headerRole, string(as.role))
	}
	resp, err := client.CallUnary(ctx, r)
	if err != nil {
		return nil, err
	}
	return resp.Msg, nil
}
