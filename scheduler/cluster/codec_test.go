package cluster

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew; then read the diff")

// samples is a command of each kind, every field filled.
func samples() []Body {
	set := DefaultSettings()
	set.Bandwidth, set.AllowUnlocked, set.ArrivePaused = 1<<30, true, true
	set.MaxDowntime, set.AutoConverge = 500*time.Millisecond, true
	set.Definitions, set.Parallel = DefinitionsEverywhere, 4
	set.AllowUnsafe, set.AutoUndo, set.PostCopy = true, true, true
	set.Networks, set.MemoryRatio = NetworksStated, 1_500_000
	order := Order{
		ID: "m-1", VM: vmA, Source: hv1, Target: hv2, Trigger: TriggerAuto, Code: CodeRelieved, Reason: "steal", Term: 3, DecidedOn: 17,
		Deadline: epoch + 30, StartWindow: 30 * time.Second, Budget: time.Minute,
		Predicted: Effect{
			750_000, 0, 750_000, 667_000, 0, 10, 3 * time.Second, 40 * time.Millisecond, GiB, 900, 850, 20, 19, LayerQEMU, 4000, 3900,
			24 * time.Millisecond, time.Millisecond, 25 * time.Millisecond, 12 * time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond,
			4 * GiB, 3 * GiB, GiB, 2 * GiB, vmB, 10_000, 20_000,
		},
		Try: true,
	}
	snapshot := Snapshot{Host: hv1, Incarnation: 1, Sequence: 2, Inventory: homes(hv1), Load: testLoad(epoch)}
	snapshot.Load.Lost, snapshot.Load.BookError, snapshot.Load.Overhead = 4, 1000, 30
	snapshot.Load.VMs = []VMLoad{{Slot: 49, Run: 250, Wait: 750, Others: 9, Demand: 1000, Steal: 750_000, StealMax: 750_000, Contention: 700_000, ContentionMax: 700_000, P50: 1, P99: 2, P999: 3}}
	snapshot.Load.Contention, snapshot.Load.ContentionMax, snapshot.Load.Cost, snapshot.Load.Interrupts = 700_000, 700_000, 12, 7
	snapshot.Load.Pressure = &Pressure{1, 2, 3, 4, 5}
	snapshot.Load.VMs[0].Settling, snapshot.Load.VMs[0].Poller = true, true
	snapshot.Details = &Details{Window: 10 * time.Second, Vitals: 15 * time.Second, Inventory: 1, VMs: []Detail{fullDetail()}}
	snapshot.Inventory.VMs[0].Incoming, snapshot.Inventory.VMs[0].Migrating, snapshot.Inventory.VMs[0].Persistent = true, true, true
	member := testHost(hv1)
	member.Disk = "d0000000-0000-4000-8000-000000000001"
	member.Boot = "b0000000-0000-4000-8000-000000000001"
	member.Processor = &Processor{"Xeon", 1, 2100}
	member.MigrationLink = 125_000_000
	member.MigrationAddress, member.Lab, member.JoinedAt = "10.0.0.1", true, epoch
	candidate := Candidate{vmA, hv1, hv3, CodeNoHeadroom, "too full", Effect{VMContentionBefore: 1}, "r-1", []ScoreTerm{{"worst", 1_500_000}}}
	evidence := Evidence{PresenceRunning, true, epoch}
	return []Body{
		Announce{testCluster, member},
		Snapshots{[]Snapshot{snapshot}},
		Decide{Decision{
			"d-1", epoch, 17, epoch, 9, Chain(strings.Repeat("0a", 32)), 3, witness, ModeAuto, "demand", TriggerAuto, ResultMoved, CodeCooldown, "why",
			[]Candidate{candidate},
			[]Candidate{candidate},
			[]CodeCount{{CodeNoHeadroom, 2}},
			[]string{"m-1"},
			5, epoch, 18, &Asked{"ann", vmA, hv3}, "m-0",
		}, []Order{order}},
		Reserve{"m-1"},
		Veto{"m-1", CodeTargetBusy, "busy"},
		Claim{"m-1", 1},
		Release{"m-1", "too late", CodeJobActive},
		Start{Move: "m-1", Autostart: true, Limit: Limit{1 << 30, LimitSource}},
		Advance{"m-1", Progress{GiB, MiB, GiB - MiB, 5, 6, 2, 20}},
		EndJob{"m-1", "reset", true, evidence},
		Testify{"m-1", evidence, 41 * time.Millisecond, GiB, true},
		Expire{"m-1"},
		Cancel{"m-1", "no"},
		Resolve{"m-1", hv2, "seen"},
		Verify{"m-1", &Effect{VMContentionAfter: 3}, VerdictBetter, "helped", CodeDisturbed},
		SetMode{ModeAuto, "go", nil},
		Pause{epoch + 60, "lunch", "", ""},
		Resume{"back", "", ""},
		Freeze{"silence", epoch + 60},
		SetSettings{set, "tuned"},
		RaiseLevel{2},
		AddToken{Token{"t-0badcafe", "0badcafe" + strings.Repeat("a5", 28), "hv9", RoleWitness, epoch + 3600, true, "op", epoch, hv2}, "new"},
		UseToken{"t-0badcafe", hv2},
		RemoveMember{hv2, true, "scrapped"},
		TakeLock{"l-1", "hv1", epoch + 60, "upgrade"},
		GiveLock{"l-1", "done"},
		RevokeCertificate{hv2, "bob", epoch + 60, "laptop in the train"},
		SetCordon{hv2, true, "new board"},
		LiftCordon{hv2, true, "back"},
		Pause{epoch + 60, "lunch", hv2, ""},
		Pause{epoch + 60, "lunch", "", vmA},
		Resume{"back", hv2, ""},
		Resume{"back", "", vmA},
		SetMode{ModeAuto, "go", &Scope{[]string{"web-*"}, []string{"hv1", "hv2"}}},
		SetQuiet{[]string{"mon-fri 22:00-06:00 Europe/Berlin"}, "backups"},
		ForeseeQuiet{vmA, epoch, epoch + 60},
		SetVMRule{vmA, ModeRecommend, 2, 500 * time.Millisecond, []string{"daily 01:00-02:00 UTC"}, "licence server"},
		SetRules{
			[]RuleChange{
				{"r-1", RuleSpec{Name: "web", Kind: RulePin, Should: true, VMs: []string{"web-*", vmA}, Hosts: []string{"hv1", "zone=a"}, Text: "licences"}},
				{"", RuleSpec{Name: "etl", Kind: RuleDemand, VMs: []string{"etl"}, Demand: 2500, Bound: BoundAtLeast}},
				{"", RuleSpec{Name: "night", Kind: RuleClass, VMs: []string{"batch-?"}, Class: ClassBatch}},
			},
			[]string{"r-2"},
			"rules.yaml",
		},
		Deliver{[]Delivery{{"pager", 41, epoch}}},
		Describe{1, 7, fullOffer(), []*Need{fullNeed()}, []Needy{{vmA, 0}}, []string{vmB}, nil, nil, []MetaRules{{vmA, []MetaRule{{Kind: RulePin, Hosts: []string{"zone=a"}}}, "rule 2: no kind"}}},
	}
}

