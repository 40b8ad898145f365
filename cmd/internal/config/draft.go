package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Draft is what founding or joining a cluster settles of a host's agent.yaml.
type Draft struct {
	Role    cluster.Role
	Name    string
	Zone    string // may be empty
	Cluster string // UUID
	Peers   []string
	Address string // IP address or host name by which others reach the host; may be empty if the file says it
}

// Plan is a configuration that is yet to be written.
type Plan struct {
	Config Config
	path   string
	data   []byte
	change bool
	exists bool
}

// Plan reads the file at path, if there is one, and adds to it what it lacks:
// the cluster, and the addresses for others. What is there stays as it is.
// Nothing is written yet; what would be wrong comes back as [Problems].
func (d Draft) Plan(path string) (Plan, error) {
	p := Plan{path: path}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.data, p.change = d.whole(), true
	case err != nil:
		return p, fmt.Errorf("configuration: %w", err)
	case len(data) > MaxFile:
		return p, fmt.Errorf("configuration %s: larger than %d bytes", path, MaxFile)
	default:
		p.exists = true
		p.data = d.complete(data)
		p.change = !bytes.Equal(data, p.data)
	}
	hostname, err := os.Hostname()
	if err != nil {
		return p, fmt.Errorf("configuration: host name: %w", err)
	}
	p.Config, err = parse(path, p.data, hostname)
	return p, err
}

// Changes says what Write will do: "" for nothing.
func (p Plan) Changes() string {
	switch {
	case !p.change:
		return ""
	case p.exists:
		return "add the cluster to " + p.path
	}
	return "write " + p.path
}

// Write writes the file, as a whole.
func (p Plan) Write() error {
	if !p.change {
		return nil
	}
	dir := filepath.Dir(p.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(p.path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // a no-op once it is renamed
	_, err = f.Write(p.data)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if !p.exists {
		if err := os.Link(f.Name(), p.path); err != nil { // never over a file that appeared meanwhile
			return err
		}
		return nil
	}
	return os.Rename(f.Name(), p.path)
}

// whole is the file for a host that has none.
func (d Draft) whole() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# This host, as evenkeeld sees it; deploy/agent.yaml.example explains every key.\nrole: %s\nhost:\n  name: %s\n", d.Role, quoted(d.Name))
	if d.Zone != "" {
		fmt.Fprintf(&b, "  zone: %s\n", quoted(d.Zone))
	}
	return append([]byte(b.String()), append(d.clusterSection(), d.advertiseSection()...)...)
}

// complete adds the sections that a file lacks. Comments and order stay.
func (d Draft) complete(data []byte) []byte {
	var top map[string]yaml.Node
	if yaml.Load(data, &top) != nil {
		return data // parse says what is wrong
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	if _, ok := top["cluster"]; !ok {
		data = append(data, d.clusterSection()...)
	}
	if _, ok := top["advertise"]; !ok && d.Address != "" && !listensConcretely(data) {
		data = append(data, d.advertiseSection()...)
	}
	return data
}

// listensConcretely says whether the listen addresses can be dialled as they
// are.
func listensConcretely(data []byte) bool {
	var file struct {
		Listen struct{ API, Cluster string }
	}
	return yaml.Load(data, &file) == nil && concrete(file.Listen.API) && concrete(file.Listen.Cluster)
}

func (d Draft) clusterSection() []byte {
	peers := make([]string, len(d.Peers))
	for i, p := range d.Peers {
		peers[i] = quoted(p)
	}
	return fmt.Appendf(nil, "cluster:\n  id: %s\n  peers: [%s]\n", d.Cluster, strings.Join(peers, ", "))
}

func (d Draft) advertiseSection() []byte {
	host := d.Address
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Appendf(nil, "advertise:\n  api: %s\n  cluster: %s\n", quoted(host+":7470"), quoted(host+":7471"))
}

// quoted is a YAML string of letters that need no escape in it: what parse
// takes as a name or address has none.
func quoted(s string) string { return fmt.Sprintf("%q", s) }
