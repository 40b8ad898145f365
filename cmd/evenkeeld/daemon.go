package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/cgroup"
	"github.com/evenkeel/evenkeel/agent/libvirt"
	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/events"
	"github.com/evenkeel/evenkeel/cmd/internal/webhook"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/definitions"
	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// host is one running daemon: the parts, in the order in which they start.
type host struct {
	cfg  config.Config
	log  *slog.Logger
	tls  *certs.Material
	self cluster.Identity

	port   *rpc.Server
	memory *journal.Journal // nil: none is kept
	events *events.Memory
	hooks  *webhook.Notifier
	node   *consensus.Node
	uplink *rpc.Uplink
	agent  *agent.Agent // nil on a witness
	member cluster.Member

	definitions *definitions.Store // nil: none are kept here
	deposit     *depositor         // nil on a witness
}

// serve runs the daemon until ctx ends.
func serve(ctx context.Context, cfg config.Config, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: cfg.Log.Level}))
	log.Info("evenkeeld", "version", version, "host", cfg.Host.Name, "role", cfg.Role, "cluster", cfg.Cluster.ID)
	h := &host{cfg: cfg, log: log}
	if err := h.identify(); err != nil {
		return errConfig{err}
	}
	if err := lockMemory(); err != nil {
		log.Info("this daemon's memory may be swapped out", "why", err)
	}
	if err := h.join(); err != nil {
		return err
	}
	defer h.leave()
	closeMeasuring, err := h.measure(ctx)
	if err != nil {
		return err
	}
	defer closeMeasuring()
	return h.run(ctx)
}

// identify reads the certificate and holds it against the configuration.
func (h *host) identify() error {
	material, err := certs.LoadTLS(h.cfg.TLS.CA, h.cfg.TLS.Cert, h.cfg.TLS.Key)
	if err != nil {
		return err
	}
	material.LogTo(h.log)
	h.tls, h.self = material, material.Identity()
	kind := cluster.KindAgent
	if h.cfg.Role == cluster.RoleWitness {
		kind = cluster.KindWitness
	}
	switch {
	case h.self.ClusterID != h.cfg.Cluster.ID:
		return fmt.Errorf("%s: the certificate is of cluster %s, cluster.id is %s; use a certificate made for this cluster", h.cfg.TLS.Cert, h.self.ClusterID, h.cfg.Cluster.ID)
	case h.self.Kind != kind:
		return fmt.Errorf("%s: the certificate is of kind %s, role %s needs %s; make one with `evenkeel certs host`", h.cfg.TLS.Cert, h.self.Kind, h.cfg.Role, kind)
	}
	return nil
}

// join opens the port and the replica.
func (h *host) join() (err error) {
	h.definitions = h.openDefinitions()
	h.port, err = rpc.Listen(rpc.Config{
		Definitions: h.definitions,
		Listen:      h.cfg.Listen.Cluster, Advertise: h.cfg.Advertise.Cluster, Identity: h.self,
		ServerTLS: h.tls.ServerConfig, ClientTLS: h.tls.ClientConfig, Logger: h.log.With("part", "rpc"),
		JoinTLS: h.tls.JoinConfig, CA: h.tls.CA, Authority: certs.NewAuthority(h.cfg.Cluster.ID, h.cfg.TLS.CA, filepath.Join(h.cfg.StateDir, "ca")),
	})
	if err != nil {
		return err
	}
	h.memory = h.openMemory()
	h.node, err = consensus.Open(consensus.Config{
		Member: h.self.MemberID, Cluster: h.cfg.Cluster.ID, Role: h.cfg.Role, Address: h.port.Address(),
		Dir: filepath.Join(h.cfg.StateDir, "raft"), Network: h.port.Network(),
		Peers: h.cfg.Cluster.Peers, BootstrapExpect: h.cfg.Cluster.BootstrapExpect, Logger: h.log.With("part", "raft"),
		Publish: h.remember,
	})
	if err != nil {
		return errors.Join(err, h.port.Close(), h.closeMemory())
	}
	h.hooks = h.notifier()
	h.port.Serve(h.node)
	h.uplink = rpc.NewUplink(rpc.UplinkConfig{
		Client: h.port.Client(), Peers: h.cfg.Cluster.Peers, Leader: h.node.Leader, Meet: h.node.Meet, Take: h.node.Take,
		Logger: h.log.With("part", "uplink"),
	})
	h.member = cluster.Member{
		ID: h.self.MemberID, Name: h.cfg.Host.Name, Role: h.cfg.Role, Incarnation: h.node.Incarnation(), Disk: h.node.Disk(), Level: cluster.CurrentLevel,
		Version: version, APIAddress: h.cfg.Advertise.API, Address: h.port.Address(), Zone: h.cfg.Host.Zone, Lab: h.cfg.Lab,
	}
	return nil
}

func (h *host) leave() {
	if err := errors.Join(h.node.Close(), h.port.Close(), h.closeMemory()); err != nil {
		h.log.Warn("closing", "err", err)
	}
}

