package cmd

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/evenkeel/evenkeel/"

// listed is what these tests need of `go list -json`.
type listed struct {
	ImportPath   string
	Dir          string
	Name         string
	Doc          string
	Standard     bool
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// path is the package's place in the module.
func (p listed) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// files are the paths of its Go files, without tests.
func (p listed) files() []string {
	var files []string
	for _, f := range p.GoFiles {
		files = append(files, filepath.Join(p.Dir, f))
	}
	return files
}

// ourPackages lists the module. A package that holds only tests is left out.
func ourPackages(t *testing.T) []listed {
	t.Helper()
	var ours []listed
	for _, p := range goList(t, "./...") {
		if len(p.GoFiles) > 0 {
			ours = append(ours, p)
		}
	}
	if len(ours) < 5 {
		t.Fatalf("go list found %d packages, this module has more", len(ours))
	}
	return ours
}

func goList(t *testing.T, pattern string) []listed {
	t.Helper()
	// With -e, since whether everything compiles is the compiler's to say.
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,Name,Doc,Standard,GoFiles,Imports,TestImports,XTestImports", pattern)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pattern, err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("go list %s: %v", pattern, err)
		}
		all = append(all, p)
	}
}

// standard is the set of the standard library's packages.
func standard(t *testing.T) map[string]bool {
	t.Helper()
	set := map[string]bool{"C": true}
	for _, p := range goList(t, "std") {
		set[p.ImportPath] = true
	}
	return set
}
