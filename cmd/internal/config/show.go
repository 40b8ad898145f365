package config

import (
	"fmt"
	"os"
	"strings"
)

// Origin is where a value comes from.
type Origin string

// The origins.
const (
	OriginFile    Origin = "file"
	OriginDefault Origin = "default"
	OriginDerived Origin = "derived" // it follows from other keys
)

// Shown is a key with the value that holds. Values are in the form in which the
// file takes them; what may be a secret is left out.
type Shown struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin Origin `json:"origin"` // file, default or derived
	Line   int    `json:"line"`   // in the file, 0 if it is not there
}

// reading is a key that was asked for, and how to tell its value.
type reading struct {
	key     string
	value   func() string
	without string
}

// note remembers that a key is asked for. What it is without the file, before
// anything is derived, is its default.
func (s *section) note(key string, value func() string) {
	s.src.reads = append(s.src.reads, reading{s.prefix + key, value, value()})
}

// private reads a text that is not to be shown.
func (s *section) private(key string, into *string) {
	text(s, key, into)
	last := &s.src.reads[len(s.src.reads)-1]
	last.value = func() string { return "(not shown)" }
	last.without = last.value()
}

func inBrackets(list []string) string {
	quoted := make([]string, len(list))
	for i, v := range list {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Show reads a file like [Load] and tells every key with what holds and where
// that comes from, in the order of deploy/agent.yaml.example.
func Show(path string) ([]Shown, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("configuration: host name: %w", err)
	}
	return show(path, data, hostname)
}

// show is [Show] without the machine.
func show(path string, data []byte, hostname string) ([]Shown, error) {
	src := newSource(path, data)
	if _, err := src.parse(data, hostname); err != nil {
		return nil, err
	}
	var out []Shown
	for _, r := range src.reads {
		x := Shown{Key: r.key, Value: r.value(), Origin: OriginDefault}
		switch {
		case src.has(r.key):
			x.Origin, x.Line = OriginFile, src.at[r.key].line
		case x.Value != r.without:
			x.Origin = OriginDerived
		}
		out = append(out, x)
	}
	return out, nil
}
