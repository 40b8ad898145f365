package metrics

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// contentType is that of Prometheus' text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// sample is one series' value; labels are the values of its metric's labels.
type sample struct {
	labels []string
	value  float64
}

// gathering is what one scrape found, by metric.
type gathering map[string][]sample

// add notes a value. The metric is one of the catalogue and has a value for
// each of its labels: anything else is a mistake in this package.
func (g gathering) add(name string, value float64, labels ...string) {
	m, ok := find(name)
	if !ok || len(m.Labels) != len(labels) {
		panic(fmt.Sprintf("metrics: %s with labels %q is not in the catalogue", name, labels))
	}
	g[name] = append(g[name], sample{labels, value})
}

// flag notes a truth.
func (g gathering) flag(name string, yes bool, labels ...string) {
	value := 0.0
	if yes {
		value = 1
	}
	g.add(name, value, labels...)
}

func find(name string) (Metric, bool) {
	i := slices.IndexFunc(Catalogue, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return Catalogue[i], true
}

// write prints what was gathered, in the catalogue's order.
func (g gathering) write(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, m := range Catalogue {
		samples := g[m.Name]
		if len(samples) == 0 {
			continue
		}
		fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", m.Name, m.Help, m.Name, m.Type)
		for _, s := range samples {
			fmt.Fprint(out, m.Name)
			for i, value := range s.labels {
				fmt.Fprintf(out, `%c%s="%s"`, "{,"[min(i, 1)], m.Labels[i], escape.Replace(strings.ToValidUTF8(value, "\uFFFD")))
			}
			if len(s.labels) > 0 {
				fmt.Fprint(out, "}")
			}
			fmt.Fprintf(out, " %s\n", strconv.FormatFloat(s.value, 'g', -1, 64))
		}
	}
	return out.Flush()
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
