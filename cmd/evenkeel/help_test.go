package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// commands lists every command line of the tree that can be asked for help.
func commands(cmd *cobra.Command, path []string) [][]string {
	out := [][]string{path}
	for _, c := range cmd.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue // cobra's own
		}
		out = append(out, commands(c, append(path[:len(path):len(path)], c.Name()))...)
	}
	return out
}

func tree() *cobra.Command {
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, env: func(string) string { return "" }}
	return a.root()
}

func TestHelp(t *testing.T) {
	seen := map[string]bool{}
	for _, path := range commands(tree(), nil) {
		name := strings.Join(append([]string{"evenkeel"}, path...), "-") + ".txt"
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			var out, complaints bytes.Buffer
			if code := run(t.Context(), append(path[:len(path):len(path)], "--help"), strings.NewReader(""), &out, &complaints); code != 0 || complaints.Len() > 0 {
				t.Fatalf("ends with %d, says %s", code, &complaints)
			}
			file := filepath.Join("testdata", "help", name)
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("(-%s +now); rewrite with -update\n%s", file, diff)
			}
			for i, line := range strings.Split(out.String(), "\n") {
				if n := len([]rune(line)); n > 100 {
					t.Errorf("line %d has %d characters: %s", i+1, n, line)
				}
			}
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "help"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("testdata/help/%s belongs to no command", f.Name())
		}
	}
}

// Every verb that changes something can be tried, and takes a reason.
func TestWhatActsHasDryRunAndReason(t *testing.T) {
	root := tree()
	for _, path := range []string{"mode", "pause", "resume", "migrations cancel", "migrations resolve", "policy set", "rules add", "rules rm", "rules apply"} {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil || cmd == root {
			t.Errorf("no command %s: %v", path, err)
			continue
		}
		for _, flag := range []string{"dry-run", "reason"} {
			if cmd.Flags().Lookup(flag) == nil {
				t.Errorf("%s has no --%s", path, flag)
			}
		}
	}
}
