package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/search"
)

// Two nodes, four instances of half a node's CPUs: all on the first.
const (
	data = "g|uuid-g|preferred||\n\n" +
		"h0|1000|0|200|900|900|8|M|uuid-g|1\nh1|1000|0|1000|900|900|8|N|uuid-g|1\nh2|1000|0|1000|900|900|8|Y|uuid-g|1\n\n" +
		"a|200|0|4|running|Y|h0||ext||1\nb|200|0|4|running|Y|h0||ext||1\nc|200|0|4|running|Y|h0||ext||1\nd|200|0|4|running|Y|h0||ext||1\n\n\n" +
		"|1,1|9,9|ext|4.0|10000.0\ng|1,1|9,9|ext|4.0|10000.0\n"
	util = "a 0.1 0.2 0 0\nb 0.1 0.2 0 0\nc 0.1 0.2 0 0\nd 0.1 0.2 0 0\n"
)

func file(t *testing.T, text string) string {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Half of the VMs go to the empty host, none to the one that is offline. By
// hand: shares of CPU 0.4 and 0, memory 0.8 and 0, virtual CPUs 2 and 0; the
// deviations are half of that, memory counts twice: 0.2 + 0.8 + 1.
func TestBalancesTwoHosts(t *testing.T) {
	out := filepath.Join(t.TempDir(), "plan")
	var text bytes.Buffer
	if err := run([]string{"-data", file(t, data), "-util", file(t, util), "-iterations", "20000", "-out", out}, &text, &text); err != nil {
		t.Fatal(err)
	}
	plan, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text.String(), "score 0.0000 before 2.0000 moved 2 ") || strings.Count(string(plan), " h1\n") != 2 || strings.Count(string(plan), "\n") != 2 {
		t.Errorf("%s%s", text.String(), plan)
	}
}

// With at most one move three stay: CPU 0.3 and 0.1, memory 0.6 and 0.2,
// virtual CPUs 1.5 and 0.5: 0.1 + 0.4 + 0.5.
func TestMovesAreLimited(t *testing.T) {
	var text bytes.Buffer
	if err := run([]string{"-data", file(t, data), "-util", file(t, util), "-iterations", "20000", "-moves", "1"}, &text, &text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text.String(), "score 1.0000 before 2.0000 moved 1 ") {
		t.Error(text.String())
	}
}

func TestRefusesWhatIsNoCluster(t *testing.T) {
	for name, c := range map[string]struct{ data, util, want string }{
		"empty":          {"", "", "no node is online"},
		"all offline":    {strings.ReplaceAll(strings.ReplaceAll(data, "|M|", "|Y|"), "|N|", "|Y|"), "", "no node is online"},
		"node twice":     {strings.Replace(data, "h1|", "h0|", 1), "", "given once"},
		"no CPU":         {strings.Replace(data, "900|8|M", "900|0|M", 1), "", "CPUs of node h0"},
		"few fields":     {strings.Replace(data, "h0|1000|0|200", "h0", 1), "", "at least 9 fields"},
		"memory":         {strings.Replace(data, "a|200", "a|-1", 1), "", "memory of instance a"},
		"other node":     {strings.Replace(data, "|h0||", "|h9||", 1), "", `node "h9", which is not listed`},
		"secondary":      {strings.Replace(data, "|h0||", "|h0|h1|", 1), "", "only shared storage"},
		"exclusion tags": {strings.Replace(data, "\n\n\n", "\n\nhtools:iextags:x\n\n", 1), "", "exclusion tags"},
		"ratio":          {strings.Replace(data, "|4.0|", "|NaN|", 1), "", "virtual to real CPUs"},
		"load":           {data, "a NaN 0 0 0", "from 0 to 20"},
		"loads":          {data, "a 1 0 0", "not a name and four loads"},
		"loads twice":    {data, "a 1 0 0 0\na 1 0 0 0", "second time"},
		"other VM":       {data, "z 1 0 0 0", "is no instance"},
	} {
		_, err := load(file(t, c.data), file(t, c.util))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, args := range [][]string{{}, {"-data", "x"}, {"-data", "x", "-util", "y"}, {"-data", "x", "-util", "y", "-move-cost", "NaN"}, {"-speed"}} {
		var out bytes.Buffer
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// Whatever the files hold: an error, or a cluster that the engine takes and
// whose score is a number.
func FuzzCluster(f *testing.F) {
	f.Add(data, util)
	f.Fuzz(func(t *testing.T, data, util string) {
		c, err := parseData(data)
		if err != nil || c.parseUtil(util) != nil {
			return
		}
		a, err := search.New(c.problem(-1, 0))
		if err != nil {
			t.Fatal(err)
		}
		if a.Cost() < 0 {
			t.Errorf("score %d", a.Cost())
		}
	})
}
