package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shared is where the challenge's instances lie beside the repository.
const shared = "../../../../shared/data/planner/gmrp"

// Every instance is solved lawfully, at the cost that is printed, and better
// than it was.
func TestSolutionsPassTheChecker(t *testing.T) {
	models, err := filepath.Glob(filepath.Join(shared, "model_*.txt.gz"))
	if err != nil || len(models) == 0 {
		if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "data") {
			t.Fatalf("EVENKEEL_REQUIRE names data, and %s has no instance", shared)
		}
		t.Skipf("%s has no instance of the challenge", shared)
	}
	for _, model := range models {
		name := strings.TrimPrefix(filepath.Base(model), "model_")
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "b_") && testing.Short() {
				t.Skip("large")
			}
			initial, out := filepath.Join(shared, "assignment_"+name), filepath.Join(t.TempDir(), "out")
			var text bytes.Buffer
			err := run([]string{"-model", model, "-initial", initial, "-iterations", "100000", "-horizon", "100000", "-workers", "2", "-out", out}, &text, &text)
			if err != nil {
				t.Fatal(err)
			}
			first, solution := plain(t, initial), plain(t, out)
			cost, err := judge(plain(t, model), first, solution)
			if err != nil {
				t.Fatal(err)
			}
			before, err := judge(plain(t, model), first, first)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("cost %d before %d ", cost, before); !strings.HasPrefix(text.String(), want) || cost >= before {
				t.Errorf("printed %q, the checker finds %q", text.String(), want)
			}
		})
	}
}

func plain(t *testing.T, file string) string {
	text, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The command is a parser, a table and printing around the engine that plans
// for operators: small, and with no search of its own.
func TestEngineIsThePlanners(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines, engine := 0, false
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(text, []byte("\n"))
		f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			engine = engine || path == "github.com/evenkeel/evenkeel/scheduler/search"
			if strings.Contains(path, "rand") {
				t.Errorf("%s imports %s: what throws dice searches by itself", file, path)
			}
		}
	}
	if lines > 400 || !engine {
		t.Errorf("%d lines, of at most 400; imports the planner's engine: %v", lines, engine)
	}
}

// The tiny instance, plain and compressed: of the two lawful assignments the
// initial one is the cheaper.
func TestTiny(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, tiny)
	z.Close()
	for name, model := range map[string][]byte{"plain": []byte(tiny), "gzip": packed.Bytes()} {
		file, initial, out := filepath.Join(dir, name), filepath.Join(dir, "initial"), filepath.Join(dir, "out")
		for file, text := range map[string][]byte{file: model, initial: []byte("0 0 1\n")} {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var text bytes.Buffer
		if err := run([]string{"-model", file, "-initial", initial, "-iterations", "2000", "-out", out}, &text, &text); err != nil {
			t.Fatal(err)
		}
		if got := plain(t, out); got != "0 0 1\n" || !strings.HasPrefix(text.String(), "cost 50 before 50 moved 0 ") {
			t.Errorf("%s: %q, %s", name, got, text.String())
		}
	}
}

func TestRefusesWhatIsNoInstance(t *testing.T) {
	for name, c := range map[string]struct{ model, want string }{
		"empty":          {"", "ends where number of resources should be"},
		"cut":            {tiny[:30], "ends where"},
		"more":           {tiny + "1", "more than it should have"},
		"negative":       {"-1", "should be an unsigned number"},
		"too many":       {"33", "number of resources is above 32"},
		"huge":           {strings.Repeat("9", 99), "is above"},
		"letters":        {"2x", "should be an unsigned number"},
		"no machine":     {"0 0 0 1 0 0 0 0 0 0", "service is above"},
		"costs too dear": {strings.Replace(tiny, "1  0 1 3 2", "1  0 1 4294967295 4294967295", 1), "divide the weights"},
	} {
		_, err := parseModel([]byte(c.model))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, args := range [][]string{{}, {"-model", "x"}, {"-model", "x", "-initial", "y", "-time", "0s"}, {"-model", "x", "-initial", "y"}, {"-speed"}} {
		var out bytes.Buffer
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte(tiny), []byte("0 0 1"))
	f.Add([]byte("1 0 0 0 0 0 0 0 0 0"), []byte(""))
	f.Fuzz(func(t *testing.T, model, initial []byte) {
		in, err := parseModel(model)
		if err != nil {
			return
		}
		if in.initial, err = parseAssignment(initial, len(in.processes), len(in.machines)); err != nil {
			return
		}
		cost, err := judge(string(model), string(initial), string(initial))
		if err != nil {
			return // an initial assignment that breaks rules
		}
		if got := costOf(t, in); got != cost {
			t.Errorf("costs %d, the checker finds %d", got, cost)
		}
	})
}
