package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/consensus/rpc"
)

func (a *app) clusterJoin() *cobra.Command {
	var h thisHost
	cmd := &cobra.Command{
		Use:   "join TOKEN",
		Short: "Make this host a member, with a token of `cluster add`",
		Long: `Makes a key on this host, shows the token to the cluster that it names, and gets
a certificate. Only the CA whose fingerprint stands in the token is believed.
agent.yaml is written if there is none. A token is good for one host; run again
with the same token after a broken connection it goes on.`,
		Example: `  sudo evenkeel cluster join ek1_RSh1...`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s takes the token that `evenkeel cluster add` printed", cmd.CommandPath())
			}
			return nil
		},
	}
	h.flags(cmd)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		token, err := rpc.ParseToken(args[0])
		if err != nil {
			return usage{err}
		}
		named := h.name != ""
		if err := h.settle(); err != nil {
			return err
		}
		if !sameHost(h.name, token.Name) {
			what := "this host's name is"
			if named {
				what = "--name says"
			}
			return usage{fmt.Errorf("the token is for host %s, %s %s; on the right host under another name say --name %s", token.Name, what, h.name, token.Name)}
		}
		if time.Now().After(token.Expires) {
			a.note("by this host's clock the token expired at %s; the cluster's clock decides", token.Expires.Format(time.RFC3339))
		}
		ctx, cancel := context.WithTimeout(ctx, max(a.timeout, time.Minute))
		defer cancel()
		m, err := join(ctx, h, token)
		if err != nil {
			return err
		}
		return a.printMembership(m)
	})
	return cmd
}

// join is one run of join.
func join(ctx context.Context, h thisHost, token rpc.Token) (m membership, err error) {
	draft := config.Draft{Role: token.Role, Name: token.Name, Zone: h.zone, Cluster: token.Cluster, Peers: token.Addresses, Address: h.address}
	plan, err := draft.Plan(h.config)
	if err != nil {
		return m, err
	}
	cfg, files := plan.Config, hostFiles{plan.Config}
	m = membership{
		Done: !h.dryRun, Cluster: token.Cluster, Name: token.Name, Role: token.Role, Address: cfg.Advertise.Cluster,
		Next: "systemctl enable --now evenkeeld, then `evenkeel status`",
	}
	switch {
	case cfg.Cluster.ID != token.Cluster:
		return m, exits{exitConfig, fmt.Errorf("%s names cluster %s, the token is for %s: a host belongs to one cluster", h.config, cfg.Cluster.ID, token.Cluster)}
	case cfg.Host.Name != token.Name || cfg.Role != token.Role:
		return m, exits{exitConfig, fmt.Errorf("%s describes the %s %s, the token is for the %s %s; correct the file or ask for another token", h.config, cfg.Role, cfg.Host.Name, token.Role, token.Name)}
	}
	id, has, err := files.certified()
	if err != nil {
		return m, err
	}
	if has {
		if id.ClusterID != token.Cluster {
			return m, exits{exitConfig, fmt.Errorf("%s is of cluster %s, the token is for %s: a host belongs to one cluster", cfg.TLS.Cert, id.ClusterID, token.Cluster)}
		}
		m.Already, m.Member = true, id.MemberID
		return m, nil
	}
	if _, err := os.Stat(filepath.Join(files.raft(), "member.json")); !errors.Is(err, fs.ErrNotExist) {
		return m, exits{exitConfig, fmt.Errorf("%s holds another member's data; move it away, or restore that member's certificate", files.raft())}
	}
	m.Steps = []string{"make a key in " + cfg.TLS.Key, "ask for a certificate with token " + token.ID(), "write " + cfg.TLS.CA + " and " + cfg.TLS.Cert}
	if text := plan.Changes(); text != "" {
		m.Steps = append(m.Steps, text)
	}
	if h.dryRun {
		return m, nil
	}
	err = enrol(ctx, h, token, files, draft, &m)
	return m, err
}

// enrol gets the certificate and writes everything.
func enrol(ctx context.Context, h thisHost, token rpc.Token, files hostFiles, draft config.Draft, m *membership) error {
	cfg := files.cfg
	for _, file := range []string{cfg.TLS.Key, cfg.TLS.CA, cfg.TLS.Cert} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return plainFailure(err)
		}
	}
	key, err := certs.KeyFile(cfg.TLS.Key)
	if err != nil {
		return err
	}
	csr, err := certs.NewCSR(key)
	if err != nil {
		return err
	}
	out, err := rpc.Enrol(ctx, token.Addresses, func(protocol string) *tls.Config {
		return certs.Pinned(token.Fingerprint, token.Cluster, protocol)
	}, rpc.EnrolRequest{Cluster: token.Cluster, Secret: token.Secret[:], Name: token.Name, Role: token.Role, CSR: csr, Addresses: files.addresses()})
	if err != nil {
		return joinFailure(err)
	}
	id, err := certs.SaveCertificate(cfg.TLS.CA, cfg.TLS.Cert, out.CA, out.Certificate, key, token.Fingerprint)
	if err != nil {
		return err
	}
	if id.ClusterID != token.Cluster || id.Name != token.Name || id.Kind != kindOf(token.Role) {
		return plainFailure(fmt.Errorf("the certificate is for %s %s of cluster %s, not for what the token says; nothing was started", id.Kind, id.Name, id.ClusterID))
	}
	m.Member = id.MemberID
	if len(out.Peers) > 0 {
		draft.Peers = out.Peers
	}
	plan, err := draft.Plan(h.config)
	if err != nil {
		return err
	}
	if err := plan.Write(); err != nil {
		return plainFailure(err)
	}
	return nil
}
