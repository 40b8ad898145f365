package libvirt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Rules of a VM's own stand in its metadata as one element:
//
//	<evenkeel:rules xmlns:evenkeel="https://evenkeel.dev/xmlns/rules/1">
//	  <evenkeel:rule kind="anti-affinity" group="db"/>
//	  <evenkeel:rule kind="pin" hosts="hv1,zone=b" should="yes"/>
//	  <evenkeel:rule kind="demand" cpus="2.5" bound="at-least"/>
//	  <evenkeel:rule kind="class" class="latency"/>
//	  <evenkeel:rule kind="ignore"/>
//	</evenkeel:rules>
const (
	rulesNamespace = "https://evenkeel.dev/xmlns/rules/1"
	rulesElement   = "rules"
	ruleElement    = "rule"
)

// maxWrong bounds what is said of what is wrong; the State takes as much.
const maxWrong = 500

// metaRulesIn finds the rules among a VM's metadata, which many programs write. What
// is in our element and is no rule is told, and the other rules stand.
func metaRulesIn(metadata string) (rules []cluster.MetaRule, wrong string) {
	var p metaParser
	if err := p.read(xml.NewDecoder(strings.NewReader(metadata))); err != nil {
		p.mistake("%v", err)
	}
	text := strings.Join(p.wrong, "; ")
	if len(text) > maxWrong {
		text = text[:maxWrong] + " ..."
	}
	return p.rules, cluster.Printable(text)
}

// metaParser gathers rules and mistakes.
type metaParser struct {
	rules []cluster.MetaRule
	wrong []string
	seen  int // rule elements
}

func (p *metaParser) mistake(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

// read looks for our element at the top. XML of others that cannot be read is no
// mistake of ours as long as none was found.
func (p *metaParser) read(dec *xml.Decoder) error {
	depth, inside := 0, false
	for {
		tok, err := dec.Token()
		switch {
		case errors.Is(err, io.EOF), err != nil && !inside:
			return nil
		case err != nil:
			return fmt.Errorf("the element cannot be read: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			switch {
			case depth == 0:
				inside = t.Name == xml.Name{Space: rulesNamespace, Local: rulesElement}
			case inside:
				p.element(t, depth)
			}
			depth++
		case xml.EndElement:
			if depth--; depth == 0 {
				inside = false
			}
		}
	}
}

// element takes what stands in our element.
func (p *metaParser) element(e xml.StartElement, depth int) {
	if depth > 1 || e.Name != (xml.Name{Space: rulesNamespace, Local: ruleElement}) {
		p.mistake("element <%s>, want <%s> in the namespace of <%s>, and nothing in it", clip(e.Name.Local, 32), ruleElement, rulesElement)
		return
	}
	p.seen++
	r, err := metaRuleOf(e.Attr)
	if err == nil {
		err = r.Check()
	}
	for _, other := range p.rules {
		if err == nil && other.Same(r) {
			err = errors.New("there is one about the same already")
		}
	}
	switch {
	case err != nil:
		p.mistake("rule %d: %v", p.seen, textOf(err))
	case len(p.rules) == cluster.MaxMetaRules:
		p.mistake("rule %d: a VM has at most %d", p.seen, cluster.MaxMetaRules)
	default:
		p.rules = append(p.rules, r)
	}
}

// textOf leaves the code of a refusal out.
func textOf(err error) string {
	if r := cluster.RefusalOf(err); r != nil {
		return r.Text
	}
	return err.Error()
}

func metaRuleOf(attrs []xml.Attr) (r cluster.MetaRule, err error) {
	for _, a := range attrs {
		switch {
		case a.Name.Space == "xmlns" || a.Name.Local == "xmlns":
		case a.Name.Space != "":
			return r, fmt.Errorf("attribute %s of another namespace", clip(a.Name.Local, 32))
		default:
			if err := attribute(&r, a.Name.Local, a.Value); err != nil {
				return r, err
			}
		}
	}
	if r.Kind == "" {
		return r, errors.New(`no kind, such as kind="pin"`)
	}
	if r.Kind == cluster.RuleDemand && r.Bound == "" {
		r.Bound = cluster.BoundExactly
	}
	return r, nil
}

func attribute(r *cluster.MetaRule, name, value string) (err error) {
	switch name {
	case "kind":
		r.Kind = cluster.RuleKind(value)
	case "group":
		r.Group = value
	case "class":
		r.Class = cluster.Class(value)
	case "bound":
		r.Bound = cluster.Bound(value)
	case "should":
		if r.Should = value == "yes"; value != "yes" && value != "no" {
			return fmt.Errorf("should is %q, want yes or no", clip(value, 32))
		}
	case "hosts":
		for host := range strings.SplitSeq(value, ",") {
			r.Hosts = append(r.Hosts, strings.TrimSpace(host))
		}
	case "cpus":
		cpus, err := strconv.ParseFloat(value, 64)
		if err != nil || !(cpus > 0 && cpus <= 1e6) {
			return fmt.Errorf("cpus is %q, want a number of CPUs such as 2.5", clip(value, 32))
		}
		r.Demand = cluster.MilliCPU(math.Round(cpus * 1000))
	default:
		return fmt.Errorf("attribute %q, want kind, group, hosts, should, cpus, bound or class", clip(name, 32))
	}
	return nil
}
