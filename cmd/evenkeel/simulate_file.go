package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/sim"
)

// played is what came of a scenario.
type played struct {
	APIVersion string       `json:"api_version"`
	Kind       string       `json:"kind"`
	Scenario   string       `json:"scenario"`
	Seconds    float64      `json:"seconds"`
	Seed       uint64       `json:"seed"`
	Hosts      int          `json:"hosts"`
	VMs        int          `json:"vms"`
	Results    []sim.Result `json:"results"`
	Unmet      []string     `json:"unmet"` // expectations that do not hold

	outcomes []sim.Outcome
}

// maxScenario bounds a scenario's file, maxTraces a trace's.
const (
	maxScenario = 16 << 20
	maxTraces   = 256 << 20
)

// playFile plays a scenario under policies; none: those that its expectations
// name, else its own and off.
func (a *app) playFile(ctx context.Context, file string, policies []string, svg string) error {
	s, err := readScenario(file)
	if err != nil {
		return exits{exitConfig, err}
	}
	if len(policies) == 0 {
		policies = policiesOf(s)
	}
	if err := knownPolicies(policies); err != nil {
		return usage{err}
	}
	p := &played{
		APIVersion: api.Version, Kind: "PlayedScenario", Scenario: file, Seconds: s.For.Seconds(), Seed: s.Seed,
		Hosts: len(s.Hosts), VMs: len(s.VMs), Unmet: []string{},
	}
	for _, policy := range policies {
		if ctx.Err() != nil {
			return exits{exitFailed, errors.New("interrupted")}
		}
		o, err := sim.Run(s, policy)
		if err != nil {
			return err
		}
		p.outcomes, p.Results = append(p.outcomes, o), append(p.Results, o.Result())
	}
	p.Unmet = append(p.Unmet, sim.Unmet(s.Expect, p.outcomes)...)
	if svg != "" {
		if err := plot(svg, file, p.outcomes); err != nil {
			return err
		}
	}
	if err := a.print(p, func(w *ui.Writer) { writePlayedFile(w, p) }, policies); err != nil {
		return err
	}
	if len(p.Unmet) > 0 {
		return exits{exitBlocked, fmt.Errorf("%s: %d of what it expects does not hold", file, len(p.Unmet))}
	}
	return nil
}

func writePlayedFile(w *ui.Writer, p *played) {
	var text strings.Builder
	if err := sim.Compared(&text, p.outcomes); err != nil {
		w.Linef("%v", err)
	}
	w.Linef("%s: %d hosts, %d VMs, %v, seed %d", p.Scenario, p.Hosts, p.VMs, ui.Seconds(p.Seconds), p.Seed)
	w.Line("")
	for _, line := range strings.Split(strings.TrimRight(text.String(), "\n"), "\n") {
		w.Linef("%s", strings.TrimRight(line, " "))
	}
	for _, e := range p.Unmet {
		w.Linef("UNMET %s", e)
	}
}

// readScenario reads a scenario and the traces that it names, from where it
// lies.
func readScenario(file string) (sim.Scenario, error) {
	text, err := readBounded(os.DirFS(filepath.Dir(file)), filepath.Base(file), maxScenario)
	if err != nil {
		return sim.Scenario{}, err
	}
	s, err := sim.Parse(file, string(text))
	if err != nil {
		return sim.Scenario{}, err
	}
	return s.Load(func(folder string) (fs.FS, error) {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(filepath.Dir(file), folder)
		}
		info, err := os.Stat(folder)
		switch {
		case err != nil:
			return nil, err
		case !info.IsDir():
			return nil, fmt.Errorf("%s is no folder; name the one that has the traces", folder)
		}
		return bounded{os.DirFS(folder)}, nil
	})
}

// bounded is a folder of which no file is read beyond a bound.
type bounded struct{ fs.FS }

// ReadFile implements fs.ReadFileFS.
func (b bounded) ReadFile(name string) ([]byte, error) { return readBounded(b.FS, name, maxTraces) }

func readBounded(folder fs.FS, name string, most int64) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s: more than %d bytes, which is the most that is read", name, most)
	}
	return data, err
}

// policiesOf are the policies that a scenario speaks of.
func policiesOf(s sim.Scenario) []string {
	var out []string
	for _, e := range s.Expect {
		for _, p := range []string{e.Policy, e.Of} {
			if p != "" && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	if len(out) == 0 {
		out = []string{s.Settings.Policy, "off"}
	}
	return slices.Compact(out)
}

func knownPolicies(policies []string) error {
	known := slices.Concat(cluster.Policies, []string{"off"}, sim.Peers)
	for i, p := range policies {
		switch {
		case !slices.Contains(known, p):
			return fmt.Errorf("policy %.40q; it is one of %s", p, strings.Join(known, ", "))
		case slices.Contains(policies[:i], p):
			return fmt.Errorf("policy %s is given twice", p)
		}
	}
	return nil
}

func plot(file, title string, outcomes []sim.Outcome) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return sim.Plot(f, title, outcomes)
}
