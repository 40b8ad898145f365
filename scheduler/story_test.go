package scheduler_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestStories tells each file of testdata/stories to a fleet of its own: prose
// in comments, then hosts, VMs, what happens, and what Plan makes of it. The
// State comes about by the same commands as in a real fleet.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		f := newFleet(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			f.t = t
			return f.tell(t, d)
		})
	})
}

// planCodes are the codes for which Plan leaves things as they are.
var planCodes = []cluster.Code{
	cluster.CodeQuietHours, cluster.CodeNotSelected, cluster.CodeVMMode,
	cluster.CodeRuleAffinity, cluster.CodeRuleAntiAffinity, cluster.CodeRuleSpread, cluster.CodeRulePin, cluster.CodeRuleIgnore,
	cluster.CodeVMBudget,
	cluster.CodeModeOff, cluster.CodeUnknownHost, cluster.CodeStaleSnapshot, cluster.CodePoorQuality, cluster.CodeBelowThreshold,
	cluster.CodeNotSustained, cluster.CodeDisturbed, cluster.CodeClockSkew, cluster.CodeLimitCluster, cluster.CodeBudget, cluster.CodeQuarantined,
	cluster.CodeMoveInFlight, cluster.CodeUnknownVM, cluster.CodeDuplicateVM, cluster.CodeNotRunning, cluster.CodeNoDiskLock,
	cluster.CodeCooldown, cluster.CodeLimitHost, cluster.CodeNoMigrationPath, cluster.CodeNoHeadroom, cluster.CodeNoTarget, cluster.CodeFailoverReserve,
	cluster.CodeWouldNotHelp, cluster.CodeCapacityShort, cluster.CodeGainBelowCost, cluster.CodeGapTooSmall, cluster.CodeCordoned, cluster.CodeHeld, cluster.CodeHeldBack,
	cluster.CodeTooLarge, cluster.CodeTooSlow, cluster.CodeNotConverging,
	cluster.CodeCanary, cluster.CodeNotChecked, cluster.CodeOwnedElsewhere, cluster.CodeMachineType, cluster.CodeNoSuchNetwork, cluster.CodeOneWay,
}

func TestEveryRefusalHasAStory(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*")
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		told.Write(text)
	}
	for _, code := range planCodes {
		if !strings.Contains(told.String(), " "+string(code)+": ") {
			t.Errorf("no story tells of %s", code)
		}
	}
}

func (f *fleet) tell(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "settings":
		return f.tellSettings(d.Input)
	case "vm":
		return f.tellRule(d)
	case "quiet":
		from := f.state.Now.Add(f.duration(names(d)[0]))
		f.must(operator, cluster.SetQuiet{Windows: []string{"daily 01:00-02:00 UTC"}})
		f.must(leader, cluster.ForeseeQuiet{From: from, Until: from.Add(time.Hour)})
		return ""
	case "rule", "unrule":
		return f.tellRules(d)
	case "auto":
		return f.tellScope(d)
	case "pause", "resume":
		return f.tellPause(d)
	case "hosts":
		return f.tellHosts(d.Input)
	case "vms":
		return f.tellVMs(d.Input)
	case "wait":
		return f.tellWait(d)
	case "silent":
		for _, name := range names(d) {
			f.host(name).silent = true
		}
		return ""
	case "move":
		return f.tellMove(d)
	case "plan":
		return f.tellPlan(t, d)
	case "balance":
		return f.tellBalance(t, d)
	case "explain":
		return f.tellExplain(t, d)
	case "order":
		return f.tellOrder()
	case "dirty":
		_, v := f.find(names(d)[0])
		v.dirty = cluster.BytesPerSecond(f.bytes(names(d)[1]))
		return ""
	case "judge":
		return f.tellJudge(d)
	case "writes":
		_, v := f.find(names(d)[0])
		v.writes = cluster.BytesPerSecond(f.bytes(names(d)[1]))
		return ""
	case "cordon", "drain", "uncordon", "undrain":
		return f.tellCordon(d)
	case "describe":
		return f.tellDescribe(d)
	case "wishes":
		return f.tellResult(d, f.wishes(t, d))
	case "ask":
		return f.tellResult(d, f.ask(t, d))
	}
	d.Fatalf(t, "no such directive: %s", d.Cmd)
	return ""
}

