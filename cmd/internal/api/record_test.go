package api_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// listener keeps what it is told of a record.
type listener struct {
	spans   []api.RecordSpan
	gaps    []api.RecordGap
	states  []cluster.State
	indexes []uint64
	text    strings.Builder
	stop    error // what to answer to an entry
}

func (l *listener) Span(s api.RecordSpan) { l.spans = append(l.spans, s) }
func (l *listener) Gap(g api.RecordGap)   { l.gaps = append(l.gaps, g) }

func (l *listener) State(s cluster.State) error {
	l.states = append(l.states, s)
	return s.Encode(&l.text)
}

func (l *listener) Entry(e api.RecordedEntry, _ cluster.Command) error {
	l.indexes = append(l.indexes, e.Index)
	l.text.Write(e.Data)
	return l.stop
}

// The record begins with the State before its first entry, follows from there
// without a hole, and ends where the journal does.
func TestRecord(t *testing.T) {
	j, s := remembered(t, 1300, nil)
	c := askJournal(t, j, s)
	for _, since := range []time.Duration{time.Hour, 5 * time.Minute} {
		var l listener
		if err := c.Record(t.Context(), since, &l); err != nil {
			t.Fatal(err)
		}
		if len(l.spans) != 1 || l.spans[0].Member != "hv2" || len(l.gaps) != 0 || len(l.states) != 1 {
			t.Fatalf("%+v, gaps %+v, %d States", l.spans, l.gaps, len(l.states))
		}
		for i, index := range l.indexes {
			if index != l.states[0].Index+1+uint64(i) {
				t.Fatalf("entry %d is the %d-th after the State of %d", index, i+1, l.states[0].Index)
			}
		}
		if last := l.indexes[len(l.indexes)-1]; last != s.Index {
			t.Errorf("it ends at %d, the journal at %d", last, s.Index)
		}
		if since == 5*time.Minute && (len(l.indexes) < 295 || len(l.indexes) > 305) {
			t.Errorf("%d entries of the last %v, one a second", len(l.indexes), since)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	j, s := remembered(t, 3, nil)
	c := askJournal(t, j, s)
	if err := c.Record(t.Context(), -time.Second, &listener{}); err == nil || !strings.Contains(err.Error(), "since_seconds is -1") {
		t.Errorf("%v", err)
	}
	enough := errors.New("enough")
	if err := c.Record(t.Context(), time.Hour, &listener{stop: enough}); !errors.Is(err, enough) {
		t.Errorf("the reader had enough: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Record(ctx, time.Hour, &listener{}); err == nil {
		t.Error("it was cancelled")
	}
}

// The hash of a token is a secret of those who may read the whole State.
func TestRecordWithoutSecrets(t *testing.T) {
	j, s := remembered(t, 3, nil)
	hash := strings.Repeat("0123456789abcdef", 4)
	token := cluster.Token{ID: cluster.TokenID(hash), Hash: hash, Name: "hv9", Role: cluster.RoleHypervisor, Expires: s.Now.Add(time.Hour)}
	add := func(body cluster.Body) {
		c := cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid:0", Name: "root"}, At: s.Now.Add(time.Second), Body: body}
		data, err := cluster.EncodeCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		before := s
		if s, err = before.Apply(cluster.Meta{Index: before.Index + 1, Term: before.Term}, c); err != nil {
			t.Fatal(err)
		}
		j.Record(journal.Entry{Mark: journal.Mark{Index: s.Index, Term: s.Term, At: c.At}, Before: before.Index, BeforeTerm: before.Term, Data: data}, s)
	}
	add(cluster.AddToken{Token: token})
	for range 20 {
		add(cluster.Resume{})
	}
	caughtUp(t, j, s)
	c := askJournal(t, j, s)
	for _, since := range []time.Duration{time.Hour, 5 * time.Second} { // in an entry, and in the State
		var l listener
		if err := c.Record(t.Context(), since, &l); err != nil {
			t.Fatal(err)
		}
		if text := l.text.String(); strings.Contains(text, hash[:20]) || !strings.Contains(text, token.ID) {
			t.Errorf("of the last %v the hash is told, or the token is not", since)
		}
		final := l.states[0]
		if tokens := final.Tokens; since == 5*time.Second && (len(tokens) != 1 || !slices.ContainsFunc(tokens, func(t cluster.Token) bool { return t.ID == token.ID })) {
			t.Errorf("%+v", tokens)
		}
	}
	if kept, _ := s.Token(token.ID); kept.Hash != hash {
		t.Error("the State itself has lost it")
	}
}

// Who reads too slowly is cut off, and goes on where he was.
func TestRecordGoesOnAfterACut(t *testing.T) {
	j, s := remembered(t, 1300, nil)
	var whole, cut listener
	c := askJournal(t, j, s)
	if err := c.Record(t.Context(), time.Hour, &whole); err != nil {
		t.Fatal(err)
	}
	through := cutting(t, c.Where(), 500<<10)
	slow, err := api.Dial(api.Target{Socket: through})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := slow.Record(t.Context(), time.Hour, &cut); err != nil {
		t.Fatal(err)
	}
	if len(cut.spans) != 2 || len(cut.states) != 1 || !slices.Equal(cut.indexes, whole.indexes) {
		t.Errorf("%d answers, %d States, %d entries of %d", len(cut.spans), len(cut.states), len(cut.indexes), len(whole.indexes))
	}
}

// cutting is a socket that leads to another one; the first connection is cut
// after so many bytes of the answer.
func cutting(t *testing.T, socket string, after int64) string {
	t.Helper()
	l, err := net.Listen("unix", socket+".cut")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for limit := after; ; limit = math.MaxInt64 {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", socket)
			if err != nil {
				t.Error(err)
				from.Close()
				return
			}
			wg.Go(func() { _, _ = io.Copy(to, from); to.Close() }) // ends with either connection
			wg.Go(func() { _, _ = io.CopyN(from, to, limit); from.Close(); to.Close() })
		}
	})
	return l.Addr().String()
}
