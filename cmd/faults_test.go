package cmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// numberedFaults is how many faults are numbered.
const numberedFaults = 38

var (
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	faultTest    = regexp.MustCompile(`^TestFault(\d\d)[A-Z]`)
	namedTest    = regexp.MustCompile("`(Test\\w+)`")
)

// testsOfTheTree are the names of all test functions of the module.
func testsOfTheTree(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunction.FindAllSubmatch(text, -1) {
			out[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 500 {
		t.Fatalf("%d tests are found: is this the module's tree?", len(out))
	}
	return out
}

// TestEveryFaultIsTestedAndExplained holds docs/faults.md against the tree:
// each number from 1 on is explained once, in order, with tests that exist, and
// every test that carries a number stands there under it.
func TestEveryFaultIsTestedAndExplained(t *testing.T) {
	text, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := testsOfTheTree(t)
	told := map[string]int{} // by test: the fault that names it
	sections := regexp.MustCompile(`(?m)^### `).Split(string(text), -1)[1:]
	if len(sections) != numberedFaults {
		t.Errorf("docs/faults.md has %d cases, there are %d", len(sections), numberedFaults)
	}
	for i, section := range sections {
		title, body, _ := strings.Cut(section, "\n")
		body, tests, found := strings.Cut(body, "\nTests: ")
		number, _, _ := strings.Cut(title, " ")
		n, err := strconv.Atoi(number)
		if err != nil || n != i+1 || !found || len(strings.TrimSpace(body)) < 60 {
			t.Errorf("docs/faults.md, case %d: %q: write its number and name, then what evenkeel does and what is seen, then a line with its tests", i+1, title)
			continue
		}
		numbered := 0
		for _, m := range namedTest.FindAllStringSubmatch(tests, -1) {
			told[m[1]] = n
			if !exists[m[1]] {
				t.Errorf("docs/faults.md, case %d: there is no %s", n, m[1])
			}
			if strings.HasPrefix(m[1], "TestFault") {
				numbered++
			}
		}
		if numbered == 0 {
			t.Errorf("docs/faults.md, case %d names no test with its number", n)
		}
	}
	for _, name := range faultTests(exists) {
		n, err := strconv.Atoi(faultTest.FindStringSubmatch(name)[1])
		if err != nil || told[name] != n {
			t.Errorf("docs/faults.md: %s is not named under %d", name, n)
		}
	}
}

func faultTests(all map[string]bool) (out []string) {
	for name := range all {
		if faultTest.MatchString(name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
