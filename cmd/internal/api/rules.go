package api

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Rule is what operators say about where VMs may be, and what they are.
type Rule struct {
	ID string `json:"id"` // like r-3
	RuleSpec
	Since Time   `json:"since"`
	By    string `json:"by"`
	Text  string `json:"text"` // what it asks for, in words
	// Metadata: it stands in its VMs' own definitions, and by says in which.
	Metadata bool `json:"metadata"`
	Expires  Time `json:"expires"` // of metadata that is gone: until when it holds all the same; null: it does not end
	Members  int  `json:"members"` // VMs that it is for now
	// Violations are the VMs that are where it does not want them now.
	Violations []Violation `json:"violations"`
	Unmet      string      `json:"unmet"` // why the hosts there are cannot meet it; "" if they can, as far as it alone goes
}

// RuleSpec is the part of a rule that an operator writes, in files as well.
type RuleSpec struct {
	Name   string   `json:"name"`             // unique
	Kind   string   `json:"kind"`             // affinity, anti-affinity, spread, pin, ignore, demand or class
	Should bool     `json:"should,omitempty"` // it is bent where that is worth it
	VMs    []string `json:"vms"`              // patterns of names, or UUIDs
	Hosts  []string `json:"hosts,omitempty"`  // of a pin: patterns of names, ids, or zone=NAME
	CPUs   float64  `json:"cpus,omitempty"`   // of kind demand
	Bound  string   `json:"bound,omitempty"`  // of kind demand: exactly, at-least or at-most what is measured
	Class  string   `json:"class,omitempty"`  // of kind class: latency, normal or batch
	Reason string   `json:"reason,omitempty"`
}

// Violation is a VM that is where a rule does not want it.
type Violation struct {
	VM   string `json:"vm"`
	UUID string `json:"uuid"`
	Host string `json:"host"`
	Text string `json:"text"`
}

// RulesRequest adds, replaces and removes rules: all of it or nothing.
type RulesRequest struct {
	Act
	Set    []RuleChange `json:"set,omitempty"`
	Remove []string     `json:"remove,omitempty"` // ids, or their unique beginnings, or names
	// Whole says that Set is all the rules there shall be: those of other names
	// are removed, those of the same name replaced if they differ.
	Whole bool `json:"whole,omitempty"`
}

// RuleChange is a rule to be added, or to take the place of one.
type RuleChange struct {
	ID string `json:"id,omitempty"` // "": a new one
	RuleSpec
}

// RuleSpecOf shows a rule of a file.
func RuleSpecOf(r cluster.RuleSpec) RuleSpec { return ruleSpecOf(r) }

func ruleSpecOf(r cluster.RuleSpec) RuleSpec {
	return RuleSpec{r.Name, string(r.Kind), r.Should, r.VMs, r.Hosts, r.Demand.CPUs(), string(r.Bound), string(r.Class), r.Text}
}

// spec is the rule as the State knows it.
func (r RuleSpec) spec() (cluster.RuleSpec, error) {
	out := cluster.RuleSpec{
		Name: r.Name, Kind: cluster.RuleKind(r.Kind), Should: r.Should, VMs: r.VMs, Hosts: r.Hosts,
		Bound: cluster.Bound(r.Bound), Class: cluster.Class(r.Class), Text: r.Reason,
	}
	if math.IsNaN(r.CPUs) || r.CPUs < 0 || r.CPUs > 1e6 {
		return out, invalid("rule %.64q: cpus is %v, must lie between 0 and 1000000", r.Name, r.CPUs)
	}
	out.Demand = cluster.MilliCPU(math.Round(r.CPUs * 1000))
	return out, nil
}

// Spec is the rule in the form of files.
func (r RuleSpec) Spec() (cluster.RuleSpec, error) { return r.spec() }

func (s *Server) rules(_ context.Context, v view, _ *Empty) (*RuleList, error) {
	items, ruling, expires := []Rule{}, v.state.Ruling(), v.state.MetaExpires()
	for _, r := range v.state.AllRules() {
		out := Rule{
			ID: r.ID, RuleSpec: ruleSpecOf(r.RuleSpec), Since: timeOf(r.Since), By: r.By, Text: wordsOf(v.state, r),
			Metadata: r.FromMetadata(), Expires: timeOf(expires[r.ID]), Members: v.state.RuleMembers(r), Violations: []Violation{}, Unmet: v.state.Unmet(r),
		}
		for _, x := range ruling.Violations(r.ID) {
			out.Violations = append(out.Violations, Violation{x.Name, x.VM, v.state.HostName(x.Host), x.Text})
		}
		items = append(items, out)
	}
	return listOf(v, "RuleList", items), nil
}

