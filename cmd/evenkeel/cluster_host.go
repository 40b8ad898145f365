package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// thisHost are the flags of the verbs that make this host a member.
type thisHost struct {
	config, name, address, zone string
	dryRun                      bool
}

func (h *thisHost) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.config, "config", config.DefaultPath, "this host's configuration, a `FILE`")
	cmd.Flags().StringVar(&h.name, "name", "", "this host's `NAME`; default: the host name")
	cmd.Flags().StringVar(&h.address, "address", "", "how others reach this host, an `ADDRESS`; default: of the default route")
	cmd.Flags().StringVar(&h.zone, "zone", "", "the `ZONE` that fails together: a room, a rack; voters are spread over zones")
	cmd.Flags().BoolVar(&h.dryRun, "dry-run", false, "say what would be done, change nothing")
}

// settle fills in what the flags leave open.
func (h *thisHost) settle() error {
	if h.name == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("this host's name: %w; say --name", err)
		}
		h.name = name
	}
	if h.address == "" {
		h.address = outwardAddress()
	}
	return nil
}

// outwardAddress is the address that this host would speak from, "" if it has
// no route out. No packet is sent.
func outwardAddress() string {
	conn, err := net.Dial("udp", "192.0.2.1:9") // TEST-NET-1
	if err != nil {
		return ""
	}
	defer conn.Close()
	host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	return host
}

// membership is the answer of `evenkeel cluster init` and `join`.
type membership struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Done       bool         `json:"done"`    // false: a dry run
	Already    bool         `json:"already"` // it was so before
	Cluster    string       `json:"cluster"`
	Member     string       `json:"member"`
	Name       string       `json:"name"`
	Role       cluster.Role `json:"role"`
	Address    string       `json:"address"` // host:port of Raft and agents' streams
	Steps      []string     `json:"steps"`   // what was or would be done
	Next       string       `json:"next"`
}

func (a *app) printMembership(m membership) error {
	m.APIVersion, m.Kind = api.Version, "Membership"
	if m.Steps == nil {
		m.Steps = []string{}
	}
	return a.print(m, func(w *ui.Writer) {
		switch {
		case !m.Done:
			w.Linef("dry run, nothing was changed:")
		case m.Already:
			w.Linef("%s is a member of cluster %s already, nothing was changed", m.Name, m.Cluster)
		default:
			w.Linef("%s is a member of cluster %s now", m.Name, m.Cluster)
		}
		for _, s := range m.Steps {
			w.Linef("  %s", s)
		}
		w.Linef("next: %s", m.Next)
	}, []string{m.Cluster})
}

// hostFiles are where a host keeps what makes it a member.
type hostFiles struct{ cfg config.Config }

func (f hostFiles) ca() string   { return filepath.Join(f.cfg.StateDir, "ca") }
func (f hostFiles) raft() string { return filepath.Join(f.cfg.StateDir, "raft") }

// certified returns the identity in the host's certificate, if it has one.
func (f hostFiles) certified() (cluster.Identity, bool, error) {
	m, err := certs.LoadTLS(f.cfg.TLS.CA, f.cfg.TLS.Cert, f.cfg.TLS.Key)
	if err == nil {
		return m.Identity(), true, nil
	}
	if _, stat := os.Stat(f.cfg.TLS.Cert); errors.Is(stat, fs.ErrNotExist) {
		return cluster.Identity{}, false, nil
	}
	return cluster.Identity{}, false, err
}

// addresses are those of the host for its certificate, without ports.
func (f hostFiles) addresses() (out []string) {
	for _, a := range []string{f.cfg.Advertise.Cluster, f.cfg.Advertise.API, f.cfg.Host.Name + ":0"} {
		host, _, err := net.SplitHostPort(a)
		if err == nil && host != "" && !has(out, host) {
			out = append(out, host)
		}
	}
	return out
}

func has(list []string, s string) bool {
	for _, o := range list {
		if o == s {
			return true
		}
	}
	return false
}

// sameHost says whether two names mean one host: one may have its domain.
func sameHost(a, b string) bool {
	if a == b {
		return true
	}
	shortA, domainA, _ := strings.Cut(a, ".")
	shortB, domainB, _ := strings.Cut(b, ".")
	return shortA == shortB && (domainA == "" || domainB == "")
}