// TestCommandBytes holds the form of every command in the log: what an older
// version wrote must be read for ever.
func TestCommandBytes(t *testing.T) {
	const golden = "testdata/commands.golden"
	var out bytes.Buffer
	kinds := map[string]bool{}
	for _, body := range samples() {
		c := Command{1, "id-1", Actor{KindAgent, hv1, "hv1"}, epoch, body}
		data, err := EncodeCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeCommand(data)
		if err != nil {
			t.Fatalf("%s: %v", c.Kind(), err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Errorf("%s does not survive encoding: %s", c.Kind(), diff)
		}
		kinds[c.Kind()] = true
		if data[0] != '{' {
			data = dump(t, data)
		}
		out.Write(append(data, '\n'))
	}
	for _, body := range laterBodies {
		kinds[body.kind()] = true // has its own golden bytes
	}
	for kind := range bodies {
		if !kinds[kind] {
			t.Errorf("no sample of %s", kind)
		}
	}
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("the bytes of commands changed; old logs would be read differently: %s", diff)
	}
}

// dump tells the bytes of an entry of one snapshot part by part.
func dump(t *testing.T, data []byte) []byte {
	t.Helper()
	r := &reader{data: data, what: "dump"}
	var out bytes.Buffer
	from := 0
	part := func(name string) {
		fmt.Fprintf(&out, "snapshots %-22s %x\n", name, data[from:r.off])
		from = r.off
	}
	r.byte()
	part("format")
	r.uint()
	part("level")
	r.num(wireMillisecond)
	part("time")
	r.byte()
	r.text(maxActorID, "id")
	r.text(maxName, "name")
	part("actor")
	r.text(maxActorID, "id")
	part("id")
	r.uint()
	part("digests")
	r.uint()
	part("digest: bytes")
	r.byte()
	flags := r.byte()
	part("digest: format, flags")
	r.id()
	part("digest: host")
	r.uint()
	r.uint()
	part("digest: start, number")
	r.load(flags&digestPressure != 0, nil)
	part("digest: figures, VMs")
	r.details()
	part("digest: details")
	r.inventory()
	part("digest: inventory")
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func TestDecodeCommandRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		data  string
		level bool // must stop the replica
	}{
		"nothing":         {"", false},
		"no JSON":         {"\x00\x01", false},
		"figures in JSON": {`{"level":1,"kind":"snapshots","body":{"batch":[]}}`, false},
		"later format":    {"\x02\x01", true},
		"format, higher":  {"\x01\x09", true},
		"format, alone":   {"\x01", false},
		"no kind":         {`{"level":1,"body":{}}`, true},
		"unknown kind":    {`{"level":1,"kind":"teleport","body":{}}`, true},
		"higher level":    {`{"level":9,"kind":"resume","body":{}}`, true},
		"higher, no body": {`{"level":9,"kind":"resume","body":{"new":1}}`, true},
		"unknown field":   {`{"level":1,"kind":"resume","body":{"new":1}}`, false},
		"two bodies":      {`{"level":1,"kind":"resume","body":{}{}}`, false},
		"no body":         {`{"level":1,"kind":"resume"}`, false},
		"wrong type":      {`{"level":1,"kind":"claim","body":{"move":7}}`, false},
		"negative level":  {`{"level":-1,"kind":"resume","body":{}}`, false},
		"negative time":   {`{"level":1,"kind":"resume","at":-1,"body":{}}`, false},
		"time too late":   {`{"level":1,"kind":"resume","at":9223372036854775807,"body":{}}`, false},
		"id too long":     {`{"level":1,"kind":"resume","id":"` + strings.Repeat("x", 129) + `","body":{}}`, false},
		"oversized":       {strings.Repeat(" ", MaxCommandBytes+1), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeCommand([]byte(c.data))
			if err == nil || errors.Is(err, ErrFeatureLevel) != c.level {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestEncodeCommandRefuses(t *testing.T) {
	if _, err := EncodeCommand(Command{Level: 1}); err == nil {
		t.Error("a command without body was encoded")
	}
	huge := Snapshots{make([]Snapshot, 1<<15)}
	if _, err := EncodeCommand(Command{Level: 1, Body: huge}); err == nil {
		t.Error("an oversized command was encoded")
	}
}

func TestDecodeStateRefuses(t *testing.T) {
	head := func(json string) string { return "\x02" + string(rune(len(json))) + json }
	for name, c := range map[string]struct {
		data, word string
	}{
		"nothing":       {"", "cut short"},
		"cut short":     {"\x02\x20{\"header\":", "32 bytes of head"},
		"no JSON":       {head("{\"header\":"), "unexpected EOF"},
		"form of old":   {`{"format":1,"header":{}}`, "format 123"},
		"other format":  {"\x03", "format 3"},
		"higher level":  {head(`{"header":{"level":9}}`) + "\x00\x00", "feature level 9"},
		"unknown field": {head(`{"headers":{}}`), "headers"},
		"no places":     {head(`{"header":{"level":1}}`), "cut short"},
		"endless hosts": {head(`{"header":{"level":1}}`) + "\x00\xff\x7f", "hosts"},
		"too much":      {head(`{"header":{"level":1}}`) + "\x00\x00\x00", "1 bytes too many"},
	} {
		if s, err := DecodeState(strings.NewReader(c.data)); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: decoded to %+v, %v; want an error with %q", name, s, err, c.word)
		}
	}
}

// The powers of agents and operators, kind by kind.
func TestWhoMaySendWhat(t *testing.T) {
	agents := "announce describe reserve veto claim release start advance end-job testify"
	operators := "cancel resolve set-mode pause resume set-settings raise-level add-token remove-member take-lock give-lock set-cordon lift-cordon set-vm-rule set-rules set-quiet revoke-certificate"
	for _, body := range samples() {
		c := Command{Body: body}
		if got, want := c.AgentMay(), has(strings.Fields(agents), c.Kind()); got != want {
			t.Errorf("an agent may send %s: %v", c.Kind(), got)
		}
		if got, want := c.OperatorMay(), has(strings.Fields(operators), c.Kind()); got != want {
			t.Errorf("an operator may send %s: %v", c.Kind(), got)
		}
	}
}

func TestViewShowsBothEnds(t *testing.T) {
	w := newWorld(t)
	id := w.ordered()
	for host, peer := range map[string]string{hv1: hv2, hv2: hv1} {
		v := w.s.ViewFor(host)
		if len(v.Moves) != 1 || v.Moves[0].ID != id || len(v.Peers) != 1 || v.Peers[0].ID != peer || v.Announced != 1 || v.Sequence != 1 || v.Inventory != 1 {
			t.Errorf("the view of %s: %+v", host, v)
		}
		if _, ok := v.Peer(peer); !ok {
			t.Errorf("the view of %s does not find its peer", host)
		}
		if _, ok := v.Peer(hv3); ok {
			t.Errorf("the view of %s finds a bystander", host)
		}
	}
	if v := w.s.ViewFor(hv3); len(v.Moves) != 0 {
		t.Errorf("a bystander's view shows moves")
	}
}

func TestUnitsInWords(t *testing.T) {
	for got, want := range map[string]string{
		Percent(12).String():                             "12.0 %",
		(3 * GiB / 2).String():                           "1.5 GiB",
		(300 * MiB).String():                             "300 MiB",
		Bytes(7).String():                                "7 B",
		Time(0).Std().String():                           "0001-01-01 00:00:00 +0000 UTC",
		epoch.Std().UTC().Format(time.RFC3339):           "2026-09-21T14:13:20Z",
		maxTime.Add(1 << 62).Add(1 << 62).Std().String(): maxTime.Std().String(),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
