package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// playedAgent plays a host's agent: a certificate, a stream, a beat.
type playedAgent struct {
	host   *host
	client *rpc.Client
	uplink *rpc.Uplink
	done   map[string]bool

	publisher cluster.Publisher
	inventory uint64 // revision that the leader has
	committed uint64 // sequence of the newest snapshot that it has committed
}

// beatEvery is a quiet host's, detailEvery how often it sends details.
const (
	beatEvery   = 5 * time.Second
	detailEvery = time.Minute
)

// startFleet starts the agents of so many hosts; they end with ctx.
func startFleet(ctx context.Context, s *site, hosts, vms int, work *sync.WaitGroup) error {
	for i := range hosts {
		h := newHost(i, vms)
		dir := filepath.Join(s.dir, fmt.Sprint("hv", i))
		if err := s.certify(dir, cluster.KindAgent, h.member().Name, h.id); err != nil {
			return err
		}
		material, err := certs.LoadTLS(s.ca, filepath.Join(dir, "host.pem"), filepath.Join(dir, "host.key"))
		if err != nil {
			return err
		}
		client := rpc.NewClient(material.Identity(), material.ClientConfig)
		a := &playedAgent{host: h, client: client, done: make(map[string]bool), uplink: rpc.NewUplink(rpc.UplinkConfig{
			Client: client, Peers: s.addresses(), Logger: slog.New(slog.DiscardHandler),
		})}
		work.Go(func() { a.uplink.Run(ctx); client.Close() })
		work.Go(func() { a.live(ctx, s.cluster) })
	}
	return nil
}

// live announces the host, beats, and answers orders.
func (a *playedAgent) live(ctx context.Context, clusterID string) {
	// Not all at once, as hosts that were started at unlike times.
	phase := time.NewTimer(rand.N(beatEvery))
	defer phase.Stop()
	select {
	case <-phase.C:
	case <-ctx.Done():
		return
	}
	member := a.host.member()
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 30*time.Second)
		_, err := a.uplink.Propose(try, cluster.Command{ID: uuid.NewString(), Body: cluster.Announce{Cluster: clusterID, Member: member}})
		cancel()
		if err == nil {
			break
		}
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	detailed := time.Now().Add(-rand.N(detailEvery))
	for {
		snap := a.host.beat(beatEvery)
		if a.inventory == 0 {
			snap.Inventory = a.host.inventory()
		}
		if time.Since(detailed) >= detailEvery {
			snap.Details, detailed = a.host.details(), time.Now()
		}
		a.uplink.Publish(a.publisher.Next(snap, a.committed))
		for waiting := true; waiting; {
			select {
			case view := <-a.uplink.Views():
				a.inventory, a.committed = view.Inventory, view.Sequence
				a.answer(ctx, view)
			case <-beat.C:
				waiting = false
			case <-ctx.Done():
				return
			}
		}
	}
}
