package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Parse reads a scenario: one thing a line, `#` begins a comment.
//
//	for 10m
//	seed 1
//	set profile=fast cooldown=1m
//	host hv1 cpus=2 mem=16GiB link=1GiB/s overhead=0.1
//	vm web1 on=hv1 vcpus=1 cpu=1 mem=1GiB dirty=40MiB/s burst=2s shares=200
//	at 2m vm web1 cpu=0.2
//	at 3m silent hv2 for=1m
//	at 4m slow hv1 link=20MiB/s
//	failures 2%                            # of migrations break off
//
// Weeks of large fleets are played in a coarser grain:
//
//	tick 1s
//	generate hosts=20 vms=300 load=75%
//	traces planetlab path=../traces/planetlab hosts=20 vms=300 load=75%
//	overlay backups at=1h every=24h for=20m spread=2h vms=50% cpu=60%
//
// and may say what must come of a policy, see [Expect]:
//
//	expect: demand pingpong at-most 0
//	expect: demand steal at-most 0.5 of off
//
// An error names the scenario, the line and what would be right.
func Parse(name, text string) (Scenario, error) {
	s := Scenario{Name: name, For: 10 * time.Minute, Seed: 1, Settings: cluster.DefaultSettings()}
	for i, raw := range strings.Split(text, "\n") {
		content, _, _ := strings.Cut(raw, "#")
		if strings.TrimSpace(content) == "" {
			continue
		}
		if err := s.line(newWords(content)); err != nil {
			return Scenario{}, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	slices.SortStableFunc(s.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	if len(s.Fleets) > 0 {
		return s, nil // it is checked when it is loaded
	}
	if err := s.check(); err != nil {
		return Scenario{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// words is a line: plain words, then key=value.
type words struct {
	plain []string
	args  map[string]string
	err   error
}

func newWords(line string) *words {
	w := &words{args: map[string]string{}}
	for _, field := range strings.Fields(line) {
		key, value, pair := strings.Cut(field, "=")
		switch _, twice := w.args[key]; {
		case !pair && len(w.args) == 0:
			w.plain = append(w.plain, field)
		case !pair:
			w.fail("%q stands behind a key=value", field)
		case twice:
			w.fail("%s is given twice", key)
		default:
			w.args[key] = value
		}
	}
	return w
}

func (w *words) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// next takes the next plain word.
func (w *words) next(what string) string {
	if len(w.plain) == 0 {
		w.fail("%s is missing", what)
		return ""
	}
	word := w.plain[0]
	w.plain = w.plain[1:]
	return word
}

func (w *words) has(key string) bool {
	_, ok := w.args[key]
	return ok
}

func (w *words) take(key string) (string, bool) {
	v, ok := w.args[key]
	delete(w.args, key)
	return v, ok
}

// read takes a key's value, if it is there, and lets a reader make something of it.
func read[T any](w *words, key string, into *T, reader func(string) (T, error)) {
	text, ok := w.take(key)
	if !ok {
		return
	}
	v, err := reader(text)
	if err != nil {
		w.fail("%s=%s: %v", key, text, err)
		return
	}
	*into = v
}

// end asks that nothing is left over.
func (w *words) end() error {
	for _, word := range w.plain {
		w.fail("%q is one word too many", word)
	}
	keys := make([]string, 0, len(w.args))
	for key := range w.args {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		w.fail("%s is not known here", key)
	}
	return w.err
}

func (s *Scenario) line(w *words) error {
	switch verb := w.next("a verb"); verb {
	case "for":
		s.For = duration(w, "how long the scenario lasts")
	case "seed":
		n, err := strconv.ParseUint(w.next("a number"), 10, 64)
		if err != nil {
			w.fail("seed: %v", err)
		}
		s.Seed = n
	case "set":
		s.settings(w)
	case "host":
		s.Hosts = append(s.Hosts, host(w))
	case "vm":
		v := VM{Name: w.next("the VM's name"), VCPUs: 1, Memory: cluster.GiB}
		read(w, "on", &v.On, text)
		read(w, "vcpus", &v.VCPUs, strconv.Atoi)
		read(w, "mem", &v.Memory, size)
		read(w, "dirty", &v.Dirty, rate)
		read(w, "shares", &v.Shares, shares)
		work(w, &v.Work)
		s.VMs = append(s.VMs, v)
	case "tick":
		s.Tick = duration(w, "how long a tick is")
	case "failures":
		share, err := ratio(w.next("a share such as 2%"))
		if err != nil {
			w.fail("failures: %v", err)
		}
		s.Failures = share
	case "generate":
		s.Fleets = append(s.Fleets, fleet(w, "synthetic"))
	case "traces":
		s.Fleets = append(s.Fleets, fleet(w, w.next("planetlab or bitbrains")))
	case "overlay":
		s.Overlays = append(s.Overlays, overlay(w))
	case "expect:":
		s.Expect = append(s.Expect, expect(w))
	case "at":
		s.Events = append(s.Events, event(w))
	default:
		w.fail("%q is none of for, seed, tick, set, host, vm, generate, traces, overlay, failures, at, expect:", verb)
	}
	return w.end()
}

func host(w *words) Host {
	h := Host{Name: w.next("the host's name"), CPUs: 1000, Memory: 64 * cluster.GiB, Link: cluster.BytesPerSecond(110 * cluster.MiB)}
	read(w, "cpus", &h.CPUs, milli)
	read(w, "mem", &h.Memory, size)
	read(w, "overhead", &h.Overhead, milli)
	read(w, "link", &h.Link, rate)
	return h
}

func fleet(w *words, kind string) Fleet {
	f := Fleet{Kind: kind, Load: cluster.Percent(75), Filled: cluster.Percent(60), Link: cluster.BytesPerSecond(cluster.GiB)}
	read(w, "path", &f.Path, text)
	read(w, "hosts", &f.Hosts, strconv.Atoi)
	read(w, "vms", &f.VMs, strconv.Atoi)
	read(w, "load", &f.Load, ratio)
	read(w, "filled", &f.Filled, ratio)
	read(w, "link", &f.Link, rate)
	if err := f.check(); err != nil {
		w.fail("%v", err)
	}
	return f
}

func overlay(w *words) Overlay {
	o := Overlay{Name: w.next("the overlay's name"), VMs: cluster.Whole, CPU: cluster.Whole}
	read(w, "at", &o.At, time.ParseDuration)
	read(w, "every", &o.Every, time.ParseDuration)
	read(w, "for", &o.For, time.ParseDuration)
	read(w, "spread", &o.Spread, time.ParseDuration)
	read(w, "vms", &o.VMs, ratio)
	read(w, "cpu", &o.CPU, ratio)
	return o
}

func event(w *words) Event {
	e := Event{At: duration(w, "the time")}
	switch what := w.next("vm, silent or slow"); what {
	case "vm":
		e.VM = w.next("the VM's name")
		if !w.has("cpu") {
			w.fail("cpu is missing: what does %s have to do from then on?", e.VM)
		}
		work(w, &e.Work)
	case "silent":
		e.Silent = w.next("the host's name")
		if !w.has("for") {
			w.fail("for is missing: how long is %s silent?", e.Silent)
		}
		read(w, "for", &e.For, time.ParseDuration)
	case "slow":
		e.Slow = w.next("the host's name")
		if !w.has("link") {
			w.fail("link is missing: how fast is that of %s from then on?", e.Slow)
		}
		read(w, "link", &e.Link, rate)
	default:
		w.fail("%q is none of vm, silent, slow", what)
	}
	return e
}

func work(w *words, into *Work) {
	read(w, "cpu", &into.CPU, milli)
	read(w, "burst", &into.Burst, time.ParseDuration)
}

func (s *Scenario) settings(w *words) {
	set := &s.Settings
	read(w, "policy", &set.Policy, text)
	read(w, "profile", &set.Profile, func(v string) (cluster.Profile, error) { return cluster.Profile(v), nil })
	read(w, "enter", &set.Enter, ratio)
	read(w, "exit", &set.Exit, ratio)
	read(w, "min_gain", &set.MinGain, ratio)
	read(w, "cooldown", &set.Cooldown, time.ParseDuration)
	read(w, "per_host", &set.PerHost, strconv.Atoi)
	read(w, "per_cluster", &set.PerCluster, strconv.Atoi)
	read(w, "per_hour", &set.PerHour, strconv.Atoi)
	read(w, "per_day", &set.PerDay, strconv.Atoi)
	read(w, "bandwidth", &set.Bandwidth, rate)
	read(w, "move_budget", &set.MoveBudget, time.ParseDuration)
	read(w, "evidence_within", &set.EvidenceWithin, time.ParseDuration)
	read(w, "warm_up", &set.WarmUp, time.ParseDuration)
	read(w, "memory_ratio", &set.MemoryRatio, ratio)
	read(w, "largest_vm", &set.LargestVM, size)
	read(w, "longest_move", &set.LongestMove, time.ParseDuration)
}

func text(v string) (string, error) { return v, nil }

func duration(w *words, what string) time.Duration {
	word := w.next(what)
	d, err := time.ParseDuration(word)
	if err != nil {
		w.fail("%s is no duration such as 90s or 10m", word)
	}
	return d
}

// milli reads CPUs: 0.2, 16.
func milli(v string) (cluster.MilliCPU, error) {
	n, err := decimal(v, 1<<14)
	return cluster.MilliCPU(n*1000 + 0.5), err
}

// ratio reads a share: 12.5%.
func ratio(v string) (cluster.Ratio, error) {
	digits, ok := strings.CutSuffix(v, "%")
	if !ok {
		return 0, fmt.Errorf("a share ends in %%, such as 10%%")
	}
	n, err := decimal(digits, 1000)
	return cluster.Ratio(n*10_000 + 0.5), err
}

// size reads memory: 512MiB, 1.5GiB.
func size(v string) (cluster.Bytes, error) {
	for suffix, unit := range map[string]cluster.Bytes{"MiB": cluster.MiB, "GiB": cluster.GiB} {
		if digits, ok := strings.CutSuffix(v, suffix); ok {
			n, err := decimal(digits, 1<<20)
			return cluster.Bytes(n * float64(unit)), err
		}
	}
	return 0, fmt.Errorf("a size ends in MiB or GiB, such as 512MiB")
}

// rate reads data per time: 110MiB/s.
func rate(v string) (cluster.BytesPerSecond, error) {
	bytes, ok := strings.CutSuffix(v, "/s")
	if !ok {
		return 0, fmt.Errorf("a rate ends in /s, such as 110MiB/s")
	}
	n, err := size(bytes)
	return cluster.BytesPerSecond(n), err
}

// shares reads CPU shares in hundredths of the usual: 200.
func shares(v string) (cluster.Shares, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 || n > int64(cluster.MaxShares) {
		return 0, fmt.Errorf("%.20q are no shares from 1 to %d, where 100 are the usual ones", v, cluster.MaxShares)
	}
	return cluster.Shares(n), nil
}

// decimal reads a plain number from 0 to a limit.
func decimal(v string, limit float64) (float64, error) {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || n != n || n < 0 || n > limit {
		return 0, fmt.Errorf("%.20q is no number from 0 to %g", v, limit)
	}
	return n, nil
}
