package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// What a cluster may be at most: ten times what the planner is made for.
const (
	maxFileBytes = 64 << 20
	maxHosts     = 10_000
	maxVMs       = 300_000
	maxMiB       = 1 << 30 // of a host or a VM
	maxCPUs      = 1 << 16
	maxNameBytes = 255
	defaultRatio = 4.0 // virtual to real CPUs, where no policy says
)

// cluster is what the two files say.
type cluster struct {
	hosts  []host
	vms    []vm
	ratio  float64 // virtual CPUs for each CPU, at most
	online int

	hostOf, vmOf map[string]int32
}

type host struct {
	name    string
	memory  int64 // MiB
	room    int64 // MiB, without what the node itself uses
	cpus    int64
	offline bool
}

type vm struct {
	name   string
	memory int64 // MiB
	vcpus  int64
	cpu    int64 // millionths of a host
	host   int32
}

func load(data, util string) (*cluster, error) {
	text, err := read(data)
	if err != nil {
		return nil, err
	}
	c, err := parseData(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", data, err)
	}
	if text, err = read(util); err != nil {
		return nil, err
	}
	if err := c.parseUtil(text); err != nil {
		return nil, fmt.Errorf("%s: %w", util, err)
	}
	return c, nil
}

func read(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFileBytes {
		return "", fmt.Errorf("%s: more than %d bytes", file, maxFileBytes)
	}
	return string(text), nil
}

// parseData reads the cluster: groups, nodes, instances, cluster tags and
// policies, each ended by an empty line.
func parseData(text string) (*cluster, error) {
	c := &cluster{ratio: defaultRatio, hostOf: map[string]int32{}, vmOf: map[string]int32{}}
	section := 0
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			section++
			continue
		}
		if err := c.line(section, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if c.online == 0 {
		return nil, fmt.Errorf("no node is online")
	}
	return c, nil
}

func (c *cluster) line(section int, line string) error {
	fields := strings.Split(line, "|")
	switch section {
	case 1:
		return c.addHost(fields)
	case 2:
		return c.addVM(fields)
	case 3:
		if strings.HasPrefix(line, "htools:iextags:") {
			return fmt.Errorf("exclusion tags are not supported: remove %.100q", line)
		}
	case 4:
		return c.policy(fields)
	}
	return nil
}

// addHost reads name, memory, memory of the node itself, free memory, disk,
// free disk, CPUs, offline (Y; M is the master), group.
func (c *cluster) addHost(f []string) error {
	if len(f) < 9 {
		return fmt.Errorf("a node has at least 9 fields, this one %d", len(f))
	}
	h := host{name: f[0], offline: f[7] == "Y"}
	if len(c.hosts) == maxHosts {
		return fmt.Errorf("more than %d nodes", maxHosts)
	}
	if _, twice := c.hostOf[h.name]; twice || h.name == "" || len(h.name) > maxNameBytes {
		return fmt.Errorf("node %.100q: names are not empty, at most %d bytes, and given once", h.name, maxNameBytes)
	}
	own := int64(0)
	for _, n := range []struct {
		to          *int64
		text        string
		what        string
		least, most int64
	}{{&h.memory, f[1], "memory", 1, maxMiB}, {&own, f[2], "memory of its own", 0, maxMiB}, {&h.cpus, f[6], "CPUs", 1, maxCPUs}} {
		var err error
		if *n.to, err = whole(n.text, n.least, n.most); err != nil {
			return fmt.Errorf("%s of node %s: %w", n.what, h.name, err)
		}
	}
	h.room = h.memory - min(own, h.memory)
	if !h.offline {
		c.online++
	}
	c.hostOf[h.name] = int32(len(c.hosts))
	c.hosts = append(c.hosts, h)
	return nil
}

// addVM reads name, memory, disk, virtual CPUs, status, auto-balance, primary
// and secondary node, template, tags.
func (c *cluster) addVM(f []string) error {
	if len(f) < 8 {
		return fmt.Errorf("an instance has at least 8 fields, this one %d", len(f))
	}
	v := vm{name: f[0]}
	if len(c.vms) == maxVMs {
		return fmt.Errorf("more than %d instances", maxVMs)
	}
	if _, twice := c.vmOf[v.name]; twice || v.name == "" || len(v.name) > maxNameBytes {
		return fmt.Errorf("instance %.100q: names are not empty, at most %d bytes, and given once", v.name, maxNameBytes)
	}
	if f[7] != "" {
		return fmt.Errorf("instance %s has the secondary node %.100q: only shared storage is supported", v.name, f[7])
	}
	var known bool
	if v.host, known = c.hostOf[f[6]]; !known {
		return fmt.Errorf("instance %s is on node %.100q, which is not listed above", v.name, f[6])
	}
	var err error
	if v.memory, err = whole(f[1], 0, maxMiB); err != nil {
		return fmt.Errorf("memory of instance %s: %w", v.name, err)
	}
	if v.vcpus, err = whole(f[3], 0, maxCPUs); err != nil {
		return fmt.Errorf("virtual CPUs of instance %s: %w", v.name, err)
	}
	c.vmOf[v.name] = int32(len(c.vms))
	c.vms = append(c.vms, v)
	return nil
}

// policy takes the ratio of virtual to real CPUs, the field before the last.
func (c *cluster) policy(f []string) error {
	if len(f) < 3 {
		return fmt.Errorf("a policy has more fields than %d", len(f))
	}
	ratio, err := strconv.ParseFloat(f[len(f)-2], 64)
	if err != nil || !(ratio > 0 && ratio <= 1000) {
		return fmt.Errorf("ratio %.100q of virtual to real CPUs: above 0, at most 1000", f[len(f)-2])
	}
	c.ratio = ratio
	return nil
}

func whole(text string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%.100q is not a whole number from %d to %d", text, least, most)
	}
	return n, nil
}

// parseUtil reads lines of a VM's name and its CPU, memory, disk and network
// load. Only the CPU's is used: memory is taken from the instance itself, as
// the two do not differ in a file of hbal's.
func (c *cluster) parseUtil(text string) error {
	number := 0
	seen := make([]bool, len(c.vms))
	for line := range strings.Lines(text) {
		number++
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 5 {
			return fmt.Errorf("line %d: %d fields, not a name and four loads", number, len(f))
		}
		v, known := c.vmOf[f[0]]
		if !known || seen[v] {
			return fmt.Errorf("line %d: %.100q is no instance, or here for the second time", number, f[0])
		}
		seen[v] = true
		load, err := strconv.ParseFloat(f[1], 64)
		if err != nil || !(load >= 0 && load <= 20) {
			return fmt.Errorf("line %d: CPU load %.100q: from 0 to 20 hosts", number, f[1])
		}
		c.vms[v].cpu = int64(math.Round(load * million))
	}
	return nil
}
