package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/libvirt"
	"github.com/evenkeel/evenkeel/agent/relay"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
)

// qemuConf is where libvirt is told whom to run QEMU as.
const qemuConf = "/etc/libvirt/qemu.conf"

func relayCommand(path *string, stderr io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "relay",
		Short: "Carry this host's migrations over the cluster's mutual TLS",
		Long: `Carry this host's migrations over the cluster's mutual TLS.

It is a process of its own (evenkeel-relay.service), so that evenkeeld can be
restarted, upgraded or lost while a VM migrates. Stopping it breaks the
migrations that it carries: their VMs go on where they are.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(*path)
			if err != nil {
				return errConfig{err}
			}
			return serveRelay(cmd.Context(), cfg, stderr)
		},
	}
}

// serveRelay runs the relay until ctx ends.
func serveRelay(ctx context.Context, cfg config.Config, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: cfg.Log.Level})).With("part", "relay")
	if cfg.Migration.Transport != config.TransportRelay {
		return errConfig{fmt.Errorf("migration.transport is %q: there is nothing to relay; disable evenkeel-relay.service, or write relay", cfg.Migration.Transport)}
	}
	material, err := certs.LoadTLS(cfg.TLS.CA, cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return errConfig{err}
	}
	material.LogTo(log)
	owner, err := relay.QEMUOwner(qemuConf)
	if err != nil {
		return errConfig{err}
	}
	peers, err := net.Listen("tcp", cfg.Migration.Listen)
	if err != nil {
		return fmt.Errorf("migration.listen: %w", err)
	}
	server, err := relay.New(relay.Config{
		Dir: cfg.RelayDir(), Control: cfg.RelayControl(), Peers: peers, Libvirt: libvirt.Sockets(cfg.Libvirt.Socket), Owner: owner,
		ServerTLS: material.ServerConfig, ClientTLS: material.ClientConfig, Identify: certs.PeerIdentity, Now: time.Now, Logger: log,
	})
	if err != nil {
		peers.Close()
		return err
	}
	log.Info("relay", "version", version, "host", cfg.Host.Name, "listen", peers.Addr().String(), "sockets", cfg.RelayDir(), "uid", owner.UID)
	notify(log, daemon.SdNotifyReady)
	server.Run(ctx)
	notify(log, daemon.SdNotifyStopping)
	return nil
}

// relayOf is this host's relay, if its VMs travel that way.
func relayOf(cfg config.Config) agent.Relay {
	if cfg.Migration.Transport != config.TransportRelay {
		return nil
	}
	return relay.Control{Socket: cfg.RelayControl()}
}
