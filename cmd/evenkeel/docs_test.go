package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Commands in the docs are commands that there are, with flags that they have.
func TestCommandsInDocs(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	command := regexp.MustCompile("`(?:sudo )?(evenkeel [^`]*)`")
	found := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range command.FindAllStringSubmatch(string(text), -1) {
			found++
			if why := unknown(match[1]); why != "" {
				t.Errorf("%s: `%s`: %s", filepath.Base(file), match[1], why)
			}
		}
	}
	for _, line := range []string{"evenkeel frobnicate", "evenkeel status --frobnicate", "evenkeel cluster frobnicate", "evenkeel status -x"} {
		if unknown(line) == "" {
			t.Errorf("%s passes for a command", line)
		}
	}
	if found < 50 {
		t.Errorf("only %d commands were found in the docs", found)
	}
}

// unknown says what of a command line there is not.
func unknown(line string) string {
	a := &app{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, env: func(string) string { return "" }}
	root := a.root()
	root.SetContext(context.Background())
	words := strings.Fields(line)[1:]
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	if cmd.HasSubCommands() && len(rest) > 0 && regexp.MustCompile(`^[a-z-]+$`).MatchString(rest[0]) && !strings.HasPrefix(rest[0], "-") {
		return "no command " + rest[0]
	}
	for _, word := range rest {
		if word == "--" {
			return ""
		}
		name, _, _ := strings.Cut(strings.Trim(word, "[].,"), "=")
		if why := noFlag(cmd, name); why != "" {
			return why
		}
	}
	return ""
}

func noFlag(cmd *cobra.Command, word string) string {
	switch {
	case strings.HasPrefix(word, "--"):
		if name := word[2:]; name != "help" && cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
			return "no flag " + word
		}
	case strings.HasPrefix(word, "-") && len(word) == 2:
		if name := word[1:]; name != "h" && cmd.Flags().ShorthandLookup(name) == nil && cmd.InheritedFlags().ShorthandLookup(name) == nil {
			return "no flag " + word
		}
	}
	return ""
}
