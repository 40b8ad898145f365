package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// voterJob is what a voter's process is told on its command line.
type voterJob struct {
	Dir     string   `json:"dir"`  // its folder: certificate, and raft's files below it
	Raft    string   `json:"raft"` // data directory
	Cluster string   `json:"cluster"`
	CA      string   `json:"ca"`
	Listen  string   `json:"listen"`
	Peers   []string `json:"peers"`
	Naive   int      `json:"naive"`             // as leader, commit so many hosts' snapshots a second, an entry each
	VMs     int      `json:"vms"`               // of a naive host
	Profile string   `json:"profile,omitempty"` // file for its CPU profile
}

// report is a line that a voter prints: every second, and when it begins or
// ceases to lead.
type report struct {
	At       time.Time       `json:"at"`
	Leads    bool            `json:"leads"`
	Term     uint64          `json:"term"`
	Usage    usage           `json:"usage"`
	Accepted uint64          `json:"accepted"` // snapshots since the cluster's birth
	Rejected uint64          `json:"rejected"`
	Entries  uint64          `json:"entries"`          // of snapshots, applied by this process
	Payload  uint64          `json:"payload"`          // their bytes
	Ages     []time.Duration `json:"ages,omitempty"`   // of snapshots when they were applied here, since the last line
	Claims   []time.Duration `json:"claims,omitempty"` // from order to claim, since the last line
	Append   time.Duration   `json:"append"`
	Taken    int             `json:"taken"` // raft snapshots in the folder with a higher index than before
	State    stateCost       `json:"state,omitzero"`
}

// stateCost is what writing the State down and reading it back takes.
type stateCost struct {
	Bytes  int           `json:"bytes"`
	Encode time.Duration `json:"encode"`
	Decode time.Duration `json:"decode"`
}

// voter is a member of the Raft group, and what it has counted.
type voter struct {
	job    voterJob
	self   cluster.Identity
	port   *rpc.Server
	node   *consensus.Node
	uplink *rpc.Uplink
	log    *slog.Logger

	orders  atomic.Bool // as leader, order a move every second
	mu      sync.Mutex
	next    report
	ordered map[string]time.Time // move → when its order was applied
	out     sync.Mutex
}

func beVoter(ctx context.Context, job string) error {
	v := &voter{ordered: make(map[string]time.Time)}
	if err := json.Unmarshal([]byte(job), &v.job); err != nil {
		return fmt.Errorf("-voter: %w", err)
	}
	endProfile, err := profile(v.job.Profile)
	if err != nil {
		return err
	}
	defer endProfile()
	if err := v.open(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { v.follow(ctx) })
	wg.Go(func() { v.tell(ctx) })
	wg.Go(func() { v.uplink.Run(ctx) })
	wg.Go(func() { v.announce(ctx) })
	v.obey(stop)
	<-ctx.Done()
	err = errors.Join(v.node.Close(), v.port.Close())
	wg.Wait()
	return err
}

// profile writes a CPU profile until it is ended, if a file is named.
func profile(file string) (end func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

func (v *voter) open() error {
	material, err := certs.LoadTLS(v.job.CA, filepath.Join(v.job.Dir, "host.pem"), filepath.Join(v.job.Dir, "host.key"))
	if err != nil {
		return err
	}
	v.self = material.Identity()
	// Members that come and go are what is measured here; what they say of each
	// other is not printed.
	v.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	v.port, err = rpc.Listen(rpc.Config{
		Listen: v.job.Listen, Identity: v.self, ServerTLS: material.ServerConfig, ClientTLS: material.ClientConfig, Logger: v.log,
		// All hosts call from one address here.
		Limits: rpc.Limits{PerHost: 256},
	})
	if err != nil {
		return err
	}
	v.node, err = consensus.Open(consensus.Config{
		Member: v.self.MemberID, Cluster: v.job.Cluster, Role: cluster.RoleWitness, Address: v.port.Address(),
		Dir: v.job.Raft, Network: v.port.Network(), Peers: v.job.Peers, BootstrapExpect: len(v.job.Peers), Logger: v.log, Publish: v.applied,
	})
	if err != nil {
		return errors.Join(err, v.port.Close())
	}
	v.port.Serve(v.node)
	v.uplink = rpc.NewUplink(rpc.UplinkConfig{
		Client: v.port.Client(), Peers: v.job.Peers, Leader: v.node.Leader, Meet: v.node.Meet, Take: v.node.Take, Logger: v.log,
	})
	return nil
}

// announce is what a witness's daemon does beside voting.
func (v *voter) announce(ctx context.Context) {
	agent.Announce(ctx, v.uplink, cluster.Member{
		ID: v.self.MemberID, Name: v.self.Name, Role: cluster.RoleWitness, Incarnation: v.node.Incarnation(), Level: cluster.CurrentLevel,
		Version: "bench", APIAddress: v.port.Address(), Address: v.port.Address(),
	}, v.log)
}

// obey reads words from the parent: "state" asks what the State costs, "orders"
// has the leader order moves from now on; the end of its pipe, however the parent ended, stops the process.
func (v *voter) obey(stop func()) {
	go func() {
		defer stop()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			switch lines.Text() {
			case "state":
				v.costState()
			case "orders":
				v.orders.Store(true)
			}
		}
	}()
}

