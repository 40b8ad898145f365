package heartbeat

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	boot1 = "6e4866e4-c5aa-4c8e-8cd2-48b56ae29056"
	boot2 = "c7623193-1d20-43c1-8614-3e67a1ce5f79"
)

func TestParseIsTheInverseOfString(t *testing.T) {
	want := Heartbeat{Boot: boot1, N: 17, Up: 17003 * time.Millisecond, Work: 48211}
	got, err := Parse(want.String() + "\r")
	if err != nil || got != want {
		t.Fatalf("Parse(%q) = %+v, %v", want, got, err)
	}
}

func TestParseRefusesAndSaysWhy(t *testing.T) {
	good := Heartbeat{Boot: boot1, N: 1, Up: time.Second, Work: 1}.String()
	for _, tt := range []struct{ line, want string }{
		{strings.Replace(good, boot1, strings.ToUpper(boot1), 1), "lower-case UUID"},
		{strings.Replace(good, boot1, boot1[1:], 1), "lower-case UUID"},
		{strings.Replace(good, "n=1", "n=0", 1), "begin at 1"},
		{strings.Replace(good, "n=1", "n=01", 1), "plain number"},
		{strings.Replace(good, "n=1", "n=-1", 1), "plain number"},
		{strings.Replace(good, "t=1000", "t=1e3", 1), "plain number"},
		{strings.Replace(good, "t=1000", "t=9007199254740993", 1), "plain number"},
		{strings.Replace(good, "work=1", "work=NaN", 1), "plain number"},
		{strings.Replace(good, "work=1", "", 1), "is not work="},
		{good + " more=1", "5 fields"},
		{good + strings.Repeat(" ", MaxLine), "at most 256"},
		// Two lines in one: the kernel or another QEMU wrote in between.
		{good[:40] + good, "fields"},
	} {
		if _, err := Parse(tt.line); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%q) = %v, want an error with %q", tt.line, err, tt.want)
		}
	}
	if _, err := Parse("[    0.000000] Linux version 6.1.0"); !errors.Is(err, ErrNoHeartbeat) {
		t.Errorf("a kernel message is %v, want ErrNoHeartbeat", err)
	}
}

func TestReadSkipsTheKernelAndTheLineBeingWritten(t *testing.T) {
	log := "[    0.0] " + strings.Repeat("x", 10_000) + "\r\n" +
		beat(boot1, 1, 1000, 0).String() + "\r\n" +
		"\r\n" +
		beat(boot1, 2, 2000, 5).String() + "\r\n" +
		beat(boot1, 3, 3000, 9).String() // no newline yet
	beats, err := Read(strings.NewReader(log))
	if err != nil || len(beats) != 2 || beats[1].Work != 5 {
		t.Fatalf("beats %+v, error %v", beats, err)
	}
}

func TestReadNamesTheMalformedLine(t *testing.T) {
	log := "boot\n" + beat(boot1, 1, 1000, 0).String() + "\n" + Prefix + "garbage\n"
	beats, err := Read(strings.NewReader(log))
	if err == nil || !strings.Contains(err.Error(), "line 3") || len(beats) != 1 {
		t.Fatalf("beats %+v, error %v", beats, err)
	}
}

func beat(boot string, n uint64, ms int64, work uint64) Heartbeat {
	return Heartbeat{Boot: boot, N: n, Up: time.Duration(ms) * time.Millisecond, Work: work}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name     string
		beats    []Heartbeat
		want     Report
		unbroken bool
	}{
		{
			name:     "a guest that runs through",
			beats:    []Heartbeat{beat(boot1, 7, 7000, 10), beat(boot1, 8, 8000, 20), beat(boot1, 9, 9200, 40)},
			want:     Report{Beats: 3, Boots: 1, LongestGap: 1200 * time.Millisecond, Work: 30, Span: 2200 * time.Millisecond},
			unbroken: true,
		},
		{
			name:  "a beat is missing",
			beats: []Heartbeat{beat(boot1, 1, 1000, 0), beat(boot1, 3, 3000, 2)},
			want:  Report{Beats: 2, Boots: 1, Missing: 1, LongestGap: 2 * time.Second, Work: 2, Span: 2 * time.Second},
		},
		{
			name:  "it stood still",
			beats: []Heartbeat{beat(boot1, 1, 1000, 0), beat(boot1, 2, 5000, 0)},
			want:  Report{Beats: 2, Boots: 1, LongestGap: 4 * time.Second, Span: 4 * time.Second},
		},
		{
			name:  "it was restarted, and the first beat after is lost",
			beats: []Heartbeat{beat(boot1, 1, 1000, 9), beat(boot2, 2, 2000, 1)},
			want:  Report{Beats: 2, Boots: 2, Missing: 1},
		},
		{
			name:  "it ran on two hosts at once",
			beats: []Heartbeat{beat(boot1, 5, 5000, 5), beat(boot1, 6, 6000, 6), beat(boot1, 6, 6001, 7)},
			want:  Report{Beats: 3, Boots: 1, Disordered: 1, LongestGap: time.Second, Work: 1, Span: time.Second},
		},
		{name: "silence", want: Report{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Judge(tt.beats)
			if got != tt.want {
				t.Errorf("Judge = %+v, want %+v", got, tt.want)
			}
			if got.Unbroken(3*time.Second) != tt.unbroken {
				t.Errorf("Unbroken(3s) = %v, want %v", !tt.unbroken, tt.unbroken)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(beat(boot1, 1, 1000, 0).String())
	f.Add(Prefix)
	f.Add("ek-heartbeat boot= n= t= work=")
	f.Add("[    0.000000] Linux")
	f.Fuzz(func(t *testing.T, line string) {
		h, err := Parse(line)
		if err != nil {
			return
		}
		if h.N == 0 || h.N > maxFigure || h.Work > maxFigure || h.Up < 0 {
			t.Fatalf("Parse(%q) let %+v through", line, h)
		}
		if h.String() != strings.TrimSuffix(line, "\r") {
			t.Fatalf("Parse(%q).String() = %q", line, h)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(beat(boot1, 1, 1000, 0).String() + "\r\nnoise\n"))
	f.Add([]byte("\n\n\r\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		beats, _ := Read(strings.NewReader(string(log)))
		r := Judge(beats)
		if r.Beats != len(beats) || r.LongestGap < 0 || r.Span < 0 || r.Boots > r.Beats {
			t.Fatalf("Judge = %+v of %d beats", r, len(beats))
		}
	})
}
