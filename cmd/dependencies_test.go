package cmd

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// A row of the table: | `module` | why |.
var dependencyRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*) \\|$")

func TestDependenciesAreExplained(t *testing.T) {
	text, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, row := range dependencyRow.FindAllStringSubmatch(string(text), -1) {
		if _, twice := why[row[1]]; twice {
			t.Errorf("docs/dependencies.md explains %s twice", row[1])
		}
		why[row[1]] = row[2]
	}
	for _, path := range directRequirements(t) {
		if len(why[path]) < 15 {
			t.Errorf("go.mod requires %s directly: docs/dependencies.md needs a line with the reason, it has %q", path, why[path])
		}
		delete(why, path)
	}
	for path := range why {
		t.Errorf("docs/dependencies.md explains %s, which go.mod does not require directly: remove the line", path)
	}
}

func directRequirements(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	if len(direct) == 0 {
		t.Fatal("go mod edit lists no direct requirement")
	}
	return direct
}
