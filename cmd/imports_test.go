package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floor is a row of the import table: what the packages under a folder may
// import, and why not more. The longest folder that fits a package counts.
// Arrows point down only: cmd, then agent and consensus, then scheduler and bpf.
type floor struct {
	folder  string
	ours    []string // floors of this module, besides itself
	foreign []string // path prefixes of other modules; nil: any
	why     string
}

var none = []string{}

var floors = []floor{
	{"scheduler/cluster", nil, none, "everyone speaks it, so it may drag nothing in"},
	{"scheduler/search", nil, none, "whatever table of cost terms it is given, it searches the same"},
	{"scheduler", []string{"scheduler/cluster", "scheduler/search"}, none, "a plan must be replayable from a file"},
	{"scheduler/sim", []string{"scheduler", "scheduler/cluster"}, none, "a simulated fleet must be replayable from a file"},
	{"scheduler/rebalancer", []string{"scheduler", "scheduler/cluster"}, none, "the loop is testable without raft; it sees consensus through an interface of its own"},
	{"scheduler/whatif", []string{"scheduler/cluster", "scheduler/rebalancer", "scheduler/sim"}, none, "the past under other settings must give the same bytes wherever it is computed"},
	{"scheduler/bench", []string{"scheduler", "scheduler/cluster", "scheduler/search", "scheduler/sim"}, none, "what measures the planner is part of it"},
	{"bpf", nil, []string{"github.com/cilium/ebpf", "golang.org/x/sys/unix"}, "kernels change for their own reasons"},
	{"agent", []string{"agent/procfs", "bpf", "scheduler/cluster"}, nil, "a host obeys moves, it does not plan them"},
	{"agent/procfs", nil, none, "it reads files and knows nothing of what they are for"},
	{"consensus", []string{"scheduler/cluster"}, nil, "it replicates decisions, it does not make them"},
	{"cmd", []string{"agent", "agent/procfs", "bpf", "consensus", "scheduler", "scheduler/cluster", "scheduler/sim", "scheduler/rebalancer", "scheduler/whatif"}, nil, "it wires everything together"},
}

// doors are libraries that one place wraps. Everyone else goes through it.
var doors = []struct {
	library string
	folders []string
	why     string
}{
	{"github.com/hashicorp/raft", []string{"consensus"}, "no raft type leaves the package, so raft can be replaced or mended in one place"},
	{"github.com/hashicorp/go-hclog", []string{"consensus"}, "it is raft's logger; ours is slog"},
	{"go.etcd.io/bbolt", []string{"consensus"}, "it is the file of raft's log"},
	{"github.com/cilium/ebpf", []string{"bpf"}, "Probes is the one door to the kernel"},
	{"github.com/digitalocean/go-libvirt", []string{"agent/libvirt"}, "it knows no deadlines; the adapter gives every call one"},
	{"libvirt.org/go/libvirtxml", []string{"agent/libvirt", "cmd/internal/lab"}, "libvirt's words stay where libvirt is spoken to"},
	{"github.com/spf13/cobra", []string{"cmd"}, "commands are wiring"},
	{"go.yaml.in/yaml", []string{"cmd"}, "configuration is read at the top and passed down as values"},
}

func TestImportsPointDown(t *testing.T) {
	std := standard(t)
	for _, p := range ourPackages(t) {
		f, ok := floorOf(p.path())
		if !ok {
			t.Errorf("%s stands on no floor: give it a row in this table, with its why", p.path())
			continue
		}
		for _, imported := range p.Imports {
			if !std[imported] && !f.allows(imported) {
				t.Errorf("%s imports %s, but %s/ may import of ours %v and of others %s: %s",
					p.path(), imported, f.folder, f.ours, f.foreignText(), f.why)
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, module) && !f.allows(imported) {
				t.Errorf("a test of %s imports %s, but %s/ may import of ours %v: %s", p.path(), imported, f.folder, f.ours, f.why)
			}
		}
	}
}

