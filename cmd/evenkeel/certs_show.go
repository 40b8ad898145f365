package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) certsShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Show whom a certificate speaks for and until when",
		Args:  oneArg("a file with a certificate"),
		RunE: a.verb(func(_ context.Context, args []string) error {
			c, err := readCertificate(args[0])
			if err != nil {
				return exits{exitConfig, fmt.Errorf("%s: %w", args[0], err)}
			}
			next := ""
			if left := time.Until(c.NotAfter.Time); left < 30*day {
				next = "make a new one with the same --id: it has expired, or does in " + ui.Seconds(max(left, 0).Seconds())
			}
			return a.printCertificate(c, next)
		}),
	}
}

// maxPEM bounds a certificate file in bytes.
const maxPEM = 64 << 10

func readCertificate(path string) (certificate, error) {
	f, err := os.Open(path)
	if err != nil {
		return certificate{}, errors.Unwrap(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPEM))
	if err != nil {
		return certificate{}, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return certificate{}, errors.New("holds no PEM certificate; `evenkeel certs` makes them")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return certificate{}, err
	}
	c := certificate{File: path, Name: cert.Subject.CommonName, NotBefore: api.Time{Time: cert.NotBefore.UTC()}, NotAfter: api.Time{Time: cert.NotAfter.UTC()}}
	if cert.IsCA {
		if len(cert.URIs) == 1 {
			c.Cluster = cert.URIs[0].Host
		}
		c.For = "ca"
		return c, nil
	}
	id, err := certs.ParseIdentity(cert)
	if err != nil {
		return certificate{}, err
	}
	c.Cluster, c.For, c.Member = id.ClusterID, string(id.Kind), id.MemberID
	if id.Kind == cluster.KindOperator {
		role, err := certs.RoleOf(cert)
		if err != nil {
			return certificate{}, err
		}
		c.Role = string(role)
	}
	return c, nil
}

// identityIn is whom the certificate in a file speaks for, if it does.
func identityIn(path string) (cluster.Identity, bool) {
	c, err := readCertificate(path)
	if err != nil || c.Member == "" {
		return cluster.Identity{}, false
	}
	return cluster.Identity{ClusterID: c.Cluster, Kind: cluster.Kind(c.For), MemberID: c.Member, Name: c.Name}, true
}
