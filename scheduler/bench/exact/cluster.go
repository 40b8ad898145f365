package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/evenkeel/evenkeel/scheduler/search"
)

const (
	maxFileBytes = 64 << 20
	maxHosts     = 10_000
	maxVMs       = 300_000
	maxCores     = 1 << 16
	maxMiB       = 1 << 30
	minCores     = 0.001
	maxShare     = 10_000 // of a host: beyond it the objective no longer grows
)

// unit is one of the objective in the engine's fixed point.
const unit = 1e9

// cluster is the generator's neutral form.
type cluster struct {
	Hosts []struct {
		Name   string  `json:"name"`
		Cores  float64 `json:"cores"`
		Memory int64   `json:"mem_mib"`
	} `json:"hosts"`
	VMs []struct {
		Name   string  `json:"name"`
		VCPUs  float64 `json:"vcpus"`
		Memory int64   `json:"mem_mib"`
		CPU    float64 `json:"cpu"` // cores used
		Host   string  `json:"host"`
	} `json:"vms"`

	initial           []int32
	meanCPU, meanFill int64 // in units
}

func load(file string) (*cluster, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	c, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// parse reads a cluster, plain or compressed.
func parse(text []byte) (*cluster, error) {
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		if text, err = io.ReadAll(io.LimitReader(z, maxFileBytes+1)); err != nil {
			return nil, err
		}
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("more than %d bytes", maxFileBytes)
	}
	c := &cluster{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, err
	}
	return c, c.check()
}

func (c *cluster) check() error {
	if len(c.Hosts) == 0 || len(c.Hosts) > maxHosts || len(c.VMs) > maxVMs {
		return fmt.Errorf("%d hosts and %d VMs: at least one host, at most %d, and at most %d VMs", len(c.Hosts), len(c.VMs), maxHosts, maxVMs)
	}
	index := map[string]int32{}
	for i, h := range c.Hosts {
		if _, twice := index[h.Name]; twice || !(h.Cores >= minCores && h.Cores <= maxCores) || h.Memory <= 0 || h.Memory > maxMiB {
			return fmt.Errorf("host %d (%.100q): its name is given once, cores from %v to %d, mem_mib from 1 to %d", i, h.Name, minCores, maxCores, maxMiB)
		}
		index[h.Name] = int32(i)
	}
	seen := map[string]bool{}
	for i, v := range c.VMs {
		h, known := index[v.Host]
		switch {
		case !known:
			return fmt.Errorf("VM %d (%.100q) is on %.100q, which is no host", i, v.Name, v.Host)
		case seen[v.Name], !(v.CPU >= 0 && v.CPU <= maxCores), v.Memory < 0, v.Memory > maxMiB:
			return fmt.Errorf("VM %d (%.100q): its name is given once, cpu from 0 to %d, mem_mib from 0 to %d", i, v.Name, maxCores, maxMiB)
		}
		seen[v.Name] = true
		c.initial = append(c.initial, h)
	}
	return nil
}

const (
	dimCPU    = iota // thousandths of a core
	dimMemory        // MiB
)

// problem is the cluster in the engine's words.
func (c *cluster) problem(moves int, objective string) (search.Problem, error) {
	p := search.Problem{
		Items: len(c.VMs), Bins: len(c.Hosts), Initial: c.initial,
		Dims:  []search.Dim{dimCPU: {Name: "cpu"}, dimMemory: {Name: "memory"}},
		Rules: []search.Rule{search.AtMost("moves", moves)},
	}
	for _, v := range c.VMs {
		p.Size = append(p.Size, int64(math.Round(v.CPU*1000)), v.Memory)
	}
	for _, h := range c.Hosts {
		p.Capacity = append(p.Capacity, search.Unlimited, h.Memory)
	}
	c.mean(p)
	switch objective {
	case "l1":
		p.Terms = []search.Term{search.Sum("l1", 1, c.distance)}
	case "maxcpu":
		// Of equal maxima the one with the flatter rest leads on.
		p.Terms = []search.Term{
			search.Largest("maxcpu", 1000, c.cpu),
			search.Sum("rest", 1, func(bin int, use []int64) int64 {
				x := c.cpu(bin, use) / million
				return x * x / 1000
			}),
		}
	default:
		return p, fmt.Errorf("objective %.100q: give l1 or maxcpu", objective)
	}
	return p, nil
}

const million = 1_000_000

// mean sets the mean shares of CPU and memory over the hosts.
func (c *cluster) mean(p search.Problem) {
	c.meanCPU, c.meanFill = 0, 0
	use := make([]int64, len(p.Dims)*len(c.Hosts))
	for i, h := range c.initial {
		for d := range p.Dims {
			use[int(h)*len(p.Dims)+d] += p.Size[i*len(p.Dims)+d]
		}
	}
	for b := range c.Hosts {
		c.meanCPU += c.cpu(b, use[b*len(p.Dims):]) / int64(len(c.Hosts))
		c.meanFill += c.fill(b, use[b*len(p.Dims):]) / int64(len(c.Hosts))
	}
}

func (c *cluster) cpu(bin int, use []int64) int64 {
	return int64(min(float64(use[dimCPU])/1000/c.Hosts[bin].Cores, maxShare) * unit)
}

func (c *cluster) fill(bin int, use []int64) int64 {
	return int64(min(float64(use[dimMemory])/float64(c.Hosts[bin].Memory), maxShare) * unit)
}

func (c *cluster) distance(bin int, use []int64) int64 {
	cpu, fill := c.cpu(bin, use)-c.meanCPU, c.fill(bin, use)-c.meanFill
	return max(cpu, -cpu) + max(fill, -fill)
}
