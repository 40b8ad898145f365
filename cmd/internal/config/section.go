package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// section is one mapping of the file. Its getters leave the default where the
// file does not have the key; after the last one, done reports the keys that
// nobody asked for.
type section struct {
	src    *source
	prefix string // "" or "cluster."
	values map[string]*yaml.Node
	keys   map[string]*yaml.Node
	known  []string
}

// newSection takes the mapping apart. An empty one is as good as none.
func newSection(src *source, prefix string, node *yaml.Node) *section {
	s := &section{src: src, prefix: prefix, values: map[string]*yaml.Node{}, keys: map[string]*yaml.Node{}}
	if node == nil || node.Tag == "!!null" {
		return s
	}
	if node.Kind != yaml.MappingNode {
		src.blameAt(position{node.Line, node.Column}, strings.TrimSuffix(prefix, "."), "write KEY: VALUE lines", "expected keys and values, found %s", describe(node))
		return s
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		s.add(node.Content[i], node.Content[i+1])
	}
	return s
}

func (s *section) add(key, value *yaml.Node) {
	name, pos := key.Value, position{key.Line, key.Column}
	switch {
	case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
		s.src.blameAt(pos, fmt.Sprintf("%s<line %d>", s.prefix, key.Line), "write each key out", "a key is %s", describe(key))
	case s.keys[name] != nil:
		s.src.blameAt(pos, s.prefix+name+" (again)", "remove one of the two", "the key is already on line %d", s.keys[name].Line)
	default:
		s.keys[name], s.values[name] = key, value
		s.src.at[s.prefix+name] = position{value.Line, value.Column}
	}
}

// section returns the mapping under a key.
func (s *section) section(key string) *section {
	s.known = append(s.known, key)
	return newSection(s.src, s.prefix+key+".", s.values[key])
}

// scalar returns the text of a single value.
func (s *section) scalar(key string) (string, bool) {
	s.known = append(s.known, key)
	node, ok := s.values[key]
	if !ok {
		return "", false
	}
	return s.scalarNode(s.prefix+key, node)
}

func (s *section) scalarNode(path string, node *yaml.Node) (string, bool) {
	switch {
	case node.Kind != yaml.ScalarNode || node.Style&yaml.TaggedStyle != 0:
		s.src.blame(path, "write a single value", "expected a single value, found %s", describe(node))
	case node.Tag == "!!null":
		s.src.blame(path, "write a value or remove the line", "has no value")
	default:
		return node.Value, true
	}
	return "", false
}

// text reads a value as it stands.
func text[T ~string](s *section, key string, into *T) {
	defer s.note(key, func() string { return string(*into) })
	if v, ok := s.scalar(key); ok {
		*into = T(v)
	}
}

func (s *section) text(key string, into *string) { text(s, key, into) }

func (s *section) flag(key string, into *bool) {
	defer s.note(key, func() string { return strconv.FormatBool(*into) })
	v, ok := s.scalar(key)
	if !ok {
		return
	}
	if v != "true" && v != "false" {
		s.src.blame(s.prefix+key, "write true or false", "%.40q is neither true nor false", v)
		return
	}
	*into = v == "true"
}

func (s *section) number(key string, into *int) {
	defer s.note(key, func() string { return strconv.Itoa(*into) })
	v, ok := s.scalar(key)
	if !ok {
		return
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		s.src.blame(s.prefix+key, "write a number such as 3", "%.40q is not a whole number", v)
		return
	}
	*into = int(n)
}

func (s *section) size(key string, into *cluster.Bytes) {
	defer s.note(key, func() string { return writeSize(*into) })
	v, ok := s.scalar(key)
	if !ok {
		return
	}
	n, err := ParseSize(v)
	if err != nil {
		s.src.blame(s.prefix+key, "write a whole number with KiB, MiB, GiB or TiB, such as 4GiB", "%v", err)
		return
	}
	*into = n
}

func (s *section) cpus(key string, into *procfs.CPUs) {
	defer s.note(key, func() string { return into.String() })
	v, ok := s.scalar(key)
	if !ok {
		return
	}
	set, err := procfs.ParseCPUs(v)
	if err != nil {
		s.src.blame(s.prefix+key, `write a list such as "0-3,8"`, "%v", err)
		return
	}
	*into = set
}

func (s *section) level(key string, into *slog.Level) {
	defer s.note(key, func() string { return strings.ToLower(into.String()) })
	v, ok := s.scalar(key)
	if !ok {
		return
	}
	level, ok := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}[v]
	if !ok {
		s.src.blame(s.prefix+key, "write debug, info, warn or error", "%.40q is not a level", v)
		return
	}
	*into = level
}

func (s *section) addresses(key string, into *Addresses) {
	pair := s.section(key)
	pair.text("api", &into.API)
	pair.text("cluster", &into.Cluster)
	pair.done()
}

// list reads a sequence of single values.
func (s *section) list(key string, into *[]string) {
	defer s.note(key, func() string { return inBrackets(*into) })
	s.items(key, into)
}

// items is list without a note of it.
func (s *section) items(key string, into *[]string) {
	s.known = append(s.known, key)
	node, ok := s.values[key]
	if !ok {
		return
	}
	if node.Kind != yaml.SequenceNode {
		s.src.blame(s.prefix+key, `write a list, such as ["10.0.0.1:7471"]`, "expected a list, found %s", describe(node))
		return
	}
	for i, item := range node.Content {
		path := fmt.Sprintf("%s%s[%d]", s.prefix, key, i)
		s.src.at[path] = position{item.Line, item.Column}
		v, _ := s.scalarNode(path, item)
		*into = append(*into, v) // also a bad one, so that positions agree with the file's
	}
}

// names reads a list that takes the place of the default as a whole.
func (s *section) names(key string, into *[]string) {
	defer s.note(key, func() string { return inBrackets(*into) })
	given := []string{}
	if s.items(key, &given); s.values[key] != nil {
		*into = given
	}
}

// done reports keys that the section should not have.
func (s *section) done() {
	for name, node := range s.keys {
		if slices.Contains(s.known, name) {
			continue
		}
		remedy := "remove it; here may stand: " + strings.Join(s.known, ", ")
		if guess, ok := nearest(name, s.known); ok {
			remedy = "did you mean " + guess + "?"
		}
		s.src.blameAt(position{node.Line, node.Column}, s.prefix+name, remedy, "unknown key")
	}
}

// describe names a node for an error.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode || n.Tag == "!!merge":
		return "an alias, which this file may not use"
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Style&yaml.TaggedStyle != 0:
		return fmt.Sprintf("a value with the tag %.40s, which this file may not use", n.Tag)
	}
	return fmt.Sprintf("the single value %.40q", n.Value)
}
