package api

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the generated documents; then read the diff")

// parseFolder parses a folder's Go files without its tests.
func parseFolder(t *testing.T, dir string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// codes lists the constants of type Code in their order.
func codes(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, f := range parseFolder(t, "../../../scheduler/cluster") {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" && len(spec.Values) == 1 {
				word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, word)
			}
			return true
		})
	}
	if len(out) < 30 {
		t.Fatalf("found %d codes only: does refusal.go look otherwise now?", len(out))
	}
	return out
}

func TestEveryCodeIsExplained(t *testing.T) {
	text, err := os.ReadFile("../../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]string{}
	for _, section := range regexp.MustCompile(`(?m)^### `).Split(string(text), -1)[1:] {
		code, body, _ := strings.Cut(section, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		if _, twice := explained[code]; twice {
			t.Errorf("docs/refusals.md explains %s twice", code)
		}
		explained[code] = strings.TrimSpace(body)
	}
	declared := codes(t)
	for _, code := range declared {
		switch body := explained[code]; {
		case body == "":
			t.Errorf("docs/refusals.md does not explain %s: say what it means and what to do", code)
		case len(body) < 40 || strings.Contains(body, "\n\n"):
			t.Errorf("docs/refusals.md on %s: write one or two lines, with the remedy", code)
		}
	}
	for code := range explained {
		if !slices.Contains(declared, code) {
			t.Errorf("docs/refusals.md explains %s, which scheduler/cluster/refusal.go does not declare", code)
		}
	}
}

// documented are the types in the order in which they are explained, with what
// asks for them.
var documented = []struct{ typ, how string }{
	{"Head", ""},
	{"Stale", ""},
	{"Status", "`evenkeel status`, method `Status`"},
	{"Fleet", ""},
	{"Quorum", ""},
	{"Reserve", "in `Status`"},
	{"Pause", ""},
	{"Freeze", ""},
	{"Refusal", ""},
	{"Warning", ""},
	{"Ref", ""},
	{"Host", "`evenkeel hosts`, method `Hosts`: kind `HostList`"},
	{"VM", "`evenkeel vms`, method `VMs`: kind `VMList`"},
	{"RunQueueLatency", ""},
	{"VMRule", "in a `VM`"},
	{"WaitShares", ""},
	{"Culprit", ""},
	{"BlockCounters", ""},
	{"Block", ""},
	{"BlockFigures", ""},
	{"Memory", ""},
	{"Network", ""},
	{"Pressure", ""},
	{"Processor", ""},
	{"Move", "`evenkeel history` and `evenkeel migrations`, method `Moves`: kind `MoveList`, newest first"},
	{"Effect", ""},
	{"Bystander", ""},
	{"Progress", ""},
	{"Evidence", ""},
	{"Decision", "`evenkeel history --decisions`, method `Decisions`: kind `DecisionList`, newest first"},
	{"Candidate", ""},
	{"Score", "in `score` of a candidate"},
	{"ScoreTerm", "in `terms` of a score"},
	{"Plan", "`evenkeel plan`, method `Plan`"},
	{"Step", ""},
	{"Explanation", "`evenkeel explain`, method `Explain`"},
	{"Fit", "`evenkeel doctor --vm`, method `Fits`: kind `FitList`, by target"},
	{"Pair", "`evenkeel doctor --pairs`, method `Pairs`: kind `PairList`, by source and target"},
	{"StuckVM", "part of `evenkeel report`, method `Stuck`: kind `StuckList`, by name"},
	{"Hindrance", ""},
	{"FitRequest", "request of `Fits`"},
	{"Settings", "`evenkeel policy show`, method `GetSettings`"},
	{"QuietHours", "in `Settings`"},
	{"Rule", "`evenkeel rules`, method `Rules`: kind `RuleList`, oldest first"},
	{"RuleSpec", ""},
	{"Violation", ""},
	{"Peer", "`evenkeel cluster peers`, method `Peers`: kind `PeerList`; method `Peer` asks one member: field `peer`"},
	{"ServerVersion", "method `Version`"},
	{"LocalVM", "method `LocalVMs`, which members ask each other: kind `LocalVMList`, and `member`, the id of the one that counts"},
	{"Change", "what every method that changes something answers"},
	{"Mode", ""},
	{"Act", "begins every request that changes something"},
	{"ModeRequest", "`evenkeel mode`, method `SetMode`"},
	{"PauseRequest", "`evenkeel pause`, method `Pause`"},
	{"ResumeRequest", "`evenkeel resume`, method `Resume`"},
	{"Cordon", "in a `Host`"},
	{"CordonRequest", "`evenkeel cordon` and `evenkeel drain`, method `Cordon`"},
	{"UncordonRequest", "`evenkeel uncordon` and `evenkeel undrain`, method `Uncordon`"},
	{"MigrateRequest", "`evenkeel migrate`, method `Migrate`"},
	{"CancelRequest", "`evenkeel migrations cancel`, method `Cancel`"},
	{"ResolveRequest", "`evenkeel migrations resolve`, method `Resolve`"},
	{"SettingsRequest", "`evenkeel policy set`, method `SetSettings`"},
	{"VMRuleRequest", "`evenkeel vms set`, method `SetVMRule`"},
	{"RulesRequest", "`evenkeel rules add`, `rm` and `apply`, method `SetRules`"},
	{"RuleChange", ""},
	{"QuietRequest", "`evenkeel policy quiet`, method `SetQuiet`"},
	{"AddMemberRequest", "`evenkeel cluster add`, method `AddMember`"},
	{"Join", "in the answer to `evenkeel cluster add`"},
	{"RemoveMemberRequest", "`evenkeel cluster remove`, method `RemoveMember`"},
	{"RevokeCertificateRequest", "`evenkeel certs revoke`, method `RevokeCertificate`"},
	{"TransferLeaderRequest", "`evenkeel cluster transfer-leader`, method `TransferLeader`"},
	{"FinalizeRequest", "`evenkeel cluster upgrade finalize`, method `Finalize`"},
	{"LockRequest", "`evenkeel cluster lock`, method `TakeLock`"},
	{"SnapshotRequest", "request of `Snapshot`, which streams"},
	{"SnapshotPart", ""},
	{"PastRequest", "request of `Past`"},
	{"Past", "`evenkeel history --since`, method `Past`"},
	{"ReplayRequest", "request of `Replay`"},
	{"Replay", "`evenkeel replay`, method `Replay`"},
	{"RecordRequest", "request of `Record`, which streams"},
	{"RecordPart", ""},
	{"RecordSpan", ""},
	{"RecordGap", ""},
	{"RecordedEntry", ""},
	{"Simulation", "`evenkeel simulate --last`, which reads `Record`"},
	{"SimulationColumn", ""},
	{"SimulatedMove", ""},
	{"SimulationCheck", ""},
	{"SimulationModel", ""},
	{"UnlockRequest", "`evenkeel cluster unlock`, method `GiveLock`"},
	{"EventPage", "`evenkeel events`, method `Events`; with `--follow` its items come one a line"},
	{"Event", "also what webhooks get, see docs/events.md"},
	{"Subject", ""},
	{"Notice", "what a webhook's receiver gets"},
	{"Webhook", "in `evenkeel status`"},
	{"EventsRequest", "request of `Events`"},
	{"LastKnown", "`evenkeel vms --last-known HOST`, method `LastKnown`"},
	{"LastKnownVM", ""},
	{"LastKnownRequest", "request of `LastKnown`"},
	{"HistoryRequest", "request of `Moves` and `Decisions`"},
	{"ExplainRequest", "request of `Explain`"},
	{"FleetPlan", "in `evenkeel plan --fleet`"},
	{"PlanRequest", "request of `Plan`"},
	{"Top", "`evenkeel top`: one look, a line each without `--once`"},
}

const marker = "<!-- generated"

func TestJSONReferenceIsCurrent(t *testing.T) {
	const path = "../../../docs/reference/json.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	written, _, found := strings.Cut(string(text), marker)
	if !found {
		t.Fatalf("%s has no line that begins with %s", path, marker)
	}
	line, _, _ := strings.Cut(string(text)[len(written):], "\n")
	want := written + line + "\n" + reference(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s is not what the types say; run: go test ./cmd/internal/api -run JSONReference -update", path)
	}
}

// reference writes a table for every documented type.
func reference(t *testing.T) string {
	structs := map[string]*ast.StructType{}
	comments := map[string]string{}
	for _, f := range parseFolder(t, ".") {
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok {
					if s, ok := typ.Type.(*ast.StructType); ok {
						structs[typ.Name.Name] = s
						doc := typ.Doc
						if doc == nil {
							doc = gen.Doc
						}
						comments[typ.Name.Name] = oneLine(doc)
					}
				}
			}
		}
	}
	var b strings.Builder
	listed := map[string]bool{}
	for _, d := range documented {
		s := structs[d.typ]
		if s == nil {
			t.Fatalf("no struct %s in this package", d.typ)
		}
		listed[d.typ] = true
		fmt.Fprintf(&b, "\n## %s\n\n", d.typ)
		if d.how != "" {
			fmt.Fprintf(&b, "%s. ", strings.ToUpper(d.how[:1])+d.how[1:])
		}
		fmt.Fprintf(&b, "%s\n\n| field | type | meaning |\n|---|---|---|\n", comments[d.typ])
		for _, f := range s.Fields.List {
			fmt.Fprint(&b, row(f))
		}
	}
	for name, s := range structs {
		if ast.IsExported(name) && !listed[name] && tagged(s) && name != "List" && name != "PeerAnswer" && name != "LocalAnswer" {
			t.Errorf("type %s has JSON names and is not in the list of documented types", name)
		}
	}
	return b.String()
}

