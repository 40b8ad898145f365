package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/sim"
)

// startRecorded starts a server whose journal holds a simulated fleet's past:
//
//	recorded SCENARIO [gap=FROM,TO] [damage=middle|end] [empty]
//
// SOCK is its socket. It is asked at the end of the scenario. With a gap the
// entries between two times are missing; with damage a file in the middle or at the
// end of the journal has a wrong byte.
func startRecorded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: recorded SCENARIO [gap=FROM,TO] [damage=middle|end] [empty]")
	}
	s, err := sim.Parse(args[0], ts.ReadFile(args[0]))
	ts.Check(err)
	var past []sim.Applied
	_, err = sim.Record(s, "", func(a sim.Applied) { past = append(past, a) })
	ts.Check(err)
	start := past[0].Command.At
	dir, err := os.MkdirTemp("", "ek") // a socket's path has at most 107 bytes
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	kept, damage := past, ""
	for _, arg := range args[1:] {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "gap":
			from, to, _ := strings.Cut(value, ",")
			kept = without(kept, start.Add(duration(ts, from)), start.Add(duration(ts, to)))
		case "damage":
			damage = value
		case "empty":
			kept = nil
		default:
			ts.Fatalf("no such word: %s", arg)
		}
	}
	j := keepPast(ts, filepath.Join(dir, "history"), kept, damage)
	serveRecord(ts, filepath.Join(dir, "s"), j, past[len(past)-1])
}

func duration(ts *testscript.TestScript, text string) time.Duration {
	d, err := time.ParseDuration(text)
	ts.Check(err)
	return d
}

func without(past []sim.Applied, from, to cluster.Time) []sim.Applied {
	var out []sim.Applied
	for _, a := range past {
		if a.Command.At < from || a.Command.At > to {
			out = append(out, a)
		}
	}
	return out
}

// keepPast writes a journal as a member does, of many small files.
func keepPast(ts *testscript.TestScript, dir string, past []sim.Applied, damage string) *journal.Journal {
	j := openJournal(ts, dir)
	for _, a := range past {
		data, err := cluster.EncodeCommand(a.Command)
		ts.Check(err)
		after, _ := a.Before.Apply(a.Meta, a.Command)
		j.Record(journal.Entry{
			Mark:   journal.Mark{Index: a.Meta.Index, Term: a.Meta.Term, At: a.Command.At},
			Before: a.Before.Index, BeforeTerm: a.Before.Term, Refused: a.Refused, Data: data,
		}, after)
		for deadline := time.Now().Add(patience); j.Span().Last.Index+500 < a.Meta.Index && len(past) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				ts.Fatalf("the journal does not get on: %+v", j.Span())
			}
		}
	}
	ts.Check(j.Close()) // all of it is written
	if damage != "" {
		files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
		ts.Check(err)
		middle := files[len(files)/2]
		if damage == "end" {
			middle = files[len(files)-1]
		}
		data, err := os.ReadFile(middle)
		ts.Check(err)
		data[len(data)*2/3] ^= 1
		ts.Check(os.WriteFile(middle, data, 0o600))
	}
	j = openJournal(ts, dir)
	ts.Defer(func() { ts.Check(j.Close()) })
	return j
}

func openJournal(ts *testscript.TestScript, dir string) *journal.Journal {
	cfg := journal.Config{Dir: dir, Cluster: "recorded", Bytes: 512 << 10, Reserve: 1, Logger: slog.New(slog.DiscardHandler)}
	j, err := journal.Open(cfg)
	// A process that another script starts holds the lock until it has its own program.
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); j, err = journal.Open(cfg) {
		time.Sleep(10 * time.Millisecond)
	}
	ts.Check(err)
	return j
}

// serveRecord serves the API at a socket.
func serveRecord(ts *testscript.TestScript, socket string, j *journal.Journal, last sim.Applied) {
	after, _ := last.Before.Apply(last.Meta, last.Command)
	server, err := api.Listen(api.Config{
		Replica: past{after}, Journal: j, Name: "hv2", Now: after.Now.Std, Socket: socket, Logger: slog.New(slog.DiscardHandler),
	})
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	ts.Defer(func() {
		stop()
		ts.Check(<-done)
	})
	ts.Setenv("SOCK", socket)
}

// past is a replica that holds one State.
type past struct{ state cluster.State }

func (p past) State() (cluster.State, uint64)            { return p.state, p.state.Index }
func (p past) ReadIndex(context.Context) (uint64, error) { return p.state.Index, nil }
func (p past) Health() consensus.Health                  { return consensus.Health{Part: "leader"} }

func (p past) Propose(context.Context, cluster.Command) (uint64, error) {
	return 0, consensus.ErrNotLeader
}
