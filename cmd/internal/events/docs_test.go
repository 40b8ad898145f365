package events

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

var update = flag.Bool("update", false, "rewrite the table in docs/events.md; then read the diff")

// The table of kinds in the docs is what the code has.
func TestDocsListTheKinds(t *testing.T) {
	const path, begin, end = "../../../docs/events.md", "-run Docs -update -->\n", "<!-- end -->"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(data), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no lines %q and %q", path, begin, end)
	}
	var b strings.Builder
	b.WriteString("| kind | severity | what happened |\n|---|---|---|\n")
	for _, m := range cluster.EventKinds {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Kind, m.Severity, m.Means)
	}
	want := head + begin + b.String() + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(data) {
		t.Errorf("%s is not what the code says; run: go test ./cmd/internal/events -run Docs -update", path)
	}
}
