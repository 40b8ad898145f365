package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// A file holds a host by being there, whatever is in it.
func TestReadHold(t *testing.T) {
	dir := t.TempDir()
	if got := ReadHold(filepath.Join(dir, "hold")); got != "" {
		t.Errorf("no file: %q", got)
	}
	for text, want := range map[string]string{
		"":                              "no reason given",
		"\n\nlater":                     "no reason given",
		"new board\nann, tuesday\n":     "new board",
		"  \x1b[31mred\x00 \xff\xfe \n": "[31mred",
		"größer":                        "größer",
		strings.Repeat("ö", 500):        strings.Repeat("ö", maxHold/2),
	} {
		path := filepath.Join(dir, "hold")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := ReadHold(path); got != want {
			t.Errorf("%.20q holds by %q, want %q", text, got, want)
		}
	}
	if got := ReadHold(dir); got == "" {
		t.Error("what is there and cannot be read does not hold")
	}
}

// FuzzHold: whatever is in a hold file, the host is held, and what is told of it
// is short and printable.
func FuzzHold(f *testing.F) {
	for _, seed := range []string{"", "\n", "ann looks at its disks\nmore", "\xff\xfe", "\x1b[2J", strings.Repeat("é", 200)} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "hold")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		why := ReadHold(path)
		if why == "" || len(why) > maxHold || strings.ContainsFunc(why, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is told as %q", data, why)
		}
	})
}