// wordsOf is what a rule asks for, its VMs by their names.
func wordsOf(s cluster.State, r cluster.Rule) string {
	if r.FromMetadata() {
		const most = 8
		known, vms := vmNames(s), []string{}
		for _, vm := range r.VMs[:min(len(r.VMs), most)] {
			vms = append(vms, known.of(vm))
		}
		if more := len(r.VMs) - most; more > 0 {
			vms = append(vms, fmt.Sprintf("%d more", more))
		}
		r.VMs = vms
	}
	return r.String()
}

func (s *Server) setRules(_ context.Context, v view, req *RulesRequest) (order, error) {
	body := cluster.SetRules{Text: req.Reason}
	for _, name := range req.Remove {
		r, err := findRule(v.state, name)
		if err != nil {
			return order{}, err
		}
		body.Remove = append(body.Remove, r.ID)
	}
	for _, c := range req.Set {
		spec, err := c.spec()
		if err != nil {
			return order{}, err
		}
		body.Set = append(body.Set, cluster.RuleChange{ID: c.ID, RuleSpec: spec})
	}
	if req.Whole {
		whole(v.state, &body)
	}
	if len(body.Set)+len(body.Remove) == 0 {
		return order{text: "the rules are as they should be: nothing to change"}, nil
	}
	return order{body: body, text: strings.Join(changedRules(v.state, body), "\n")}, nil
}

// whole makes of the rules that there shall be the changes that lead there.
func whole(s cluster.State, body *cluster.SetRules) {
	var set []cluster.RuleChange
	wanted := map[string]bool{}
	for _, c := range body.Set {
		wanted[c.Name] = true
		for _, r := range s.Rules {
			if r.Name == c.Name {
				c.ID = r.ID
			}
		}
		if r, ok := s.Rule(c.ID); !ok || !sameRule(r.RuleSpec, c.RuleSpec) {
			set = append(set, c)
		}
	}
	body.Set = set
	for _, r := range s.Rules {
		if !wanted[r.Name] && !slices.Contains(body.Remove, r.ID) {
			body.Remove = append(body.Remove, r.ID)
		}
	}
}

func sameRule(a, b cluster.RuleSpec) bool {
	return a.String() == b.String() && a.Name == b.Name && a.Text == b.Text && slices.Equal(a.VMs, b.VMs) && slices.Equal(a.Hosts, b.Hosts) && a.Demand == b.Demand
}

// changedRules is the difference that a command makes, a line each.
func changedRules(s cluster.State, body cluster.SetRules) (out []string) {
	for _, id := range body.Remove {
		r, _ := findRule(s, id)
		out = append(out, fmt.Sprintf("- %s %s: %s", r.ID, r.Name, r.RuleSpec))
	}
	for _, c := range body.Set {
		if r, ok := s.Rule(c.ID); ok && c.ID != "" {
			out = append(out, fmt.Sprintf("~ %s %s: %s, was %s", r.ID, c.Name, c.RuleSpec, r.RuleSpec))
			continue
		}
		out = append(out, fmt.Sprintf("+ %s: %s", c.Name, c.RuleSpec))
	}
	return out
}

// findRule finds a rule by its name, its id, or the unique beginning of its id.
func findRule(s cluster.State, name string) (cluster.Rule, error) {
	if r, ok := s.Rule(name); ok {
		return r, nil
	}
	var found []cluster.Rule
	for _, r := range s.AllRules() {
		if r.ID == name {
			return r, nil
		}
		if name != "" && strings.HasPrefix(r.ID, name) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return cluster.Rule{}, notFound("no rule %.64q; `evenkeel rules` lists them", name)
	case 1:
		return found[0], nil
	}
	return cluster.Rule{}, invalid("%.64q is the beginning of %d rules, such as %s and %s", name, len(found), found[0].ID, found[1].ID)
}

// Rules asks for the rules, and what is wrong with them now.
func (c *Client) Rules(ctx context.Context) (*RuleList, error) {
	return call[Empty, RuleList](ctx, c, "Rules", &Empty{})
}

// SetRules changes rules.
func (c *Client) SetRules(ctx context.Context, req RulesRequest) (*Change, error) {
	return call[RulesRequest, Change](ctx, c, "SetRules", &req)
}
