package heartbeat

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFollowBeginsAtTheNextWholeLine(t *testing.T) {
	log := filepath.Join(t.TempDir(), "serial.log")
	second := beat(boot1, 2, 2000, 1).String() + "\r\n"
	appendTo(t, log, beat(boot1, 1, 1000, 0).String()+"\r\n"+second[:20])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tail, err := openTail(ctx, log)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.file.Close()
	var got []Arrival
	collect := func(a Arrival) error { got = append(got, a); return nil }
	now := time.Unix(1000, 0)
	for _, text := range []string{"", second[20:], "noise\n" + strings.Repeat("y", 5000), "\n" + beat(boot1, 3, 3000, 2).String() + "\n"} {
		appendTo(t, log, text)
		if err := tail.drain(now, collect); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 2 || got[0].N != 2 || got[1].N != 3 || !got[1].At.Equal(now) {
		t.Fatalf("arrivals %+v", got)
	}
}

func TestFollowWaitsForTheLogAndStopsOnRequest(t *testing.T) {
	log := filepath.Join(t.TempDir(), "serial.log")
	stop := errors.New("enough")
	done := make(chan error, 1)
	go func() {
		done <- Follow(t.Context(), log, func(a Arrival) error {
			if a.N == 2 {
				return stop
			}
			return nil
		})
	}()
	appendTo(t, log, beat(boot1, 1, 1000, 0).String()+"\n"+beat(boot1, 2, 2000, 0).String()+"\n")
	// Where Follow opened a log that was there already, it waits for the next.
	for {
		select {
		case err := <-done:
			if !errors.Is(err, stop) {
				t.Fatalf("Follow = %v, want %v", err, stop)
			}
			return
		case <-time.After(10 * time.Millisecond):
			appendTo(t, log, beat(boot1, 2, 2000, 0).String()+"\n")
		}
	}
}

func TestFollowEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Follow(ctx, filepath.Join(t.TempDir(), "never"), nil); err != nil {
		t.Fatal(err)
	}
}

func TestFollowReportsAMalformedHeartbeat(t *testing.T) {
	log := filepath.Join(t.TempDir(), "serial.log")
	tail, err := func() (*tail, error) { appendTo(t, log, ""); return openTail(t.Context(), log) }()
	if err != nil {
		t.Fatal(err)
	}
	defer tail.file.Close()
	appendTo(t, log, Prefix+"garbage\n")
	if err := tail.drain(time.Now(), nil); err == nil {
		t.Fatal("a malformed heartbeat went unnoticed")
	}
}
