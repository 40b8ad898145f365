package config

import (
	"os"
	"strings"
	"testing"
)

// Every key of the example, which has them all, is shown, with the value that
// it has there; what is shown can be written into a file and says the same.
func TestShowKnowsEveryKey(t *testing.T) {
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := show("agent.yaml", data, "hv9")
	if err != nil {
		t.Fatal(err)
	}
	src := newSource("agent.yaml", data)
	if _, err := src.parse(data, "hv9"); err != nil {
		t.Fatal(err)
	}
	known := map[string]Shown{}
	for _, s := range shown {
		if _, twice := known[s.Key]; twice {
			t.Errorf("%s is shown twice", s.Key)
		}
		known[s.Key] = s
	}
	for key, at := range src.at {
		if strings.HasSuffix(key, "]") {
			continue // an item of a list
		}
		section := false
		for k := range known {
			section = section || strings.HasPrefix(k, key+".")
		}
		if s, ok := known[key]; !section && (!ok || s.Origin != OriginFile || s.Line != at.line) {
			t.Errorf("%s of line %d is shown as %+v", key, at.line, s)
		}
	}
	var flat strings.Builder
	for _, s := range shown {
		if parts := strings.Split(s.Key, "."); len(parts) == 1 {
			flat.WriteString(s.Key + ": " + quote(s.Value) + "\n")
		}
	}
	for _, name := range []string{"host", "cluster", "listen", "advertise", "tls", "libvirt", "migration", "roles", "journal", "log"} {
		flat.WriteString(name + ":\n")
		for _, s := range shown {
			if key, in := strings.CutPrefix(s.Key, name+"."); in {
				flat.WriteString("  " + key + ": " + quote(s.Value) + "\n")
			}
		}
	}
	again, err := show("flat.yaml", []byte(flat.String()), "hv9")
	if err != nil {
		t.Fatalf("%v\n%s", err, flat.String())
	}
	for _, s := range again {
		if s.Value != known[s.Key].Value {
			t.Errorf("%s: %q, written and read again %q", s.Key, known[s.Key].Value, s.Value)
		}
	}
}

// quote writes a value so that YAML takes it for text, unless it is a list.
func quote(v string) string {
	if strings.HasPrefix(v, "[") {
		return v
	}
	return `"` + v + `"`
}

func TestShowTellsOrigins(t *testing.T) {
	const file = "cluster:\n  id: 5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11\n  peers: [\"10.0.0.1:7471\"]\nlisten: {api: \"10.0.0.1:7470\", cluster: \"10.0.0.1:7471\"}\n" +
		"webhooks:\n  - {name: pager, url: \"https://example.org/secret\", secretFile: /etc/evenkeel/key}\n"
	shown, err := show("agent.yaml", []byte(file), "hv9")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Shown{
		"role":              {"role", "hypervisor", OriginDefault, 0},
		"host.name":         {"host.name", "hv9", OriginDefault, 0},
		"cluster.peers":     {"cluster.peers", `["10.0.0.1:7471"]`, OriginFile, 3},
		"advertise.api":     {"advertise.api", "10.0.0.1:7470", OriginDerived, 0},
		"migration.address": {"migration.address", "10.0.0.1", OriginDerived, 0},
		"journal.size":      {"journal.size", "2GiB", OriginDefault, 0},
		"webhooks[0].url":   {"webhooks[0].url", "(not shown)", OriginFile, 6},
	}
	for _, s := range shown {
		if w, ok := want[s.Key]; ok && s != w {
			t.Errorf("%+v, want %+v", s, w)
		}
		delete(want, s.Key)
	}
	if len(want) > 0 {
		t.Errorf("not shown: %v", want)
	}
}
