package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// maxFileBytes bounds a file once it is unpacked; the challenge's largest has
// 200 MB.
const maxFileBytes = 512 << 20

// The challenge's own bounds, a little above its largest instances.
const maxResources, maxMachines, maxServices, maxProcesses, maxBalances = 32, 10_000, 100_000, 100_000, 100

func load(model, initial string) (*instance, error) {
	in := &instance{}
	text, err := read(model)
	if err == nil {
		in, err = parseModel(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", model, err)
	}
	if text, err = read(initial); err == nil {
		in.initial, err = parseAssignment(text, len(in.processes), len(in.machines))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", initial, err)
	}
	return in, nil
}

// read reads a file, plain or compressed.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	var from io.Reader = in
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		if from, err = gzip.NewReader(in); err != nil {
			return nil, err
		}
	}
	text, err := io.ReadAll(io.LimitReader(from, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("more than %d bytes", maxFileBytes)
	}
	return text, err
}

// numbers reads unsigned numbers separated by white space. After the first
// error all are 0.
type numbers struct {
	text []byte
	at   int // bytes read
	err  error
}

// next reads a number of at most a bound, which is what is said of it.
func (n *numbers) next(what string, most int64) int64 {
	n.skip()
	start := n.at
	var x int64
	for n.at < len(n.text) && n.text[n.at] >= '0' && n.text[n.at] <= '9' && x <= most {
		x = 10*x + int64(n.text[n.at]-'0')
		n.at++
	}
	switch {
	case n.err != nil:
	case start == len(n.text):
		n.err = fmt.Errorf("ends where %s should be", what)
	case x > most:
		n.err = fmt.Errorf("byte %d: %s is above %d", start, what, most)
	case n.at == start || (n.at < len(n.text) && !isSpace(n.text[n.at])):
		n.err = fmt.Errorf("byte %d: %s should be an unsigned number", start, what)
	}
	if n.err != nil {
		return 0
	}
	return x
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func (n *numbers) skip() {
	for n.at < len(n.text) && isSpace(n.text[n.at]) {
		n.at++
	}
}

// end refuses what is left over.
func (n *numbers) end() error {
	if n.skip(); n.err == nil && n.at < len(n.text) {
		n.err = fmt.Errorf("byte %d: more than it should have", n.at)
	}
	return n.err
}

// value, count and index read a number, how many follow, and one of how many.
func (n *numbers) value(what string) int64         { return n.next(what, math.MaxUint32) }
func (n *numbers) count(what string, most int) int { return int(n.next(what, int64(most))) }
func (n *numbers) index(what string, of int) int32 { return int32(n.next(what, int64(of-1))) }
func (n *numbers) row(what string, len int) []int64 {
	row := make([]int64, 0, min(len, maxResources))
	for i := 0; i < len && n.err == nil; i++ {
		row = append(row, n.value(what))
	}
	return row
}

func parseModel(text []byte) (*instance, error) {
	n := &numbers{text: text}
	in := &instance{}
	for i := n.count("number of resources", maxResources); i > 0 && n.err == nil; i-- {
		in.resources = append(in.resources, resource{n.next("transient", 1) == 1, n.value("load weight")})
	}
	kinds := len(in.resources)
	machines := n.count("number of machines", maxMachines)
	for len(in.machines) < machines && n.err == nil {
		in.machines = append(in.machines, machine{
			n.index("neighbourhood", machines), n.index("location", machines),
			n.row("capacity", kinds), n.row("safety capacity", kinds), n.row("move cost", machines),
		})
	}
	services := n.count("number of services", maxServices)
	for len(in.services) < services && n.err == nil {
		s := service{spread: int32(n.next("spread", int64(machines)))}
		for i := n.count("number of dependencies", services); i > 0 && n.err == nil; i-- {
			s.needs = append(s.needs, n.index("dependency", services))
		}
		in.services = append(in.services, s)
	}
	processes := n.count("number of processes", maxProcesses)
	for len(in.processes) < processes && n.err == nil {
		in.processes = append(in.processes, process{n.index("service", services), n.row("requirement", kinds), n.value("process move cost")})
	}
	for i := n.count("number of balances", maxBalances); i > 0 && n.err == nil; i-- {
		in.balances = append(in.balances, balance{int(n.index("resource", kinds)), int(n.index("resource", kinds)), n.value("target"), n.value("balance weight")})
	}
	in.processWeight, in.serviceWeight, in.machineWeight = n.value("weight"), n.value("weight"), n.value("weight")
	if n.end() == nil {
		n.err = in.bounded()
	}
	return in, n.err
}

// maxCost bounds what an assignment may cost, so that the engine's sums fit.
const maxCost = 1 << 60

// bounded refuses an instance whose worst assignment could cost too much.
func (in *instance) bounded() error {
	use := make([]float64, len(in.resources))
	var moves, dearest, cost float64
	for _, x := range in.processes {
		moves += float64(x.cost)
		for r, need := range x.need {
			use[r] += float64(need)
		}
	}
	for r, kind := range in.resources {
		cost += float64(kind.weight) * use[r]
	}
	for _, m := range in.machines {
		dearest = max(dearest, float64(slices.Max(m.moveCost)))
		for _, b := range in.balances {
			most := max(float64(m.capacity[b.r1]), use[b.r1])
			cost += float64(b.weight) * (float64(b.target)*most + use[b.r2] + float64(m.capacity[b.r2]))
		}
	}
	processes := float64(len(in.processes))
	cost += float64(in.processWeight)*moves + float64(in.serviceWeight)*processes + float64(in.machineWeight)*dearest*processes
	if cost > maxCost {
		return fmt.Errorf("an assignment could cost %.3g: at most %d fits, divide the weights", cost, int64(maxCost))
	}
	return nil
}

func parseAssignment(text []byte, processes, machines int) ([]int32, error) {
	n := &numbers{text: text}
	var place []int32
	for len(place) < processes && n.err == nil {
		place = append(place, n.index("machine", machines))
	}
	return place, n.end()
}
