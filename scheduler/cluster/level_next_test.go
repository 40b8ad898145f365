//go:build evenkeel_next

package cluster

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// noted is what the next version's command looks like in the log.
const noted = `{"level":2,"kind":"note","id":"id-1","actor":{"kind":"operator","id":"0000000f-0000-4000-8000-000000000000","name":"ann"},"at":1790000000000000000,"body":{"text":"rack 3 is warm"}}`

func TestNextCommandBytes(t *testing.T) {
	c := Command{2, "id-1", byOperator, epoch, Note{"rack 3 is warm"}}
	data, err := EncodeCommand(c)
	if err != nil || string(data) != noted {
		t.Fatalf("%s, %v, want %s", data, err, noted)
	}
	back, err := DecodeCommand(data)
	if err != nil || cmp.Diff(c, back) != "" {
		t.Errorf("%+v, %v", back, err)
	}
}

// Whatever the older version wrote is read, command by command.
func TestNextReadsOlderCommands(t *testing.T) {
	text, err := os.ReadFile("testdata/commands.golden")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "{") {
			continue // the digest, which TestCommandBytes writes and reads
		}
		if _, err := DecodeCommand([]byte(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		n++
	}
	if n < 20 {
		t.Errorf("%d commands were read", n)
	}
}

// At level 1 the new command stops a replica of any version, at level 2 it is
// taken; only then does the State look different.
func TestNextCommandNeedsItsLevel(t *testing.T) {
	s := lived(t)
	note := Command{Level: 1, Actor: byOperator, At: s.Now, Body: Note{"rack 3 is warm"}}
	before := encoded(t, s)
	if _, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, note); !errors.Is(err, ErrFeatureLevel) {
		t.Errorf("at level 1: %v", err)
	}
	s.Level = 2
	note.Level = 2
	after, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, note)
	if err != nil || after.Note != "rack 3 is warm" {
		t.Errorf("at level 2: %v", err)
	}
	if bytes.Contains(before, []byte(`"note"`)) || !bytes.Contains(encoded(t, after), []byte(`"note":"rack 3 is warm"`)) {
		t.Error("the new field is written at level 1, or not at level 2")
	}
}