// row documents one field; an embedded one stands for its own fields.
func row(f *ast.Field) string {
	meaning := strings.TrimSpace(oneLine(f.Doc) + " " + oneLine(f.Comment))
	if len(f.Names) == 0 {
		name := typeName(f.Type)
		return fmt.Sprintf("| *all of [%s](#%s)* | | %s |\n", name, strings.ToLower(name), meaning)
	}
	tag, _ := strconv.Unquote(f.Tag.Value)
	name := regexp.MustCompile(`json:"([^",]+)`).FindStringSubmatch(tag)[1]
	if strings.Contains(tag, ",omitempty") {
		meaning = strings.TrimSpace(meaning + " (may be missing)")
	}
	return fmt.Sprintf("| `%s` | %s | %s |\n", name, jsonType(f.Type), strings.ReplaceAll(meaning, "|", `\|`))
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return typeName(e.X)
	}
	return "?"
}

// jsonType names a field's type as JSON has it.
func jsonType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return jsonType(e.X) + " or null"
	case *ast.ArrayType:
		if typeName(e.Elt) == "byte" {
			return "string, base64"
		}
		return "array of " + jsonType(e.Elt)
	case *ast.MapType:
		return "object by name"
	}
	switch name := typeName(e); name {
	case "string", "Code", "Source", "MoveState", "Verdict", "Trigger", "Result", "DiskLock", "Presence", "Role", "HostState", "VMState", "Autostart", "LimitBy", "EventKind", "Severity", "SubjectKind":
		return "string"
	case "int", "int64", "uint64", "uint32", "float64":
		return "number"
	case "bool":
		return "true or false"
	case "Time":
		return "time or null"
	case "CodeCount":
		return "{`code`, `n`}"
	case "Mode":
		if _, foreign := e.(*ast.SelectorExpr); foreign {
			return "string"
		}
		return "[Mode](#mode)"
	default:
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
}

func oneLine(c *ast.CommentGroup) string {
	if c == nil {
		return ""
	}
	return strings.Join(strings.Fields(c.Text()), " ")
}

func tagged(s *ast.StructType) bool {
	return slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool { return f.Tag != nil })
}
