package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// MaxFile bounds a configuration file, or one of rules, in bytes. A real one has under 2 KiB.
const MaxFile = 64 << 10

// Load reads and checks the file. What is wrong in it comes back as
// [Problems].
func Load(path string) (Config, error) {
	data, err := read(path)
	if err != nil {
		return Config{}, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return Config{}, fmt.Errorf("configuration: host name: %w", err)
	}
	cfg, err := parse(path, data, hostname)
	cfg.HoldFile = filepath.Join(filepath.Dir(path), "hold")
	return cfg, err
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; deploy/agent.yaml.example is one to start from", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return data, nil
}

// parse is [Load] without the machine.
func parse(path string, data []byte, hostname string) (Config, error) {
	return newSource(path, data).parse(data, hostname)
}

func (s *source) parse(data []byte, hostname string) (Config, error) {
	root := s.document(data)
	if err := s.err(); err != nil {
		return Config{}, err
	}
	cfg := defaults(hostname)
	s.decode(root, &cfg)
	cfg.derive()
	s.check(&cfg)
	if err := s.err(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// document returns the file's one YAML document.
func (s *source) document(data []byte) *yaml.Node {
	switch {
	case len(data) > MaxFile:
		s.blameAt(position{}, "", "it should be a page long; deploy/agent.yaml.example is one to start from", "the file is larger than %d bytes", MaxFile)
		return nil
	case !utf8.Valid(data):
		s.blameAt(position{}, "", "save it as UTF-8", "the file is not UTF-8 text")
		return nil
	}
	var doc yaml.Node
	err := yaml.Load(data, &doc)
	var broken *yaml.LoadError
	switch {
	case errors.As(err, &broken) && broken.Mark.Line > 0:
		pos := position{broken.Mark.Line, broken.Mark.Column}
		s.blameAt(pos, "", "check indentation, quotes and brackets here and on the lines above; tabs cannot indent", "not YAML: %s", broken.Message)
	case doc.Kind == 0: // the parser says so without a place
		s.blameAt(position{}, "", "deploy/agent.yaml.example is one to start from", "the file is empty")
	case err != nil:
		s.blameAt(position{}, "", "keep one, without a line of --- after it", "the file has more than one YAML document")
	case doc.Content[0].Kind != yaml.MappingNode:
		root := doc.Content[0]
		s.blameAt(position{root.Line, root.Column}, "", "write KEY: VALUE lines", "expected keys and values, found %s", describe(root))
	default:
		return doc.Content[0]
	}
	return nil
}

// decode fills cfg with what the file has. The order is that of
// deploy/agent.yaml.example.
func (s *source) decode(root *yaml.Node, cfg *Config) {
	top := newSection(s, "", root)
	text(top, "role", &cfg.Role)

	host := top.section("host")
	host.text("name", &cfg.Host.Name)
	host.text("zone", &cfg.Host.Zone)
	host.cpus("cpus", &cfg.Host.CPUs)
	host.size("memory", &cfg.Host.Memory)
	host.done()

	cluster := top.section("cluster")
	cluster.text("id", &cfg.Cluster.ID)
	cluster.list("peers", &cfg.Cluster.Peers)
	cluster.number("bootstrapExpect", &cfg.Cluster.BootstrapExpect)
	cluster.done()

	listen := top.section("listen")
	listen.text("api", &cfg.Listen.API)
	listen.text("cluster", &cfg.Listen.Cluster)
	listen.text("metrics", &cfg.Metrics)
	listen.done()
	top.addresses("advertise", &cfg.Advertise)

	tls := top.section("tls")
	tls.text("ca", &cfg.TLS.CA)
	tls.text("cert", &cfg.TLS.Cert)
	tls.text("key", &cfg.TLS.Key)
	tls.done()

	libvirt := top.section("libvirt")
	libvirt.text("socket", &cfg.Libvirt.Socket)
	libvirt.done()

	migration := top.section("migration")
	text(migration, "transport", &cfg.Migration.Transport)
	migration.text("address", &cfg.Migration.Address)
	migration.text("listen", &cfg.Migration.Listen)
	migration.done()

	top.text("stateDir", &cfg.StateDir)
	top.text("socket", &cfg.Socket)

	grants := top.section("roles")
	grants.names("admin", &cfg.Roles.Admin)
	grants.names("operate", &cfg.Roles.Operate)
	grants.names("view", &cfg.Roles.View)
	grants.done()

	journal := top.section("journal")
	journal.size("size", &cfg.Journal.Size)
	journal.done()

	top.webhooks("webhooks", &cfg.Webhooks)

	log := top.section("log")
	log.level("level", &cfg.Log.Level)
	log.done()

	top.flag("lab", &cfg.Lab)
	top.done()
}
