package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/consensus/rpc"
)

func (a *app) certsRenew() *cobra.Command {
	path := config.DefaultPath
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Renew this member's certificate now",
		Long: `Makes a new key on this host, and has a voter that has the CA's key sign a
certificate for it, by the word of the present one. evenkeeld uses it from the next
connection on, without a restart. It does so by itself when a third of the
certificate's time is left. One that has ended speaks for nobody any more: where
the CA's key is, ` + "`evenkeel certs host --id`" + ` makes another. An operator's is made by
` + "`evenkeel certs operator`" + `.`,
		Example: `  sudo evenkeel certs renew`,
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&path, "config", path, "this host's configuration, a `FILE`")
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		ctx, cancel := context.WithTimeout(ctx, max(a.timeout, 30*time.Second))
		defer cancel()
		cfg, err := config.Load(path)
		if err != nil {
			return exits{exitConfig, err}
		}
		m, err := certs.LoadTLS(cfg.TLS.CA, cfg.TLS.Cert, cfg.TLS.Key)
		if err != nil {
			return exits{exitConfig, err}
		}
		if err := renew(ctx, cfg, m); err != nil {
			return err
		}
		c, err := readCertificate(cfg.TLS.Cert)
		if err != nil {
			return exits{exitConfig, err}
		}
		return a.printCertificate(c, "")
	})
	return cmd
}

// renew asks this host's daemon and the members that its configuration names
// for a certificate, and puts it in its place.
func renew(ctx context.Context, cfg config.Config, m *certs.Material) error {
	client := rpc.NewClient(m.Identity(), m.ClientConfig)
	defer client.Close()
	at := slices.DeleteFunc(append([]string{cfg.Advertise.Cluster}, cfg.Cluster.Peers...), func(addr string) bool { return addr == "" })
	_, err := m.Renew(ctx, func(ctx context.Context, csr []byte, addresses []string) ([]byte, error) {
		return client.Renew(ctx, csr, addresses, at)
	})
	var bad *certs.Error
	if err != nil && !errors.As(err, &bad) {
		return exits{exitUnreachable, err}
	}
	return err
}