func TestLibrariesHaveOneDoor(t *testing.T) {
	for _, p := range ourPackages(t) {
		for _, imported := range p.Imports {
			for _, d := range doors {
				if under(imported, d.library) && !slices.ContainsFunc(d.folders, func(folder string) bool { return under(p.path(), folder) }) {
					t.Errorf("%s imports %s, only %v may: %s", p.path(), imported, d.folders, d.why)
				}
			}
		}
	}
}

func floorOf(path string) (floor, bool) {
	var best floor
	for _, f := range floors {
		if under(path, f.folder) && len(f.folder) > len(best.folder) {
			best = f
		}
	}
	return best, best.folder != ""
}

// allows says whether a package of the floor may import another one: its own
// floor always, others as the table says.
func (f floor) allows(imported string) bool {
	path, ours := strings.CutPrefix(imported, module)
	if !ours {
		return f.foreign == nil || slices.ContainsFunc(f.foreign, func(library string) bool { return under(imported, library) })
	}
	target, _ := floorOf(path)
	return target.folder == f.folder || slices.Contains(f.ours, target.folder)
}

func (f floor) foreignText() string {
	switch {
	case f.foreign == nil:
		return "any"
	case len(f.foreign) == 0:
		return "none"
	}
	return strings.Join(f.foreign, ", ")
}

// under says whether path is folder or lies in it.
func under(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, folder)
	// raft-boltdb is raft's too.
	return ok && (rest == "" || rest[0] == '/' || (rest[0] == '-' && strings.Contains(folder, ".")))
}

// pure are the packages whose results depend on nothing but their arguments.
var pure = []string{"scheduler", "scheduler/cluster", "scheduler/search", "scheduler/sim"}

// impure are imports that bring in the world, and calls of package time that
// read the clock.
var (
	impure      = []string{"os", "net", "log", "syscall", "unsafe", "math/rand", "crypto/rand", "runtime", "context", "embed", "testing"}
	seeded      = []string{"New", "NewPCG", "Rand", "PCG"}
	clockReader = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"}
)

func TestSchedulerIsPure(t *testing.T) {
	for _, p := range ourPackages(t) {
		if !slices.Contains(pure, p.path()) {
			continue
		}
		for _, imported := range p.Imports {
			if imported == "math/rand/v2" && p.path() == "scheduler/sim" {
				continue // from a seed that the scenario names; see below
			}
			if slices.ContainsFunc(impure, func(world string) bool { return under(imported, world) }) {
				t.Errorf("%s imports %s: a plan must be replayable from a file, so it may read no clock, log, network, randomness or environment", p.path(), imported)
			}
		}
		for _, file := range p.files() {
			for _, at := range uses(t, file, "time", func(name string) bool { return slices.Contains(clockReader, name) }) {
				t.Errorf("%s reads the clock: a plan must be replayable from a file; pass the time in", at)
			}
			for _, at := range uses(t, file, "math/rand/v2", func(name string) bool { return !slices.Contains(seeded, name) }) {
				t.Errorf("%s draws unseeded randomness: a run must be repeatable; use a generator made from the scenario's seed", at)
			}
		}
	}
}

// uses finds where a file names members of a package that are unwanted.
func uses(t *testing.T, file, path string, unwanted func(name string) bool) []string {
	t.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := importName(tree, path)
	if name == "" {
		return nil
	}
	var found []string
	ast.Inspect(tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !unwanted(sel.Sel.Name) {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == name {
			found = append(found, fset.Position(sel.Pos()).String())
		}
		return true
	})
	return found
}

// importName is the name by which a file knows a package, "" if it does not.
func importName(tree *ast.File, path string) string {
	for _, spec := range tree.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && p == path {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path[strings.LastIndex(strings.TrimSuffix(path, "/v2"), "/")+1 : len(strings.TrimSuffix(path, "/v2"))]
		}
	}
	return ""
}
