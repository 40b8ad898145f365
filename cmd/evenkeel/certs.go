package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const day = 24 * time.Hour

func (a *app) certs() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Make the cluster's CA and its members' and operators' certificates",
		Long: `Makes certificates, without any daemon. The CA's key stays in its folder; keep
that folder off the hypervisors. Members renew theirs by themselves, with a third
of its time left.`,
		Example: `  evenkeel certs init --dir ca
  evenkeel certs host --ca ca --name hv1 --ip 10.0.0.1 --out hv1
  evenkeel certs host --ca ca --name w1 --kind witness --ip 10.0.0.9 --out w1
  evenkeel certs operator --ca ca --name alice --out alice
  evenkeel certs show hv1/host.pem`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.certsInit(), a.certsHost(), a.certsOperator(), a.certsShow(), a.certsRenew(), a.certsRevoke())
	return cmd
}

// certificate is what the verbs tell of a certificate.
type certificate struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	File       string   `json:"file"`
	Cluster    string   `json:"cluster"`
	For        string   `json:"for"` // ca, agent, witness or operator
	Name       string   `json:"name"`
	Member     string   `json:"member"`         // id, "" for a CA
	Role       string   `json:"role,omitempty"` // view, operate or admin, of an operator
	NotBefore  api.Time `json:"not_before"`
	NotAfter   api.Time `json:"not_after"`
}

func (a *app) printCertificate(c certificate, next string) error {
	c.APIVersion, c.Kind = api.Version, "Certificate"
	return a.print(c, func(w *ui.Writer) {
		line := func(name, value string) {
			if value != "" {
				w.Field(8, name, w.Paint(ui.Plain, value))
			}
		}
		line("file", c.File)
		line("for", c.For+" "+c.Name)
		line("cluster", c.Cluster)
		line("member", c.Member)
		line("role", c.Role)
		line("valid", ui.Clock(c.NotBefore.Time)+" to "+ui.Clock(c.NotAfter.Time)+" UTC")
		line("next", next)
	}, []string{c.File})
}

func (a *app) certsInit() *cobra.Command {
	dir, id, validity := ".", "", 10*365*day
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a CA for a new cluster: ca.pem and ca.key",
		Args:  noArgs,
	}
	cmd.Flags().StringVar(&dir, "dir", dir, "folder for ca.pem and ca.key, made if need be")
	cmd.Flags().StringVar(&id, "cluster", "", "the cluster's `UUID`; a new one if not given")
	cmd.Flags().DurationVar(&validity, "valid", validity, "for how long, a `TIME`")
	cmd.RunE = a.verb(func(context.Context, []string) error {
		if id == "" {
			id = uuid.NewString()
		}
		ca, err := certs.NewCA(id, time.Now(), validity)
		if err != nil {
			return usage{err}
		}
		if err := ca.Save(dir); err != nil {
			return plainFailure(err)
		}
		c := certificate{
			File: filepath.Join(dir, certs.CACertFile), Cluster: id, For: "ca",
			NotBefore: api.Time{Time: ca.Cert.NotBefore}, NotAfter: api.Time{Time: ca.Cert.NotAfter},
		}
		return a.printCertificate(c, "evenkeel certs host --ca "+dir+" --name HOST --ip ADDRESS --out HOST")
	})
	return cmd
}

// issuing are the flags of a certificate to be made.
type issuing struct {
	ca, name, kind, id, out string
	role                    string
	ips, dns                []string
	valid                   time.Duration
}

func (i *issuing) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.ca, "ca", ".", "folder with ca.pem and ca.key")
	cmd.Flags().StringVar(&i.name, "name", "", "whose certificate it is")
	cmd.Flags().StringVar(&i.id, "id", "", "the `UUID` of a member that has one; a new one if not given")
	cmd.Flags().StringVar(&i.out, "out", ".", "folder for the certificate, its key and a copy of ca.pem")
	cmd.Flags().DurationVar(&i.valid, "valid", 365*day, "for how long, a `TIME`")
}

