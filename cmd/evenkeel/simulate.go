package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/whatif"
)

func (a *app) simulate() *cobra.Command {
	var last time.Duration
	var mode string
	var set, policies []string
	var svg string
	cmd := &cobra.Command{
		Use:   "simulate FILE | --last TIME",
		Short: "What would have come of other settings?",
		Long: `Plays the past again, from the journal of the member that is asked: the leader's
own code decides at each moment, under the settings of then and under others,
beside what really happened. It changes nothing, and computes on this machine.

What was measured stays as it was where a host has the VMs that it really had.
Elsewhere figures are estimates: VMs ask for the CPU that they were measured to
ask for, and share their host evenly. Columns with estimates are marked ~, and
the same model is shown beside what was measured, to judge it by.

With a FILE it plays a scenario instead: a fleet that is written down, made, or
made of traces, under several policies side by side; docs/simulation.md says how
one is written. It ends with 3 if something that the scenario expects of a
policy does not hold. No daemon is asked.`,
		Example: `  evenkeel simulate --last 24h
  evenkeel simulate --last 24h --mode auto
  evenkeel simulate --last 6h --set profile=fast --set enter=15%
  evenkeel simulate --last 168h --set policy=half-difference --json | jq '.columns'
  evenkeel simulate week.txt --policy demand --policy off --svg week.svg`,
		Args: atMostOne("scenario"),
	}
	cmd.Flags().DurationVar(&last, "last", 0, "how far back, a `TIME` such as 24h")
	cmd.Flags().StringVar(&mode, "mode", "", "`MODE` instead of that of then: off, recommend, auto")
	cmd.Flags().StringArrayVar(&set, "set", nil, "`KEY=VALUE` as for policy set; may be repeated")
	cmd.Flags().StringArrayVar(&policies, "policy", nil, "play a scenario under a `POLICY`; may be repeated")
	cmd.Flags().StringVar(&svg, "svg", "", "plot a scenario's runs to a `FILE`")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		switch {
		case len(args) > 0 && (last != 0 || mode != "" || len(set) > 0):
			return usage{errors.New("--last, --mode and --set are for the past; a scenario has its own settings")}
		case len(args) > 0:
			return a.playFile(ctx, args[0], policies, svg)
		case len(policies) > 0 || svg != "":
			return usage{errors.New("--policy and --svg are for scenarios: name a FILE; for the past there is --set policy=NAME")}
		case last <= 0:
			return usage{errors.New("how far back? say --last TIME, such as --last 24h")}
		}
		lane, err := laneOf(mode, set)
		if err != nil {
			return err
		}
		s, err := a.playPast(ctx, last, lane)
		if err != nil {
			return err
		}
		return a.print(s, func(w *ui.Writer) { writeSimulation(w, s) }, movesOf(s))
	})
	return cmd
}

// laneOf is the lane that flags ask for, nil if they ask for none.
func laneOf(mode string, set []string) (*whatif.Lane, error) {
	switch cluster.Mode(mode) {
	case "", cluster.ModeOff, cluster.ModeRecommend, cluster.ModeAuto:
	default:
		return nil, usage{fmt.Errorf("mode %.40q; it is one of off, recommend, auto", mode)}
	}
	changes, err := assignments(set)
	if err != nil || mode == "" && len(changes) == 0 {
		return nil, err
	}
	if _, err := api.Turn(cluster.DefaultSettings(), changes); err != nil {
		return nil, usage{err}
	}
	return &whatif.Lane{
		Name: "what-if", Mode: cluster.Mode(mode),
		Change: func(then cluster.Settings) (cluster.Settings, error) { return api.Turn(then, changes) },
	}, nil
}

// assignments reads KEY=VALUE words, each key once.
func assignments(words []string) (map[string]string, error) {
	out := map[string]string{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if _, twice := out[key]; !ok || twice {
			return nil, usage{fmt.Errorf("%.80q is not KEY=VALUE, or its key is given twice", word)}
		}
		out[key] = value
	}
	return out, nil
}

// playPast reads the record of the daemon that is asked, and plays it as it
// comes.
func (a *app) playPast(ctx context.Context, last time.Duration, lane *whatif.Lane) (*api.Simulation, error) {
	client, err := a.dial()
	if err != nil {
		return nil, err
	}
	lanes := []whatif.Lane{{Name: "then"}}
	if lane != nil {
		lanes = append(lanes, *lane)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &player{lanes: lanes, progress: newProgress(a.stderr, a.format.Data()), patience: a.timeout}
	p.silence = time.AfterFunc(a.timeout, func() { cancel(errSilence) })
	defer p.silence.Stop()
	err = client.Record(ctx, last, p)
	p.progress.end()
	switch {
	case err == nil && p.run != nil && p.played:
		return p.simulation(), nil
	case err == nil:
		return nil, exits{exitBlocked, fmt.Errorf("%s remembers nothing of the last %v: its record ends at %s", p.span.Member, last, ui.Clock(p.span.Last.Time))}
	case errors.Is(context.Cause(ctx), errSilence):
		return nil, exits{exitUnreachable, fmt.Errorf("%s: nothing came for %v; give --timeout more", client.Where(), a.timeout)}
	case ctx.Err() != nil:
		return nil, exits{exitFailed, errors.New("interrupted")}
	case cluster.RefusalOf(err) != nil: // a State does not take the settings
		return nil, usage{err}
	}
	return nil, err
}

var errSilence = errors.New("nothing came in time")

// player plays a record as it is read.
type player struct {
	lanes    []whatif.Lane
	progress *progress
	patience time.Duration // for the next piece
	silence  *time.Timer

	span   api.RecordSpan
	gaps   []api.RecordGap
	run    *whatif.Run
	played bool
}

// Span implements api.RecordReader.
func (p *player) Span(s api.RecordSpan) {
	p.silence.Reset(p.patience)
	if p.run == nil {
		p.span = s
	}
}

// Gap implements api.RecordReader.
func (p *player) Gap(g api.RecordGap) { p.gaps = append(p.gaps, g) }

// State implements api.RecordReader.
func (p *player) State(s cluster.State) (err error) {
	p.silence.Reset(p.patience)
	if p.run == nil {
		if p.run, err = whatif.New(whatif.Config{From: cluster.TimeOf(p.span.From.Time), Lanes: p.lanes}); err != nil {
			return err
		}
	}
	return p.run.Begin(s)
}

// Entry implements api.RecordReader.
func (p *player) Entry(e api.RecordedEntry, c cluster.Command) error {
	p.silence.Reset(p.patience)
	if p.run == nil {
		return fmt.Errorf("entry %d of the record comes before a State", e.Index)
	}
	p.played = true
	p.progress.at(c.At.Std(), p.span.From.Time, p.span.Last.Time)
	return p.run.Entry(whatif.Entry{Meta: cluster.Meta{Index: e.Index, Term: e.Term}, Before: e.Before, Refused: e.Refused, Command: c})
}

func (p *player) simulation() *api.Simulation { return api.Simulated(p.run.Report(), p.span, p.gaps) }
