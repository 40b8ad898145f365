package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
)

func newDemo(opts *lab.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch starved VMs move by themselves, and judge the outcome",
		Long: `Build the demo's lab, let evenkeel balance it, and judge the outcome from the
outside: by the kernel's schedstat and the guests' own heartbeats. The exit code
is 0 only if two guests end on each host, each by an automatic move that ended
well, with the worst steal down from at least 70 % to at most 60 %, no guest
restarted or silent for 3 s, and each doing more work per second than before.`,
		Args: exactArgs(0, "(no arguments)"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			l, err := bringUp(cmd, "demo", *opts)
			if err != nil {
				return err
			}
			// Ctrl-C has ended the context; the way down needs one.
			defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(cmd.Context()))) }()
			return newShow(cmd.OutOrStdout(), l).run(cmd.Context())
		},
	}
	buildFlags(cmd, opts)
	return cmd
}

// show is the demo while it runs.
type show struct {
	drill *drill.Drill
	pulse *drill.Pulse
	out   io.Writer
	begin time.Time
	from  time.Time // when the heartbeats that are judged began

	before, after         map[string]float64 // steal by guest
	workBefore, workAfter map[string]float64 // units per second by guest
}

func newShow(out io.Writer, l *lab.Lab) *show {
	return &show{drill: &drill.Drill{Lab: l}, out: out, begin: time.Now()}
}

// The figures that the demo is judged by.
const (
	demoWindow   = 10 * time.Second
	demoWindows  = 4    // to find a quiet one after the moves
	demoMinimum  = 0.70 // worst steal before
	demoMaximum  = 0.60 // worst steal after
	demoGap      = 3 * time.Second
	demoPatience = 100 * time.Second
)

func (s *show) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%5.1f s  %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
}

func (s *show) run(ctx context.Context) error {
	s.say("four guests that want a CPU each share the one CPU of hv1; hv2 is idle. evenkeel only recommends.")
	s.pulse = s.drill.Listen()
	var err error
	if err = pause(ctx, 2*time.Second); err == nil {
		s.from = time.Now()
		s.before, s.workBefore, err = s.measure(ctx)
	}
	if err == nil {
		err = s.balance(ctx)
	}
	if err == nil {
		s.say("two guests on each host; measuring again")
		err = s.relief(ctx)
	}
	if err == nil {
		err = s.verified(ctx)
	}
	err = errors.Join(err, s.pulse.Stop())
	if err != nil {
		return err
	}
	return s.judge(ctx)
}

// measure takes every guest's steal and finished work over a window.
func (s *show) measure(ctx context.Context) (steal, work map[string]float64, err error) {
	began := time.Now()
	meter := s.drill.NewMeter()
	if err := pause(ctx, demoWindow); err != nil {
		return nil, nil, err
	}
	steal, work = meter.Steal(), map[string]float64{}
	for _, g := range s.drill.Lab.Guests() {
		work[g.Name] = s.pulse.Since(g.Name, began).WorkPerSecond()
	}
	s.say("%s", s.picture(steal))
	return steal, work, nil
}

// relief measures again, a few times if something else on the machine takes
// the CPUs meanwhile: one quiet window shows what the moves achieved.
func (s *show) relief(ctx context.Context) (err error) {
	for range demoWindows {
		s.after, s.workAfter, err = s.measure(ctx)
		if err != nil || drill.Worst(s.after) <= demoMaximum {
			return err
		}
	}
	return nil
}

// balance lets evenkeel move VMs and tells what it does.
func (s *show) balance(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	if err := s.drill.Mode(ctx, "auto"); err != nil {
		return err
	}
	s.say("$ evenkeel mode auto")
	story := newStory(s.say)
	meter, looked := s.drill.NewMeter(), time.Now()
	return drill.Until(ctx, "two guests on each host, all moves done", func() (bool, error) {
		moves, err := s.drill.Moves(ctx)
		if err != nil {
			return false, err
		}
		story.tell(moves)
		s.drill.Lab.FavourGuests()
		if time.Since(looked) > 5*time.Second {
			s.say("%s", s.picture(meter.Steal()))
			looked = time.Now()
		}
		return s.balanced() && settled(moves), nil
	})
}

// verified waits a little for evenkeel's own judgement of its moves.
func (s *show) verified(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	return drill.Until(ctx, "the moves to be verified", func() (bool, error) {
		moves, err := s.drill.Moves(ctx)
		for _, m := range moves {
			if m.Verdict == "" {
				return false, err
			}
		}
		return err == nil, err
	})
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
