package bpf

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// What works on which kernel is recorded: testdata/kernels/LINE.txt holds a
// line for each feature (on or off), each program (instructions that the
// verifier looked at) and each capability. On a machine of `make test-vm`, which
// says by EVENKEEL_KERNEL what it runs, the tests hold what they find against
// the record. `make test-vm RECORD=1` writes the record and docs/kernels.md.
const kernelRecords = "testdata/kernels"

//go:embed testdata/kernels
var recordFS embed.FS

// growth is how much more than recorded the verifier may look at before it is
// an error. Debian's updates of one line differ by less than a hundredth.
const growth = 1.1

// facts is one file of the record: "feature quota" -> "off".
type facts map[string]string

func parseFacts(text []byte) (facts, error) {
	f := facts{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			return nil, fmt.Errorf("%q: want three words: feature, program or needs; its name; its value", line)
		}
		f[words[0]+" "+words[1]] = words[2]
	}
	return f, nil
}

// differ says how what was found is worse than, or not in, the record. What
// the record does not know is no error: it is new.
func (f facts) differ(found facts, kind string) (wrong []string) {
	for _, key := range slices.Sorted(maps.Keys(f)) {
		want, got := f[key], found[key]
		if !strings.HasPrefix(key, kind+" ") || got == want {
			continue
		}
		if kind == "program" {
			most, _ := strconv.Atoi(want)
			now, err := strconv.Atoi(got)
			if err == nil && float64(now) <= float64(most)*growth {
				continue
			}
		}
		wrong = append(wrong, fmt.Sprintf("%s is %s, recorded is %s", key, cmp.Or(got, "missing"), want))
	}
	return wrong
}

// report prints what was found in the form of the record and, on a machine of
// test-vm, compares it.
func report(t *testing.T, kind string, found map[string]string) {
	t.Helper()
	mine := facts{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		mine[kind+" "+name] = found[name]
		fmt.Printf("kernel-report: %s %s %s\n", kind, name, found[name])
	}
	kernel := os.Getenv("EVENKEEL_KERNEL")
	if kernel == "" || os.Getenv("EVENKEEL_RECORD") != "" {
		return
	}
	text, err := recordFS.ReadFile(kernelRecords + "/" + kernel + ".txt")
	if err != nil {
		t.Fatalf("nothing is recorded of kernel %s: make test-vm KERNELS=%s RECORD=1", kernel, kernel)
	}
	recorded, err := parseFacts(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range recorded.differ(mine, kind) {
		t.Errorf("kernel %s: %s (if that is meant: make test-vm KERNELS=%s RECORD=1)", kernel, wrong, kernel)
	}
}

func TestKernelFeatures(t *testing.T) {
	found := map[string]string{}
	note := func(features []Feature) {
		for _, f := range features {
			found[f.Name] = map[bool]string{true: "on", false: "off"}[f.On]
			t.Logf("%s %s: %s", f.Name, found[f.Name], f.Why)
		}
	}
	note(open(t).Features())
	b, err := OpenBlock(BlockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	note(b.Features())
	report(t, "feature", found)
}

var processed = regexp.MustCompile(`processed (\d+) insns`)

// The verifier's own words, since kernels before 5.16 do not keep the number.
func TestKernelPrograms(t *testing.T) {
	found := map[string]string{}
	load := func(spec *ebpf.CollectionSpec, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
		if err != nil {
			t.Fatal(err)
		}
		defer coll.Close()
		for name, prog := range coll.Programs {
			m := processed.FindStringSubmatch(prog.VerifierLog)
			if m == nil {
				t.Errorf("%s: the verifier does not say what it looked at: %q", name, prog.VerifierLog)
				continue
			}
			found[name] = m[1]
		}
	}
	p := open(t)
	load(p.spec())
	b, err := OpenBlock(BlockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	load(b.spec(defaultFlights))
	if len(found) < 2 {
		t.Errorf("programs: %v", found)
	}
	report(t, "program", found)
}

// docs/kernels.md shows the record.
func TestKernelsTable(t *testing.T) {
	if os.Getenv("EVENKEEL_KERNEL") != "" {
		t.Skip("a machine of test-vm has the tests, but not the source tree")
	}
	files, err := filepath.Glob(kernelRecords + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no records in %s: %v", kernelRecords, err)
	}
	records := map[string]facts{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseFacts(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		records[strings.TrimSuffix(filepath.Base(file), ".txt")] = f
	}
	const doc = "../docs/kernels.md"
	have, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	want, err := fillTables(have, records)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(have, want) {
		return
	}
	if os.Getenv("EVENKEEL_RECORD") == "" {
		t.Fatalf("%s does not show what %s holds: make test-vm RECORD=1, or EVENKEEL_RECORD=1 go test -run TestKernelsTable ./bpf", doc, kernelRecords)
	}
	if err := os.WriteFile(doc, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// fillTables puts a table between each <!-- KIND --> and <!-- end -->.
func fillTables(doc []byte, records map[string]facts) ([]byte, error) {
	text := string(doc)
	for _, kind := range []string{"feature", "program", "needs"} {
		head, rest, ok := strings.Cut(text, "<!-- "+kind+" -->\n")
		_, tail, end := strings.Cut(rest, "<!-- end -->")
		if !ok || !end {
			return nil, fmt.Errorf("no place for the table %q", kind)
		}
		text = head + "<!-- " + kind + " -->\n" + table(kind, records) + "<!-- end -->" + tail
	}
	return []byte(text), nil
}

func table(kind string, records map[string]facts) string {
	kernels := slices.SortedFunc(maps.Keys(records), func(a, b string) int { return version(a) - version(b) })
	names := map[string]bool{}
	for _, f := range records {
		for key := range f {
			if name, ok := strings.CutPrefix(key, kind+" "); ok {
				names[name] = true
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %s |\n|---|%s\n", kind, strings.Join(kernels, " | "), strings.Repeat("---|", len(kernels)))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&b, "| `%s` |", name)
		for _, k := range kernels {
			fmt.Fprintf(&b, " %s |", cmp.Or(strings.ReplaceAll(records[k][kind+" "+name], ",", ", "), "–"))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// version orders 5.10 after 5.9.
func version(kernel string) int {
	major, minor, _ := strings.Cut(kernel, ".")
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return a*1000 + b
}

// A record that nobody can fail to meet would guard nothing.
func TestRecordDiffers(t *testing.T) {
	recorded, err := parseFacts([]byte("feature quota on\nfeature culprits on\nprogram a 1000\nprogram b 1000\nprogram c 1000\n"))
	if err != nil {
		t.Fatal(err)
	}
	found := facts{"feature quota": "off", "feature new": "on", "program a": "1100", "program b": "1101"}
	for kind, want := range map[string][]string{
		"feature": {"feature culprits is missing, recorded is on", "feature quota is off, recorded is on"},
		"program": {"program b is 1101, recorded is 1000", "program c is missing, recorded is 1000"},
	} {
		if got := recorded.differ(found, kind); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
	if _, err := parseFacts([]byte("feature quota\n")); err == nil {
		t.Error("a line of two words")
	}
}