func (v *voter) costState() {
	state, _ := v.node.State()
	var body bytes.Buffer
	began := time.Now()
	err := state.Encode(&body)
	cost := stateCost{Bytes: body.Len(), Encode: time.Since(began)}
	began = time.Now()
	if err == nil {
		_, err = cluster.DecodeState(&body)
	}
	cost.Decode = time.Since(began)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: the State does not survive its own form:", err)
		return
	}
	v.mu.Lock()
	v.next.State = cost
	v.mu.Unlock()
	v.print()
}

// applied counts, on the goroutine that applies.
func (v *voter) applied(a consensus.Applied) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next.Accepted, v.next.Rejected = a.State.Accepted, a.State.Rejected
	switch body := a.Command.Body.(type) {
	case cluster.Snapshots:
		v.next.Entries++
		v.next.Payload += uint64(len(a.Data))
		for _, taken := range takenAt(body) {
			v.next.Ages = append(v.next.Ages, now.Sub(taken))
		}
	case cluster.Decide:
		for _, o := range body.Orders {
			v.ordered[o.ID] = now
		}
	case cluster.Claim:
		if at, ok := v.ordered[body.Move]; ok && a.Refusal == nil {
			v.next.Claims = append(v.next.Claims, now.Sub(at))
			delete(v.ordered, body.Move)
		}
	}
}

func takenAt(body cluster.Snapshots) (times []time.Time) {
	for _, s := range body.Batch {
		times = append(times, s.Load.TakenAt.Std())
	}
	return times
}

// follow says when leadership begins and ends, and leads meanwhile.
func (v *voter) follow(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	cease := func() {}
	for {
		select {
		case leads := <-v.node.Leadership():
			cease()
			v.mu.Lock()
			v.next.Leads = leads
			v.mu.Unlock()
			v.print()
			if leads {
				var reign context.Context
				reign, cease = context.WithCancel(ctx)
				wg.Go(func() { v.order(reign) })
				for i := range v.job.Naive {
					wg.Go(func() { v.playNaively(reign, i) })
				}
			}
		case <-ctx.Done():
			cease()
			return
		}
	}
}

// tell prints a report every second.
func (v *voter) tell(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			v.print()
		case <-ctx.Done():
			return
		}
	}
}

func (v *voter) print() {
	v.out.Lock()
	defer v.out.Unlock()
	used, err := ownUsage()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return
	}
	h := v.node.Health()
	v.mu.Lock()
	r := v.next
	v.next.Ages, v.next.Claims = nil, nil
	v.mu.Unlock()
	r.At, r.Usage, r.Term, r.Append = time.Now(), used, h.Term, h.AppendLatency
	r.Taken = snapshotsIn(filepath.Join(v.job.Raft, "snapshots"))
	line, err := json.Marshal(r)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return
	}
	_, _ = os.Stdout.Write(append(line, '\n')) // a parent that is gone is noticed at stdin
}

// snapshotsIn is the highest index of Raft's snapshots in a folder: their names
// are term-index-time.
func snapshotsIn(dir string) (index int) {
	names, _ := filepath.Glob(filepath.Join(dir, "*-*-*")) // the pattern is right
	for _, name := range names {
		var term, i, at int
		if n, _ := fmt.Sscanf(filepath.Base(name), "%d-%d-%d", &term, &i, &at); n == 3 {
			index = max(index, i)
		}
	}
	return index
}