func names(d *datadriven.TestData) []string {
	var out []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			out = append(out, a.Key)
		}
	}
	return out
}

// line is "name key=value flag …".
type line struct {
	name string
	args map[string]string
}

func lines(input string) []line {
	var out []line
	for _, text := range strings.Split(strings.TrimSpace(input), "\n") {
		fields := strings.Fields(text)
		l := line{name: fields[0], args: map[string]string{}}
		for _, field := range fields[1:] {
			key, value, _ := strings.Cut(field, "=")
			l.args[key] = value
		}
		out = append(out, l)
	}
	return out
}

// used takes an argument, so that what is left over can be called a mistake.
func (l line) used(key string) (string, bool) {
	v, ok := l.args[key]
	delete(l.args, key)
	return v, ok
}

func (f *fleet) tellSettings(input string) string {
	set := f.state.Settings
	for _, l := range lines(strings.ReplaceAll(input, "=", " v=")) {
		v := l.args["v"]
		switch l.name {
		case "policy":
			set.Policy = v
		case "profile":
			set.Profile = cluster.Profile(v)
		case "cooldown":
			set.Cooldown = f.duration(v)
		case "min_gain":
			set.MinGain = f.ratio(v)
		case "per_host":
			set.PerHost = f.integer(v)
		case "per_cluster":
			set.PerCluster = f.integer(v)
		case "per_hour":
			set.PerHour = f.integer(v)
		case "per_day":
			set.PerDay = f.integer(v)
		case "largest_vm":
			set.LargestVM = f.bytes(v)
		case "longest_move":
			set.LongestMove = f.duration(v)
		case "vm_moves_per_day":
			set.VMMovesPerDay = f.integer(v)
		case "vm_downtime_per_day":
			set.VMDowntimePerDay = f.duration(v)
		case "chains":
			set.Chains = v == "true"
		case "failover_hosts":
			set.FailoverHosts = f.integer(v)
		case "memory_ratio":
			set.MemoryRatio = f.ratio(v)
		case "copy_storage":
			set.CopyStorage = cluster.CopyStorage(v)
		case "move_budget":
			set.MoveBudget = f.duration(v)
		case "networks":
			set.Networks = cluster.Networks(v)
		case "arrive_paused":
			set.ArrivePaused = v == "true"
		case "allow_unlocked":
			set.AllowUnlocked = v == "true"
		default:
			f.t.Fatalf("no setting %s", l.name)
		}
	}
	f.must(operator, cluster.SetSettings{Settings: set})
	return ""
}

func (f *fleet) tellHosts(input string) string {
	for _, l := range lines(input) {
		h := f.addHost(l.name)
		if v, ok := l.used("cpus"); ok {
			h.cpus = f.milli(v)
		}
		if v, ok := l.used("mem"); ok {
			h.memory = f.bytes(v)
		}
		if v, ok := l.used("overhead"); ok {
			h.overhead = f.milli(v)
		}
		if v, ok := l.used("source"); ok {
			h.source = cluster.Source(v)
		}
		if v, ok := l.used("book_error"); ok {
			h.bookError = f.ratio(v)
		}
		if v, ok := l.used("clock"); ok {
			h.clock = f.duration(v)
		}
		h.zone, _ = l.used("zone")
		if v, ok := l.used("link"); ok {
			h.link = cluster.BytesPerSecond(f.bytes(v))
		}
		_, h.noPath = l.used("no_path")
		h.hold, _ = l.used("hold")
		f.nothingLeft(l)
		f.announce(h)
	}
	return ""
}

// tellVMs adds VMs, or changes those that are there.
func (f *fleet) tellVMs(input string) string {
	for _, l := range lines(input) {
		v := f.vm(l.name)
		if on, ok := l.used("on"); ok {
			v = f.addVM(l.name, on)
		}
		f.read(l, v)
		f.nothingLeft(l)
	}
	for _, h := range f.hosts {
		h.revision++
	}
	return ""
}

