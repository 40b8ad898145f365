package metrics

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

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

// Describe implements prometheus.Collector: which series there are is only
// known when they are gathered.
func (gathering) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (g gathering) Collect(out chan<- prometheus.Metric) {
	for _, m := range Catalogue {
		if len(g[m.Name]) == 0 {
			continue
		}
		desc := prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		kind := prometheus.GaugeValue
		if m.Type == counter {
			kind = prometheus.CounterValue
		}
		for _, s := range g[m.Name] {
			labels := make([]string, len(s.labels))
			for i, value := range s.labels {
				labels[i] = strings.ToValidUTF8(value, "\uFFFD") // VMs may be named as they like
			}
			out <- prometheus.MustNewConstMetric(desc, kind, s.value, labels...)
		}
	}
}
