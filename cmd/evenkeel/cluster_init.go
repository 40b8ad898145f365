package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) clusterInit() *cobra.Command {
	var h thisHost
	role := string(cluster.RoleHypervisor)
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Found a cluster with this host as its first member",
		Long: `Makes on this host what a cluster begins with: a CA (in the folder ca of the
state directory), this host's certificate, agent.yaml if there is none, and a
Raft group of one. Run again it changes nothing. Nothing is overwritten: on a
host that belongs to a cluster, or holds another one's files, it stops.`,
		Example: `  sudo evenkeel cluster init
  sudo evenkeel cluster init --address 10.0.0.1 --zone rack-4`,
		Args: noArgs,
	}
	h.flags(cmd)
	cmd.Flags().StringVar(&role, "role", role, "`ROLE`: hypervisor or witness")
	cmd.RunE = a.verb(func(context.Context, []string) error {
		if err := h.settle(); err != nil {
			return err
		}
		f := founding{host: h, role: cluster.Role(role)}
		m, err := f.run()
		if err != nil {
			return err
		}
		return a.printMembership(m)
	})
	return cmd
}

// founding is one run of init. Each step sees whether an earlier run has done
// it.
type founding struct {
	host  thisHost
	role  cluster.Role
	steps []string
}

// do carries a step out, or only notes it.
func (f *founding) do(text string, step func() error) error {
	f.steps = append(f.steps, text)
	if f.host.dryRun {
		return nil
	}
	if err := step(); err != nil {
		return plainFailure(fmt.Errorf("%s: %w", text, err))
	}
	return nil
}

func (f *founding) draft(id, peer string) config.Draft {
	return config.Draft{Role: f.role, Name: f.host.name, Zone: f.host.zone, Cluster: id, Peers: []string{peer}, Address: f.host.address}
}

func (f *founding) run() (m membership, err error) {
	id := uuid.NewString()
	plan, err := f.draft(id, peerOf(f.host.address)).Plan(f.host.config)
	if err != nil {
		return m, err
	}
	files := hostFiles{plan.Config}
	ca, err := f.authority(files, plan.Config.Cluster.ID)
	if err != nil {
		return m, err
	}
	if plan, err = f.draft(ca.ClusterID, plan.Config.Advertise.Cluster).Plan(f.host.config); err != nil {
		return m, err
	}
	cfg := plan.Config
	if cfg.Cluster.ID != ca.ClusterID {
		return m, exits{exitConfig, fmt.Errorf("%s names cluster %s, the CA in %s is of %s; correct one of them", f.host.config, cfg.Cluster.ID, files.ca(), ca.ClusterID)}
	}
	member, err := f.certificate(files, ca)
	if err != nil {
		return m, err
	}
	if err := f.group(files, member); err != nil {
		return m, err
	}
	if text := plan.Changes(); text != "" {
		if err := f.do(text, plan.Write); err != nil {
			return m, err
		}
	}
	return membership{
		Done: !f.host.dryRun, Already: len(f.steps) == 0, Cluster: ca.ClusterID, Member: member, Name: cfg.Host.Name, Role: cfg.Role,
		Address: cfg.Advertise.Cluster, Steps: f.steps, Next: "systemctl enable --now evenkeeld, then `evenkeel status`; `evenkeel cluster add NAME` lets another host join",
	}, nil
}

// authority is the cluster's CA: the one that an earlier run made, or a new
// one.
func (f *founding) authority(files hostFiles, id string) (*certs.CA, error) {
	ca, err := certs.LoadCA(files.ca())
	if err == nil {
		return ca, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, has, err := files.certified(); has || err != nil {
		return nil, exits{exitConfig, errors.Join(fmt.Errorf("this host has a certificate already (%s), made elsewhere: it belongs to a cluster, or is about to join one", files.cfg.TLS.Cert), err)}
	}
	if _, err := os.Stat(filepath.Join(files.raft(), "member.json")); !errors.Is(err, fs.ErrNotExist) {
		return nil, exits{exitConfig, fmt.Errorf("%s holds a member's data and this host has no certificate; restore that, or move the folder away", files.raft())}
	}
	ca, err = certs.NewCA(id, time.Now(), 10*365*day)
	if err != nil {
		return nil, err
	}
	return ca, f.do("make a CA in "+files.ca(), func() error {
		if err := os.MkdirAll(files.ca(), 0o700); err != nil {
			return err
		}
		return ca.Save(files.ca())
	})
}

// certificate is this host's; it returns the member id.
func (f *founding) certificate(files hostFiles, ca *certs.CA) (member string, err error) {
	id, has, err := files.certified()
	switch {
	case err != nil:
		return "", err
	case has && id.ClusterID != ca.ClusterID:
		return "", exits{exitConfig, fmt.Errorf("%s is of cluster %s, the CA in %s of %s: this host belongs to another cluster", files.cfg.TLS.Cert, id.ClusterID, files.ca(), ca.ClusterID)}
	case has:
		return id.MemberID, nil
	}
	req := certs.Request{Kind: kindOf(files.cfg.Role), Name: files.cfg.Host.Name, MemberID: uuid.NewString()}
	for _, text := range files.addresses() {
		if ip, err := netip.ParseAddr(text); err == nil {
			req.IPs = append(req.IPs, ip)
		} else {
			req.DNS = append(req.DNS, text)
		}
	}
	pair, err := ca.Issue(req, time.Now(), 365*day)
	if err != nil {
		return "", err
	}
	return req.MemberID, f.do("make this host's certificate in "+filepath.Dir(files.cfg.TLS.Cert), func() error {
		for _, file := range []string{files.cfg.TLS.CA, files.cfg.TLS.Cert, files.cfg.TLS.Key} {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
		}
		if err := copyCA(filepath.Join(files.ca(), certs.CACertFile), files.cfg.TLS.CA); err != nil {
			return err
		}
		return pair.Save(files.cfg.TLS.Cert, files.cfg.TLS.Key)
	})
}

// group is the Raft group of one.
func (f *founding) group(files hostFiles, member string) error {
	if _, err := os.Stat(filepath.Join(files.raft(), "raft.db")); err == nil && f.host.dryRun {
		return nil
	}
	text := "found the cluster in " + files.raft()
	if f.host.dryRun {
		f.steps = append(f.steps, text)
		return nil
	}
	already, err := consensus.Found(files.raft(), files.cfg.Cluster.ID, member, files.cfg.Advertise.Cluster)
	switch {
	case errors.Is(err, consensus.ErrInUse):
		return nil // the daemon runs
	case err != nil:
		return plainFailure(err)
	case !already:
		f.steps = append(f.steps, text)
	}
	return nil
}

func kindOf(r cluster.Role) cluster.Kind {
	if r == cluster.RoleWitness {
		return cluster.KindWitness
	}
	return cluster.KindAgent
}

// peerOf is where a host's cluster port is by default.
func peerOf(address string) string {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
		return "[" + address + "]:7471"
	}
	return address + ":7471"
}