func (f *fleet) read(l line, v *vm) {
	if s, ok := l.used("vcpus"); ok {
		v.VCPUs = f.integer(s)
	}
	if s, ok := l.used("cpu"); ok {
		v.demand = f.milli(s)
	}
	if s, ok := l.used("quota"); ok {
		v.quota = f.milli(s)
	}
	if s, ok := l.used("shares"); ok {
		v.shares = cluster.Shares(f.integer(s))
	}
	if s, ok := l.used("others"); ok {
		v.others = f.milli(s)
	}
	if s, ok := l.used("mem"); ok {
		v.MaxMemory = f.bytes(s)
	}
	if s, ok := l.used("steal"); ok {
		steal := f.ratio(s)
		v.steal = &steal
	}
	if s, ok := l.used("contention"); ok {
		contention := f.ratio(s)
		v.contention = &contention
	}
	if s, ok := l.used("p99"); ok {
		v.p99 = f.duration(s)
	}
	if s, ok := l.used("resident"); ok {
		v.resident = f.bytes(s)
	}
	if s, ok := l.used("lock"); ok {
		v.Lock = cluster.DiskLock(s)
	}
	if s, ok := l.used("run"); ok {
		v.Run = cluster.RunState(s)
	}
	if s, ok := l.used("also"); ok {
		v.also = s
	}
	if _, ok := l.used("migrating"); ok {
		v.Migrating = true
	}
	if _, ok := l.used("dark"); ok {
		v.dark = true
	}
}

func (f *fleet) nothingLeft(l line) {
	for key := range l.args {
		f.t.Fatalf("%s: no such property: %s", l.name, key)
	}
}

func (f *fleet) tellWait(d *datadriven.TestData) string {
	f.wait(f.duration(names(d)[0]))
	return ""
}

// tellMove takes a move through its life up to a state.
func (f *fleet) tellMove(d *datadriven.TestData) string {
	n := names(d)
	from, v := f.find(n[0])
	f.took, f.copied, f.stood = 0, 0, 0
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "took":
			f.took = f.duration(a.Vals[0])
		case "copied":
			f.copied = f.bytes(a.Vals[0])
		case "downtime":
			f.stood = f.duration(a.Vals[0])
		}
	}
	f.operate(cluster.TriggerOperator, "", n[0], n[1], cluster.MoveState(n[2]))
	if d.HasArg("unseen") { // the source has not noticed yet
		f.shift(v, f.host(n[1]), from)
		from.revision, f.host(n[1]).revision = from.sent, f.host(n[1]).sent
	}
	return ""
}

func (f *fleet) input(t *testing.T, d *datadriven.TestData) scheduler.Input {
	in := scheduler.Input{State: f.state, Now: f.state.Now.Std()}
	d.MaybeScanArgs(t, "policy", &in.Policy)
	in.Advise = d.HasArg("advise")
	return in
}

func (f *fleet) tellPlan(t *testing.T, d *datadriven.TestData) string {
	in := f.input(t, d)
	r := scheduler.Plan(in)
	if !in.Advise {
		f.checkOrders(in, r)
	}
	return f.tellResult(d, r)
}

// tellBalance plans for the whole fleet.
func (f *fleet) tellBalance(t *testing.T, d *datadriven.TestData) string {
	in, most := f.input(t, d), 20
	in.Seed, in.Workers, in.Iterations = 1, 1, 50_000
	d.MaybeScanArgs(t, "moves", &most)
	r := scheduler.Balance(in, most, nil)
	return f.tellResult(d, r.Result) + fmt.Sprintf("worst %v -> %v  waiting %.1f -> %.1f CPUs  %sleft %d\n", r.Before.Worst, r.After.Worst, r.Before.Waiting.CPUs(), r.After.Waiting.CPUs(), brokenRules(r), r.Left)
}

