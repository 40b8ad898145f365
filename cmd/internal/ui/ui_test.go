package ui

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

var columns = []Column{{Title: "NAME"}, {Title: "STEAL", Right: true}, {Title: "ID", Wide: true}, {Title: "MESSAGE"}}

var rows = [][]Cell{
	{Text("db-01"), Toned(Bad, "54.0 %"), Text("1"), Text("")},
	{Text("größer"), Text(""), Text("2"), Text("a\nb\x1b[2J")},
}

func printed(t *testing.T, p Printer) string {
	t.Helper()
	var b bytes.Buffer
	p.Out = &b
	if err := p.Print(map[string]any{"b": 1, "a": "x: y"}, func(w *Writer) { w.Table(columns, rows) }, []string{"db-01"}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFormats(t *testing.T) {
	for name, c := range map[string]struct {
		p    Printer
		want string
	}{
		"table": {Printer{Format: Table}, "NAME     STEAL  MESSAGE\ndb-01   54.0 %\ngrößer       -  a b?[2J\n"},
		"wide":  {Printer{Format: Wide}, "NAME     STEAL  ID  MESSAGE\ndb-01   54.0 %  1\ngrößer       -  2   a b?[2J\n"},
		"name":  {Printer{Format: Name}, "db-01\n"},
		"json":  {Printer{Format: JSON}, "{\n  \"a\": \"x: y\",\n  \"b\": 1\n}\n"},
		"yaml":  {Printer{Format: YAML}, "a: 'x: y'\nb: 1\n"},
		"colour": {
			Printer{Format: Table, Colour: true},
			"\x1b[1mNAME\x1b[0m     \x1b[1mSTEAL\x1b[0m  \x1b[1mMESSAGE\x1b[0m\ndb-01   \x1b[31m54.0 %\x1b[0m\ngrößer       -  a b?[2J\n",
		},
	} {
		if got := printed(t, c.p); got != c.want {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, c.want)
		}
	}
}

// What comes from outside cannot command the terminal, in a table or a line.
func TestNoControlCharacterPasses(t *testing.T) {
	const evil = "vm\x1b]0;owned\x07\r\n\u202e\x9b2J\x00"
	var b bytes.Buffer
	p := Printer{Out: &b, Format: Table, Colour: true}
	err := p.Print(nil, func(w *Writer) {
		w.Table([]Column{{Title: "N"}}, [][]Cell{{Toned(Bad, evil)}})
		w.Linef("%s", evil)
		w.Field(4, "name", w.Paint(Good, evil))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := b.String()
	for _, ours := range codes {
		left = strings.ReplaceAll(left, "\x1b["+ours+"m", "")
	}
	left = strings.ReplaceAll(left, "\x1b[0m", "")
	if i := strings.IndexAny(left, "\x1b\x07\r\x00\u202e\u009b"); i >= 0 {
		t.Errorf("%q passes", left[i:])
	}
	if n := strings.Count(left, "\n"); n != 4 {
		t.Errorf("%d lines, want 4: %q", n, left)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestWriteErrors(t *testing.T) {
	text := func(w *Writer) { w.Line("x"); w.Line("y") }
	for _, f := range []Format{Table, JSON, YAML, Name} {
		if err := (Printer{Out: brokenPipe{}, Format: f}).Print(1, text, []string{"n"}); err != nil {
			t.Errorf("%s: %v; `| head` is no failure", f, err)
		}
		if err := (Printer{Out: fullDisk{}, Format: f}).Print(1, text, []string{"n"}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v; a full disk must be told", f, err)
		}
	}
}

func TestUnits(t *testing.T) {
	for s, want := range map[float64]string{
		0: "0 s", 0.000012: "12.0 µs", 0.0003: "0.3 ms", 0.012: "12 ms", 1.25: "1.2 s", 47: "47 s", 180: "3 min", 9000: "2 h", 864000: "10 d", -0.2: "-200 ms",
	} {
		if got := Seconds(s); got != want {
			t.Errorf("Seconds(%v) = %q, want %q", s, got, want)
		}
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{-time.Second: "0 s ago", 0: "0 s ago", 1400 * time.Millisecond: "1 s ago", 3 * time.Minute: "3 min ago"} {
		if got := Ago(now.Add(-d), now); got != want {
			t.Errorf("Ago(%v) = %q, want %q", d, got, want)
		}
	}
	if Ago(time.Time{}, now) != "" || Clock(time.Time{}) != "" || PercentOr(nil) != "" || SecondsOr(nil) != "" {
		t.Error("what is not known must print as nothing")
	}
	if Percent(0.1425) != "14.2 %" || Bytes(3<<30) != "3.0 GiB" {
		t.Errorf("%q, %q", Percent(0.1425), Bytes(3<<30))
	}
}

func TestParseFormat(t *testing.T) {
	for _, f := range Formats() {
		if got, err := ParseFormat(f); err != nil || string(got) != f {
			t.Errorf("%s: %v, %v", f, got, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("xml is taken")
	}
}