// measure opens what a hypervisor measures and commands with; a witness has
// nothing of it.
func (h *host) measure(ctx context.Context) (closer func(), err error) {
	if h.cfg.Role == cluster.RoleWitness {
		return func() {}, nil
	}
	proc := procfs.Host()
	cpus, memory, err := capacity(h.cfg, proc, h.log)
	if err != nil {
		return nil, err
	}
	h.member.CPUs, h.member.Memory = cluster.MilliCPU(1000*len(cpus)), memory
	h.member.Processor = processor(proc, cpus, h.log)
	if h.member.Boot, err = proc.BootID(); err != nil {
		h.log.Warn("whether this host was booted anew cannot be told", "err", err)
	}
	h.member.MigrationAddress = h.cfg.Migration.Address
	h.member.MigrationLink = migrationLink(ctx, proc, h.cfg.Migration.Address, h.log)
	h.member.MigrationPeerURI, h.member.MigrationURI = h.cfg.PeerURI(), h.cfg.MigrateURI()

	diary, err := agent.OpenJournal(filepath.Join(h.cfg.StateDir, "journal"))
	if err != nil {
		return nil, err
	}
	hypervisor, err := libvirt.Open(libvirt.Config{Socket: h.cfg.Libvirt.Socket, Logger: h.log.With("part", "libvirt")})
	if err != nil {
		return nil, err
	}
	meter := openMeter(proc, cpus, func() (*agent.ProbeMeter, error) { return agent.OpenProbeMeter(proc, uptime) }, h.log)
	groups := cgroup.New(proc)
	blocks, closeBlocks := openBlockMeter(groups, h.log)
	h.agent = agent.New(agent.Config{
		Member: h.member, Hypervisor: hypervisor, Meter: meter, Busy: busy(proc, cpus), Own: own, Proc: proc, CPUs: cpus, Groups: groups,
		Block: blocks, Disks: libvirt.NewDisks(hypervisor), Stats: guestStats(hypervisor), DirtyRate: hypervisor.DirtyRate, Uplink: h.uplink, Journal: diary,
		Survey: libvirt.NewSurvey(hypervisor), Images: libvirt.NewImages(hypervisor), Relay: relayOf(h.cfg), RelayDir: h.cfg.RelayDir(),
		Hold:   func() string { return agent.ReadHold(h.cfg.HoldFile) },
		Hooks:  moveHooks(h.cfg, h.log.With("part", "hooks")),
		Uptime: uptime, Now: time.Now, Logger: h.log,
	})
	h.deposit = h.newDepositor(hypervisor)
	return func() {
		if err := errors.Join(meter.Close(), closeBlocks(), hypervisor.Close()); err != nil {
			h.log.Warn("closing", "err", err)
		}
	}, nil
}

// run lets all parts work until ctx ends or the replica halts, and waits for
// each.
func (h *host) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	operators, err := h.openAPI()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { h.uplink.Run(ctx) })
	wg.Go(func() { h.lead(ctx) })
	wg.Go(func() { h.watch(ctx, stop) })
	wg.Go(func() { stop(operators.Run(ctx)) })
	wg.Go(func() { h.tellMetrics(ctx) })
	wg.Go(func() { h.keepCertificate(ctx) })
	wg.Go(func() {
		newStarved(h.node, h.self.MemberID, ownWaits(procfs.Host()), h.log.With("part", "starved")).run(ctx)
	})
	if h.agent != nil {
		wg.Go(func() { h.agent.Run(ctx) })
		wg.Go(func() { h.deposit.run(ctx) })
	} else {
		wg.Go(func() { agent.Announce(ctx, h.uplink, h.member, h.log) })
	}
	notify(h.log, daemon.SdNotifyReady)
	<-ctx.Done()
	notify(h.log, daemon.SdNotifyStopping)
	h.log.Info("stopping", "cause", context.Cause(ctx))
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// notify tells systemd, if it is there.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "state", state, "err", err)
	}
}

// lead runs the leader's loop while this member leads.
func (h *host) lead(ctx context.Context) {
	loop := rebalancer.New(rebalancer.Config{Replica: h.node, Self: h.actor(), Now: time.Now, Logger: h.log})
	leading := h.node.Leadership()
	yes := false
	for ctx.Err() == nil {
		if !yes {
			select {
			case <-ctx.Done():
			case yes = <-leading:
			}
			continue
		}
		yes = reign(ctx, leading, loop.Run, h.hooks.Run)
	}
}

// reign runs the leader's loops until leadership changes; it returns the news.
func reign(ctx context.Context, leading <-chan bool, loops ...func(context.Context)) (still bool) {
	ctx, cease := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, loop := range loops {
		wg.Go(func() { loop(ctx) })
	}
	defer wg.Wait()
	defer cease()
	select {
	case <-ctx.Done():
		return false
	case still = <-leading:
		return still
	}
}

// watch stops the daemon when its replica may not go on: an entry needs a
// newer binary. It also keeps systemd's watchdog content.
func (h *host) watch(ctx context.Context, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if why := h.node.Health().Halted; why != "" {
			stop(fmt.Errorf("the replica has stopped: %s", why))
			return
		}
		notify(h.log, daemon.SdNotifyWatchdog)
	}
}
