package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJournalRemembersAcrossOpens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j, err := OpenJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Phase{PhaseClaiming, PhaseStarting, PhaseRunning} {
		if err := j.Put(Entry{Move: "m-2f9", VM: vmID(1), Phase: p, Incarnation: 3, At: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	j, _ = OpenJournal(dir)
	e, ok, err := j.Get("m-2f9")
	if err != nil || !ok || e.Phase != PhaseRunning || e.VM != vmID(1) || e.Incarnation != 3 {
		t.Errorf("%+v, %v, %v", e, ok, err)
	}
	if moves, err := j.Moves(); err != nil || !slices.Equal(moves, []string{"m-2f9"}) {
		t.Errorf("moves %v, %v", moves, err)
	}
	if err := j.Drop("m-2f9"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := j.Get("m-2f9"); ok || err != nil {
		t.Errorf("after the drop: %v, %v", ok, err)
	}
	if err := j.Drop("m-2f9"); err != nil {
		t.Errorf("a second drop: %v", err)
	}
}

func TestDamagedJournalNamesItsFile(t *testing.T) {
	dir := t.TempDir()
	j, _ := OpenJournal(dir)
	for name, text := range map[string]string{
		"empty": "", "cut": `{"move":"m-1","pha`, "phase": `{"move":"m-1","phase":"sleeping"}`,
		"another move": `{"move":"m-2","phase":"running"}`, "huge": strings.Repeat("x", 5000),
	} {
		path := filepath.Join(dir, "m-1.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := j.Get("m-1"); ok || err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
		if left, _ := os.ReadFile(path); string(left) != text {
			t.Errorf("%s: the damaged file was changed", name)
		}
	}
	if err := j.Put(Entry{Move: "../../etc/passwd"}); err == nil {
		t.Error("a path for a move id")
	}
}

func FuzzJournalEntry(f *testing.F) {
	f.Add([]byte(`{"move":"m-1","vm":"x","phase":"running","incarnation":1,"at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"move":"m-1","phase":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeEntry(data)
		if err == nil && !moveID.MatchString(e.Move) {
			t.Errorf("accepted %+v", e)
		}
	})
}
