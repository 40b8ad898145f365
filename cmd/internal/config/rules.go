package config

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// ParseRules reads a file of rules. What is wrong in it comes back as
// [Problems], all of it at once. Path names the file in them.
func ParseRules(path string, data []byte) ([]cluster.RuleSpec, error) {
	src := newSource(path, data)
	if len(data) > MaxFile || len(bytes.TrimSpace(data)) == 0 {
		src.blameAt(position{}, "", "write `rules:` and a list below it; `rules: []` stands for none; see docs/rules.md", "the file is empty, or larger than %d bytes", MaxFile)
		return nil, src.err()
	}
	root := src.document(data)
	if err := src.err(); err != nil {
		return nil, err
	}
	top := newSection(src, "", root)
	rules := top.rules("rules")
	top.done()
	return rules, src.err()
}

// rules reads the list.
func (s *section) rules(key string) (out []cluster.RuleSpec) {
	s.known = append(s.known, key)
	node, ok := s.values[key]
	switch {
	case !ok:
		s.src.blameAt(position{}, key, "write `rules: []` if there shall be none", "missing")
		return nil
	case node.Kind != yaml.SequenceNode:
		s.src.blame(key, "write a list, each item beginning with - name: NAME", "expected a list, found %s", describe(node))
		return nil
	}
	first := map[string]int{}
	for i, item := range node.Content {
		path := fmt.Sprintf("%s[%d]", key, i)
		s.src.at[path] = position{item.Line, item.Column}
		rule := readRule(newSection(s.src, path+".", item))
		if line, twice := first[rule.Name]; twice {
			s.src.blame(path+".name", "give each rule a name of its own", "%q is already the rule on line %d", rule.Name, line)
		}
		first[rule.Name] = item.Line
		if !s.src.bad(path) {
			if err := rule.Check(); err != nil {
				s.src.blame(path, "see docs/rules.md", "%s", cluster.RefusalOf(err).Text)
			}
		}
		out = append(out, rule)
	}
	return out
}

func readRule(s *section) (r cluster.RuleSpec) {
	s.text("name", &r.Name)
	text(s, "kind", &r.Kind)
	s.flag("should", &r.Should)
	s.list("vms", &r.VMs)
	s.list("hosts", &r.Hosts)
	s.milliCPU("cpus", &r.Demand)
	text(s, "bound", &r.Bound)
	text(s, "class", &r.Class)
	s.text("reason", &r.Text)
	s.done()
	return r
}

// milliCPU reads CPUs with up to three digits after the point.
func (s *section) milliCPU(key string, into *cluster.MilliCPU) {
	v, ok := s.scalar(key)
	if !ok {
		return
	}
	n, err := ParseCPUs(v)
	if err != nil {
		s.src.blame(s.prefix+key, "write a number such as 2.5", "%v", err)
		return
	}
	*into = n
}

// ParseCPUs reads a number of CPUs such as 2.5.
func ParseCPUs(text string) (cluster.MilliCPU, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n < 0.001 || n > 1e6 {
		return 0, fmt.Errorf("%.40q is no number of CPUs from 0.001 to 1000000", text)
	}
	return cluster.MilliCPU(math.Round(n * 1000)), nil
}

// WriteRules writes a file that ParseRules reads, with the rules by name.
func WriteRules(rules []cluster.RuleSpec) []byte {
	var b bytes.Buffer
	if len(rules) == 0 {
		return []byte("rules: []\n")
	}
	rules = slices.Clone(rules)
	slices.SortFunc(rules, func(a, b cluster.RuleSpec) int { return strings.Compare(a.Name, b.Name) })
	b.WriteString("rules:\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "- name: %s\n  kind: %s\n", quoted(r.Name), r.Kind)
		if r.Should {
			b.WriteString("  should: true\n")
		}
		writeList(&b, "vms", r.VMs)
		writeList(&b, "hosts", r.Hosts)
		if r.Demand != 0 {
			fmt.Fprintf(&b, "  cpus: %s\n  bound: %s\n", strconv.FormatFloat(float64(r.Demand)/1000, 'f', -1, 64), r.Bound)
		}
		if r.Class != "" {
			fmt.Fprintf(&b, "  class: %s\n", r.Class)
		}
		if r.Text != "" {
			fmt.Fprintf(&b, "  reason: %s\n", quoted(r.Text))
		}
	}
	return b.Bytes()
}

func writeList(b *bytes.Buffer, key string, list []string) {
	if len(list) == 0 {
		return
	}
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = quoted(w)
	}
	fmt.Fprintf(b, "  %s: [%s]\n", key, strings.Join(words, ", "))
}