func brokenRules(r scheduler.Sequence) string {
	if r.Before.Broken+r.After.Broken == 0 {
		return ""
	}
	return fmt.Sprintf("broken %d -> %d  ", r.Before.Broken, r.After.Broken)
}

// tellResult tells what was planned, and what was refused.
func (f *fleet) tellResult(d *datadriven.TestData, r scheduler.Result) string {
	var b strings.Builder
	for _, m := range r.Moves {
		fmt.Fprintf(&b, "move %s %s->%s  %s\n", m.VMName, f.nameOf(m.Source), f.nameOf(m.Target), f.effect(m))
	}
	if len(r.Moves) == 0 {
		fmt.Fprintf(&b, "stay  %s: %s\n", r.Code, r.Text)
	}
	for _, c := range r.Refused {
		fmt.Fprintf(&b, "keep %-6s %s: %s\n", f.nameOf(c.VM), c.Code, c.Text)
	}
	if len(r.Counts) > 0 {
		fmt.Fprintf(&b, "refused %s\n", counts(r.Counts))
	}
	if d.HasArg("reason") {
		for _, m := range r.Moves {
			fmt.Fprintf(&b, "because %s\n", m.Reason)
		}
	}
	if d.HasArg("foresee") {
		for _, m := range r.Moves {
			b.WriteString(f.foreseen(m))
		}
	}
	return b.String()
}

// foreseen tells what of a step is predicted beyond its effect.
func (f *fleet) foreseen(m scheduler.Step) string {
	e := m.Predicted
	text := fmt.Sprintf("foresee downtime %v  p99 %s %v->%v  %s %v->%v  %s %v->%v\n", e.Downtime.Round(time.Millisecond),
		m.VMName, e.VMP99Before, e.VMP99After, f.nameOf(m.Source), e.SourceP99Before, e.SourceP99After, f.nameOf(m.Target), e.TargetP99Before, e.TargetP99After)
	text += fmt.Sprintf("foresee memory %s %v->%v  %s %v->%v", f.nameOf(m.Source), e.SourceMemoryBefore, e.SourceMemoryAfter, f.nameOf(m.Target), e.TargetMemoryBefore, e.TargetMemoryAfter)
	if e.Bystander != "" {
		text += fmt.Sprintf("  bystander %s %s", f.nameOf(e.Bystander), arrow(e.BystanderContentionBefore, e.BystanderContentionAfter))
	}
	return text + "\n"
}

func (f *fleet) effect(m scheduler.Step) string {
	e := m.Predicted
	return fmt.Sprintf("steal %s %s  %s %s  %s %s  copies %v in ~%v", f.nameOf(m.Source), arrow(e.SourceContentionBefore, e.SourceContentionAfter),
		m.VMName, arrow(e.VMContentionBefore, e.VMContentionAfter), f.nameOf(m.Target), arrow(e.TargetContentionBefore, e.TargetContentionAfter), e.Bytes, e.Duration.Round(time.Second))
}

func arrow(before, after cluster.Ratio) string {
	return fmt.Sprintf("%.1f%%->%.1f%%", before.Float()*100, after.Float()*100)
}

func counts(all []cluster.CodeCount) string {
	var out []string
	for _, c := range all {
		out = append(out, fmt.Sprintf("%s×%d", c.Code, c.N))
	}
	return strings.Join(out, " ")
}

func (f *fleet) tellExplain(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	for _, v := range scheduler.Explain(f.input(t, d), f.idOf(names(d)[0])) {
		what := string(v.Code)
		if v.Code == "" {
			what = "may, and would pay"
		}
		if v.Chosen {
			what = "chosen"
		}
		subject := strings.TrimSpace(v.VMName + " " + f.nameOf(v.Source))
		if v.Target != "" {
			subject += "->" + f.nameOf(v.Target)
		}
		fmt.Fprintf(&b, "%s  %s: %s\n", subject, what, v.Text)
	}
	return b.String()
}

