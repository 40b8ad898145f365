package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/search"
)

// Two hosts, and three VMs on the first: shares of CPU 0.75 and 0, of memory
// 0.6 and 0. One move leaves 0.5 and 0.25 (or 0.375 twice with the large one),
// and memory 0.4 and 0.2.
const tiny = `{"hosts":[{"name":"h0","cores":8,"mem_mib":1000},{"name":"h1","cores":8,"mem_mib":1000}],
"vms":[{"name":"a","vcpus":4,"mem_mib":200,"cpu":3,"host":"h0"},{"name":"b","vcpus":2,"mem_mib":200,"cpu":1,"host":"h0"},{"name":"c","vcpus":2,"mem_mib":200,"cpu":2,"host":"h0"}]}`

func TestTiny(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(tiny)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	for name, text := range map[string][]byte{"plain": []byte(tiny), "gzip": packed.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		for objective, want := range map[string]string{
			// Before 0.75 + 0.6; after 2 × 0 for CPU and 2 × 0.1 for memory.
			"l1":     "l1 0.200000 before 1.350000 moved 1\n",
			"maxcpu": "maxcpu 0.375000 before 0.750000 moved 1\n",
		} {
			out := filepath.Join(dir, "plan")
			var printed bytes.Buffer
			err := run([]string{"-cluster", filepath.Join(dir, name), "-moves", "1", "-objective", objective, "-iterations", "20000", "-out", out}, &printed, &printed)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if printed.String() != want || string(plan) != "a h1\n" {
				t.Errorf("%s, %s: %q, plan %q; want %q", name, objective, printed.String(), plan, want)
			}
		}
	}
}

func TestRefusesWhatIsNoCluster(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"no host":     {tiny, `{"hosts":[]}`, "at least one host"},
		"no JSON":     {tiny, `{`, "unexpected end"},
		"host twice":  {`"name":"h1"`, `"name":"h0"`, "its name is given once"},
		"no cores":    {`"cores":8`, `"cores":0`, "cores"},
		"tiny cores":  {`"cores":8`, `"cores":1e-300`, "cores"},
		"memory":      {`"mem_mib":1000`, `"mem_mib":-1`, "mem_mib"},
		"other host":  {`"host":"h0"`, `"host":"h9"`, "which is no host"},
		"VM twice":    {`"name":"b"`, `"name":"a"`, "its name is given once"},
		"negative":    {`"cpu":3`, `"cpu":-3`, "cpu from 0"},
		"huge":        {`"cpu":3`, `"cpu":1e300`, "cpu from 0"},
		"out of JSON": {`"cpu":3`, `"cpu":1e999`, "cannot unmarshal"},
	} {
		_, err := parse([]byte(strings.Replace(tiny, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "c")
	if err := os.WriteFile(file, []byte(tiny), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"-cluster", "none"}, {"-cluster", file, "-moves", "-1"}, {"-cluster", file, "-objective", "beauty"}, {"-speed"}} {
		var out bytes.Buffer
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// Whatever the file holds: an error, or a cluster that the engine takes by both
// objectives.
func FuzzCluster(f *testing.F) {
	f.Add([]byte(tiny))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse(text)
		if err != nil {
			return
		}
		for _, objective := range []string{"l1", "maxcpu"} {
			p, err := c.problem(1, objective)
			if err != nil {
				t.Fatal(err)
			}
			a, err := search.New(p)
			if err != nil {
				t.Fatal(err)
			}
			if a.Cost() < 0 {
				t.Errorf("%s is %d", objective, a.Cost())
			}
		}
	})
}
