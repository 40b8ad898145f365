package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// listening is one run of `evenkeel events`.
type listening struct {
	a        *app
	since    time.Duration
	last     int
	follow   bool
	severity string
	kinds    []string
}

func (a *app) events() *cobra.Command {
	l := &listening{a: a}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "What happened, and what happens now?",
		Long: `Lists what happened in the cluster, oldest first: members, leaders, decisions,
moves, modes, freezes. Every member tells the same, under the same ids. Without
--since it shows the newest that the member has at hand; with it, it goes back
through the member's journal. With --follow it goes on until interrupted, also
over a restart of the daemon and a change of leader: nothing is told twice, and
what the member no longer remembers is said on stderr.`,
		Example: `  evenkeel events
  evenkeel events --since 24h --severity warning
  evenkeel events --follow
  evenkeel events -f -o json | jq -r 'select(.kind == "move-failed") | .text'`,
		Args: noArgs,
	}
	cmd.Flags().DurationVar(&l.since, "since", 0, "back for so long a `TIME`, from this member's journal where need be")
	cmd.Flags().IntVar(&l.last, "limit", 50, "without --since: of the newest so many")
	cmd.Flags().BoolVarP(&l.follow, "follow", "f", false, "go on until interrupted; JSON comes one object a line")
	cmd.Flags().StringVar(&l.severity, "severity", string(cluster.SeverityInfo), "only so severe or more: info, warning, critical")
	cmd.Flags().StringSliceVar(&l.kinds, "kind", nil, "only these `KINDS`, such as move-failed,freeze-set")
	cmd.MarkFlagsMutuallyExclusive("since", "limit")
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error { return l.run(ctx) })
	return cmd
}

func (l *listening) request() (api.EventsRequest, error) {
	req := api.EventsRequest{Severity: cluster.Severity(l.severity), Last: l.last}
	for _, k := range l.kinds {
		req.Kinds = append(req.Kinds, cluster.EventKind(k))
	}
	switch {
	case !req.Severity.Valid():
		return req, usage{fmt.Errorf("--severity %q, must be info, warning or critical", l.severity)}
	case l.since < 0:
		return req, usage{fmt.Errorf("--since is %v, must be more than 0", l.since)}
	case l.follow && l.a.format == ui.YAML:
		return req, usage{errors.New("--follow prints lines; use --output table or json")}
	case l.since > 0:
		req.Last, req.SinceSeconds = 0, l.since.Seconds()
	}
	return req, nil
}

func (l *listening) run(ctx context.Context) error {
	req, err := l.request()
	if err != nil {
		return err
	}
	if l.follow {
		return l.listen(ctx, req)
	}
	whole, err := l.ask(ctx, req)
	if err != nil {
		return err
	}
	for page := whole; page.More; {
		req = next(req, page)
		if page, err = l.ask(ctx, req); err != nil {
			return err
		}
		whole.Head, whole.Through, whole.More = page.Head, page.Through, page.More
		whole.Missing = whole.Missing || page.Missing
		whole.Items = append(whole.Items, page.Items...)
	}
	l.remark(whole)
	ids := make([]string, len(whole.Items))
	for i, e := range whole.Items {
		ids[i] = e.ID
	}
	return l.a.print(whole, func(w *ui.Writer) { w.Table(eventColumns, eventRows(whole.Items)) }, ids)
}

// next asks for what comes after a page.
func next(req api.EventsRequest, page *api.EventPage) api.EventsRequest {
	req.After, req.SinceSeconds, req.Last = &page.Through, 0, 0
	return req
}

func (l *listening) ask(ctx context.Context, req api.EventsRequest) (*api.EventPage, error) {
	return ask(ctx, l.a, func(ctx context.Context, c *api.Client) (*api.EventPage, error) { return c.Events(ctx, req) })
}

// Pauses of a follower.
const (
	listenWait  = 5 * time.Second // for the next event, in one request
	listenPause = time.Second     // before it asks again when nobody answered
)

// listen prints events as they come. Once it was answered it outlasts a member
// that does not answer, and says so.
func (l *listening) listen(ctx context.Context, req api.EventsRequest) error {
	answered, lost := false, false
	for ctx.Err() == nil && !readerGone(l.a.stdout) {
		page, err := l.ask(ctx, req)
		var call *api.Error
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
		case answered && errors.As(err, &call) && call.Cause == api.CauseUnreachable:
			if !lost {
				l.a.note("%s; trying again", strings.TrimSuffix(err.Error(), "."))
			}
			lost = true
			rest(ctx, listenPause)
			continue
		default:
			return err
		}
		if lost {
			l.a.note("%s answers again", page.Member)
		}
		answered, lost = true, false
		l.remark(page)
		for _, e := range page.Items {
			if err := l.say(e); err != nil {
				return err
			}
		}
		req = next(req, page)
		req.WaitSeconds = min(listenWait, l.a.timeout/2).Seconds()
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// readerGone says whether stdout is a pipe that nobody reads any more. A write
// would end the command; one that waits for events should not wait for that.
func readerGone(out any) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0
}

func (l *listening) remark(page *api.EventPage) {
	if page.Missing {
		l.a.note("%s does not remember all events that were asked for", page.Member)
	}
	if !l.follow {
		l.a.notes(page.Head)
	}
}

func (l *listening) say(e api.Event) error {
	if l.a.format == ui.JSON {
		return ui.WriteLine(l.a.stdout, e)
	}
	return l.a.print(e, func(w *ui.Writer) {
		w.Line(strings.Join([]string{ui.Clock(e.At.Time), w.Paint(toneOfSeverity(e.Severity), fmt.Sprintf("%-8s", e.Severity)), string(e.Kind), ui.Clean(e.Text)}, "  "))
	}, []string{e.ID})
}

func toneOfSeverity(s cluster.Severity) ui.Tone {
	switch s {
	case cluster.SeverityCritical:
		return ui.Bad
	case cluster.SeverityWarning:
		return ui.Warn
	}
	return ui.Plain
}

var eventColumns = []ui.Column{
	{Title: "AT"},
	{Title: "SEVERITY"},
	{Title: "KIND"},
	{Title: "BY", Wide: true},
	{Title: "ID", Wide: true},
	{Title: "TERM", Right: true, Wide: true},
	{Title: "TEXT"},
}

func eventRows(items []api.Event) [][]ui.Cell {
	rows := make([][]ui.Cell, len(items))
	for i, e := range items {
		rows[i] = []ui.Cell{
			ui.Text(ui.Clock(e.At.Time)), ui.Toned(toneOfSeverity(e.Severity), string(e.Severity)), ui.Text(string(e.Kind)),
			ui.Text(e.By), ui.Text(e.ID), ui.Text(fmt.Sprint(e.Term)), ui.Text(e.Text),
		}
	}
	return rows
}