// tellOrder carries out the plan in the model: each step is ordered and done.
func (f *fleet) tellOrder() string {
	var b strings.Builder
	for _, m := range f.carryOut(cluster.TriggerAuto, scheduler.Plan(scheduler.Input{State: f.state}).Moves) {
		fmt.Fprintf(&b, "%s is on %s\n", m.VMName, f.nameOf(m.Target))
	}
	return b.String()
}

func (f *fleet) carryOut(trigger cluster.Trigger, moves []scheduler.Step) []scheduler.Step {
	for _, m := range moves {
		f.operate(trigger, m.Code, m.VMName, f.nameOf(m.Target), cluster.MoveDone)
	}
	return moves
}

func (f *fleet) nameOf(id string) string {
	for name, known := range f.ids {
		if known == id {
			return name
		}
	}
	return id
}

func (f *fleet) idOf(name string) string {
	id, ok := f.ids[name]
	if !ok {
		f.t.Fatalf("nothing is called %s", name)
	}
	return id
}

func (f *fleet) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	f.ok(err)
	return d
}

func (f *fleet) integer(s string) int {
	n, err := strconv.Atoi(s)
	f.ok(err)
	return n
}

// milli reads CPUs.
func (f *fleet) milli(s string) cluster.MilliCPU {
	n, err := strconv.ParseFloat(s, 64)
	f.ok(err)
	return cluster.MilliCPU(n*1000 + 0.5)
}

func (f *fleet) ratio(s string) cluster.Ratio {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	f.ok(err)
	return cluster.Ratio(n * 10_000)
}

func (f *fleet) bytes(s string) cluster.Bytes {
	units := map[string]cluster.Bytes{"MiB": cluster.MiB, "GiB": cluster.GiB}
	i := slices.IndexFunc([]byte(s), func(c byte) bool { return c > '9' })
	if i < 0 || units[s[i:]] == 0 {
		f.t.Fatalf("%s is no size", s)
	}
	return cluster.Bytes(f.integer(s[:i])) * units[s[i:]]
}

func (f *fleet) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// tellCordon is an operator's word about a host.
func (f *fleet) tellCordon(d *datadriven.TestData) string {
	host := f.ids[names(d)[0]]
	var body cluster.Body = cluster.SetCordon{Host: host, Drain: d.Cmd == "drain"}
	if d.Cmd == "uncordon" || d.Cmd == "undrain" {
		body = cluster.LiftCordon{Host: host, Restore: d.HasArg("restore")}
	}
	f.must(operator, body)
	return ""
}

// wishes plans what operators asked for; with "done" its moves are carried out.
func (f *fleet) wishes(t *testing.T, d *datadriven.TestData) scheduler.Result {
	t.Helper()
	r := scheduler.Wishes(f.input(t, d))
	if again := scheduler.Wishes(f.input(t, d)); !reflect.DeepEqual(r, again) {
		t.Errorf("the same input gives %+v and %+v", r, again)
	}
	if d.HasArg("done") {
		f.carryOut(cluster.TriggerOperator, r.Moves)
	}
	return r
}

func (f *fleet) ask(t *testing.T, d *datadriven.TestData) scheduler.Result {
	t.Helper()
	n, target := names(d), ""
	if n[1] != "best" {
		target = f.idOf(n[1])
	}
	r := scheduler.Ask(f.input(t, d), f.idOf(n[0]), target, "ann wants it")
	if d.HasArg("done") {
		f.carryOut(cluster.TriggerOperator, r.Moves)
	}
	return r
}

// tellJudge is what was measured after a VM's last move.
func (f *fleet) tellJudge(d *datadriven.TestData) string {
	n := names(d)
	for _, m := range f.state.MovesBackward() {
		if m.VM == f.idOf(n[0]) {
			measured := m.Predicted
			if len(n) > 2 {
				measured.VMContentionAfter = f.ratio(n[2])
			}
			f.must(leader, cluster.Verify{Move: m.ID, Verdict: cluster.Verdict(n[1]), Measured: &measured})
			return ""
		}
	}
	d.Fatalf(f.t.(*testing.T), "%s was not moved", n[0])
	return ""
}