func (a *app) certsHost() *cobra.Command {
	var i issuing
	cmd := &cobra.Command{
		Use:     "host --name NAME",
		Aliases: []string{"issue"},
		Short:   "Make a host's certificate: host.pem, host.key and ca.pem",
		Long: `Makes the certificate of a hypervisor or a witness. A certificate that is made
again for the same host should have the same --id: it is the member's identity.`,
		Example: `  evenkeel certs host --ca ca --name hv1 --ip 10.0.0.1 --out hv1`,
		Args:    noArgs,
	}
	i.flags(cmd)
	cmd.Flags().StringVar(&i.kind, "kind", string(cluster.KindAgent), "`KIND`: agent (a hypervisor) or witness")
	cmd.Flags().StringSliceVar(&i.ips, "ip", nil, "its `ADDRESS`, for browsers and curl; may be repeated")
	cmd.Flags().StringSliceVar(&i.dns, "dns", nil, "its DNS `NAME`, likewise")
	cmd.RunE = a.verb(func(context.Context, []string) error {
		if kind := cluster.Kind(i.kind); kind != cluster.KindAgent && kind != cluster.KindWitness {
			return usage{fmt.Errorf("--kind is %.40q; a host is an agent or a witness", i.kind)}
		}
		return a.issue(i, "host", "copy the three files to /etc/evenkeel/tls on the host")
	})
	return cmd
}

func (a *app) certsOperator() *cobra.Command {
	i := issuing{kind: string(cluster.KindOperator)}
	cmd := &cobra.Command{
		Use:   "operator --name NAME",
		Short: "Make an operator's certificate: operator.pem, operator.key and ca.pem",
		Long: `Makes the certificate of a person or a program that calls the API. Its role
says what for: view reads; operate steers automation, too (mode, pause, moves,
policy); admin changes members and judges VMs whose fate is unknown, too.`,
		Example: `  evenkeel certs operator --ca ca --name alice --out alice
  evenkeel certs operator --ca ca --name dashboard --role view --out dashboard`,
		Args: noArgs,
	}
	i.flags(cmd)
	cmd.Flags().StringVar(&i.role, "role", string(roles.Operate), "`ROLE`: view, operate or admin")
	cmd.RunE = a.verb(func(context.Context, []string) error {
		if _, err := roles.Parse(i.role); err != nil {
			return usage{fmt.Errorf("--role: %w", err)}
		}
		return a.issue(i, "operator", fmt.Sprintf("evenkeel status --addr HOST --cacert %s --client-cert %s --client-key %s",
			filepath.Join(i.out, "ca.pem"), filepath.Join(i.out, "operator.pem"), filepath.Join(i.out, "operator.key")))
	})
	return cmd
}

// issue makes a certificate and puts it with its key and the CA's certificate
// into a folder.
func (a *app) issue(i issuing, base, next string) error {
	req := certs.Request{Kind: cluster.Kind(i.kind), Name: i.name, MemberID: i.id, DNS: i.dns, Role: roles.Role(i.role)}
	if req.Name == "" {
		return usage{errors.New("--name is missing")}
	}
	if req.MemberID == "" {
		req.MemberID = uuid.NewString()
	}
	for _, text := range i.ips {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return usage{fmt.Errorf("--ip: %w", err)}
		}
		req.IPs = append(req.IPs, ip)
	}
	ca, err := certs.LoadCA(i.ca)
	if err != nil {
		return err
	}
	pair, err := ca.Issue(req, time.Now(), i.valid)
	if err != nil {
		return usage{err}
	}
	file := filepath.Join(i.out, base+".pem")
	if err := saveIssued(pair, i, base); err != nil {
		return plainFailure(err)
	}
	c := certificate{
		File: file, Cluster: ca.ClusterID, For: i.kind, Name: i.name, Member: req.MemberID, Role: i.role,
		NotBefore: api.Time{Time: pair.Cert.NotBefore}, NotAfter: api.Time{Time: pair.Cert.NotAfter},
	}
	return a.printCertificate(c, next)
}

// saveIssued never replaces another member's certificate: only a renewal of
// the same identity may overwrite.
func saveIssued(pair *certs.Pair, i issuing, base string) error {
	file, key := filepath.Join(i.out, base+".pem"), filepath.Join(i.out, base+".key")
	if old, ok := identityIn(file); ok && old.URI() != pair.Identity.URI() {
		return fmt.Errorf("%s is the certificate of %s %s; give its --id to renew it, or another --out", file, old.Name, old.MemberID)
	}
	if err := os.MkdirAll(i.out, 0o755); err != nil {
		return err
	}
	if err := copyCA(filepath.Join(i.ca, certs.CACertFile), filepath.Join(i.out, certs.CACertFile)); err != nil {
		return err
	}
	return pair.Save(file, key)
}

func copyCA(from, to string) error {
	if same, err := filepath.Abs(from); err == nil {
		if other, err := filepath.Abs(to); err == nil && same == other {
			return nil
		}
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// plainFailure keeps the code for a bad configuration for what is read.
func plainFailure(err error) error { return exits{exitFailed, err} }
