package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/definitions"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits whose end is certain; no verdict hangs on it.
const patience = 30 * time.Second

// journal collects log lines for tests that must see a clear word.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) has(words string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.buf.String(), words)
}

func (j *journal) all() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// daemon is one member as evenkeeld wires it.
type daemon struct {
	badge *badge
	addr  string
	dir   string
	peers []string
	want  int

	server *rpc.Server
	node   *consensus.Node
	uplink *rpc.Uplink
	log    *journal
	limits rpc.Limits
	keys   *keyring // nil: none can join through it
	stop   context.CancelFunc
	run    sync.WaitGroup
}

func (d *daemon) start(t *testing.T) error {
	t.Helper()
	if d.log == nil {
		d.log = &journal{}
	}
	log := slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("host", d.badge.id.Name)
	var err error
	cfg := rpc.Config{
		Listen: d.addr, Advertise: d.addr, Identity: d.badge.id, ServerTLS: d.badge.config, ClientTLS: d.badge.config, Logger: log, Limits: d.limits,
	}
	if d.keys != nil {
		cfg.Authority, cfg.JoinTLS, cfg.CA = d.keys, d.badge.open, func() ([]byte, error) { return []byte("the CA"), nil }
	}
	if cfg.Definitions, err = definitions.Open(d.dir+".definitions", time.Now); err != nil {
		return err
	}
	d.server, err = rpc.Listen(cfg)
	if err != nil {
		return err
	}
	d.node, err = consensus.Open(consensus.Config{
		Member: d.badge.id.MemberID, Cluster: d.badge.id.ClusterID, Role: cluster.RoleHypervisor, Address: d.addr, Dir: d.dir,
		Network: d.server.Network(), Peers: d.peers, BootstrapExpect: d.want, Logger: log,
		Timing: consensus.Timing{Heartbeat: 200 * time.Millisecond, Lease: 150 * time.Millisecond, Ask: 100 * time.Millisecond, Stable: time.Second},
	})
	if err != nil {
		return errors.Join(err, d.server.Close())
	}
	d.server.Serve(d.node)
	d.uplink = rpc.NewUplink(rpc.UplinkConfig{Client: d.server.Client(), Peers: d.peers, Leader: d.node.Leader, Take: d.node.Take, Logger: log})
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.run.Go(func() { d.uplink.Run(ctx) })
	return nil
}

func (d *daemon) close(t *testing.T) {
	t.Helper()
	if d.stop == nil {
		return
	}
	d.stop()
	d.run.Wait()
	if err := d.node.Close(); err != nil {
		t.Errorf("%s: close node: %v", d.badge.id.Name, err)
	}
	if err := d.server.Close(); err != nil {
		t.Errorf("%s: close server: %v", d.badge.id.Name, err)
	}
	d.stop = nil
}

// newFleet prepares n daemons on loopback ports that were free a moment ago.
func newFleet(t *testing.T, n int) []*daemon {
	t.Helper()
	ca := newAuthority(t, uuid.NewString())
	fleet := make([]*daemon, n)
	var peers []string
	for i := range fleet {
		fleet[i] = &daemon{badge: ca.issue(t, cluster.KindAgent, string(rune('a'+i))), addr: freePort(t), dir: t.TempDir(), want: n}
		peers = append(peers, fleet[i].addr)
	}
	for _, d := range fleet {
		d.peers = peers
	}
	t.Cleanup(func() {
		for _, d := range fleet {
			d.close(t)
			if t.Failed() {
				t.Logf("log of %s:\n%s", d.badge.id.Name, d.log.all())
			}
		}
	})
	return fleet
}

func startAll(t *testing.T, fleet []*daemon) {
	t.Helper()
	for _, d := range fleet {
		if err := d.start(t); err != nil {
			t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually waits for what must come.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func leaderOf(t *testing.T, fleet []*daemon) *daemon {
	t.Helper()
	var leader *daemon
	eventually(t, "a leader", func() bool {
		for _, d := range fleet {
			if d.stop == nil {
				continue
			}
			if _, ok := d.node.Leading(); ok {
				leader = d
				return true
			}
		}
		return false
	})
	return leader
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func pause(text string) cluster.Command {
	return cluster.Command{
		Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid 0", Name: "root"},
		Body:  cluster.Pause{Until: cluster.TimeOf(time.Now().Add(time.Hour)), Text: text},
	}
}

func announce(d *daemon) cluster.Command {
	return cluster.Command{Body: cluster.Announce{Cluster: d.badge.id.ClusterID, Member: cluster.Member{
		ID: d.badge.id.MemberID, Name: d.badge.id.Name, Role: cluster.RoleHypervisor, Incarnation: d.node.Incarnation(), Level: 1,
		CPUs: 4000, Memory: 8 * cluster.GiB, Address: d.addr,
	}}}
}

var quietLog = slog.New(slog.DiscardHandler)
