package metrics

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite docs/reference/metrics.md; then read the diff")

// sick is a replica with a health of one's own making.
type sick struct {
	Replica
	health consensus.Health
}

func (s sick) Health() consensus.Health { return s.health }

// config is of the leader of a fleet after a move.
func config() Config {
	g := apitest.NewGroup(apitest.Moved(nil), apitest.HV2)
	r := g.Replica(apitest.HV2)
	return Config{
		Listen: "127.0.0.1:0", Replica: r, Local: r, Member: apitest.HV2, Version: "0.1.0-test", Now: g.Now,
		Probes: func() []Probe {
			return []Probe{{"runqueue", 4096, 3, 2 * time.Second, 7}, {"block", 100, 0, time.Millisecond, 0}}
		},
		Libvirt: func() bool { return true }, CertExpires: func() time.Time { return time.Unix(1900000000, 0) }, Logger: slog.New(slog.DiscardHandler),
	}
}

// serve runs a server until the test ends.
func serve(t *testing.T, cfg Config) (base string) {
	t.Helper()
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr().String()
}

func ask(t *testing.T, method, url string, body io.Reader) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // only bounds a hang
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

var line = regexp.MustCompile(`^([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.e+-]+|NaN)$`)

// series reads a page strictly: help and type once and before the values, no
// series twice.
func series(t *testing.T, page string) map[string]string {
	t.Helper()
	out, name := map[string]string{}, ""
	for text := range strings.Lines(page) {
		text = strings.TrimSuffix(text, "\n")
		if ours := strings.TrimPrefix(strings.TrimPrefix(text, "# HELP "), "# TYPE "); strings.HasPrefix(ours, "go_") || strings.HasPrefix(ours, "process_") {
			continue // the library's own
		}
		if rest, ok := strings.CutPrefix(text, "# HELP "); ok {
			name, _, _ = strings.Cut(rest, " ")
			continue
		}
		if strings.HasPrefix(text, "# TYPE "+name+" ") {
			continue
		}
		m := line.FindStringSubmatch(text)
		if m == nil || m[1] != name && !slices.Contains([]string{name + "_bucket", name + "_sum", name + "_count"}, m[1]) {
			t.Fatalf("line %q under %s is not of the text format", text, name)
		}
		if _, twice := out[m[1]+m[2]]; twice {
			t.Errorf("series %s twice", m[1]+m[2])
		}
		out[m[1]+m[2]] = m[3]
	}
	return out
}

func TestScrape(t *testing.T) {
	status, page := ask(t, http.MethodGet, serve(t, config())+"/metrics", nil)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, page)
	}
	got := series(t, page)
	state, _ := config().Replica.State()
	for name, want := range map[string]string{
		"evenkeel_healthy": "1", "evenkeel_raft_is_leader": "1", "evenkeel_raft_voters": "3", "evenkeel_raft_failure_tolerance": "1",
		"evenkeel_cert_expiry_timestamp_seconds": "1.9e+09", "evenkeel_counters_up": "1",
		`evenkeel_migrations_total{result="done"}`: "1", "evenkeel_migrations_in_progress": "0",
		`evenkeel_evaluations_total{result="moved"}`: "1", `evenkeel_decisions_total{trigger="auto"}`: fmt.Sprint(state.LastDecision),
		"evenkeel_migration_duration_seconds_count": "1", "evenkeel_libvirt_up": "1", `evenkeel_host_state{state="ok"}`: "1",
		"evenkeel_snapshots_applied_total": fmt.Sprint(state.Accepted),
		`evenkeel_probe_up{probe="block"}`: "1", `evenkeel_probe_up{probe="runqueue"}`: "1", "evenkeel_host_book_error_ratio": "0",
		`evenkeel_probe_runs_total{probe="runqueue"}`: "4096", `evenkeel_probe_run_seconds_total{probe="runqueue"}`: "2",
		`evenkeel_probe_runs_missed_total{probe="runqueue"}`: "3", `evenkeel_probe_events_lost_total{probe="runqueue"}`: "7",
		`evenkeel_probe_run_seconds_total{probe="block"}`: "0.001",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	modes := 0
	for name, value := range got {
		if strings.HasPrefix(name, "evenkeel_automation_mode{") && value == "1" {
			modes++
		}
	}
	if modes != 1 {
		t.Errorf("%d modes at once", modes)
	}
	ages := 0
	for name := range got {
		if strings.HasPrefix(name, "evenkeel_snapshot_age_seconds{") {
			ages++
		}
	}
	if ages != 2 {
		t.Errorf("ages of %d hosts, want those of 2", ages)
	}
}

// A leader tells how far the others with a seat are behind, by their names; a
// host without a probe, or with the probe taken out, tells what it has.
func TestFollowersAndProbes(t *testing.T) {
	cfg := config()
	health := cfg.Replica.Health()
	health.Followers = []consensus.Follower{{Member: apitest.HV1, Contact: 1500 * time.Millisecond, Behind: 40}}
	cfg.Replica = sick{cfg.Replica, health}
	cfg.Probes = func() []Probe { return nil }
	_, page := ask(t, http.MethodGet, serve(t, cfg)+"/metrics", nil)
	got := series(t, page)
	for name, want := range map[string]string{
		`evenkeel_raft_follower_lag_entries{host="hv1"}`: "40", `evenkeel_raft_follower_last_contact_seconds{host="hv1"}`: "1.5",
		`evenkeel_probe_up{probe="block"}`: "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "evenkeel_probe_run") {
			t.Errorf("%s of a probe that is not there", name)
		}
	}
}

// Names, types, help and units are as Prometheus' own linter wants them.
func TestNamesAreAsPrometheusWants(t *testing.T) {
	cfg := config()
	cfg.Local = greedy{2}
	s := &Server{cfg: cfg, tally: newTally()}
	problems, err := testutil.CollectAndLint(s.gather(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	more, err := testutil.GatherAndLint(s.tally.registry)
	if err != nil {
		t.Fatal(err)
	}
	problems = append(problems, more...)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// greedy is a host whose VMs have everything that can be counted.
type greedy struct{ vms int }

func (l greedy) VMs(context.Context) ([]api.LocalVM, error) {
	causes, threads := map[string]uint64{}, map[string]uint64{}
	for c := range bpf.Causes {
		causes[c.String()] = 1e9
	}
	for r := range bpf.Roles {
		threads[r.String()] = 2e9
	}
	each := map[string]uint64{}
	for o := range bpf.Operations {
		each[o.String()] = 3e9
	}
	block := &api.BlockCounters{Requests: each, Bytes: each, Errors: each, QueueNS: each, DeviceNS: each}
	var out []api.LocalVM
	for i := range l.vms {
		out = append(out, api.LocalVM{UUID: fmt.Sprint(i), Name: fmt.Sprintf("vm \"%d\"\\\n", i), CauseNS: causes, RoleRunNS: threads, RoleWaitNS: threads, Block: block, Source: "ebpf"})
	}
	return out, nil
}

func TestAtMost60SeriesAVM(t *testing.T) {
	count := func(vms int) int {
		cfg := config()
		cfg.Local = greedy{vms}
		_, page := ask(t, http.MethodGet, serve(t, cfg)+"/metrics", nil)
		return len(series(t, page))
	}
	if each := count(2) - count(1); each > 60 || each < 10 {
		t.Errorf("%d series a VM, want at most 60", each)
	}
}

type broken struct{}

func (broken) VMs(context.Context) ([]api.LocalVM, error) { return nil, errors.New("no") }

func TestCountersThatCannotBeReadAreSaid(t *testing.T) {
	cfg := config()
	cfg.Local = broken{}
	_, page := ask(t, http.MethodGet, serve(t, cfg)+"/metrics", nil)
	if got := series(t, page); got["evenkeel_counters_up"] != "0" || got["evenkeel_healthy"] != "1" {
		t.Errorf("page %s", page)
	}
}

func TestHealthz(t *testing.T) {
	leading := config().Replica.Health()
	for name, c := range map[string]struct {
		change func(*consensus.Health)
		want   string
	}{
		"healthy":   {func(*consensus.Health) {}, ""},
		"halted":    {func(h *consensus.Health) { h.Halted = "entry 7 is newer" }, "stopped applying: entry 7 is newer"},
		"unfit":     {func(h *consensus.Health) { h.Unfit = "the disk hangs" }, "the disk hangs"},
		"waiting":   {func(h *consensus.Health) { h.Waiting = "no cluster yet" }, "no cluster yet"},
		"no leader": {func(h *consensus.Health) { h.Leader = "" }, "no leader is known"},
		"stalled":   {func(h *consensus.Health) { h.Stalled = time.Minute }, "no majority has stored"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, health := config(), leading
			c.change(&health)
			cfg.Replica = sick{cfg.Replica, health}
			base := serve(t, cfg)
			status, text := ask(t, http.MethodGet, base+"/healthz", nil)
			want := http.StatusOK
			if c.want != "" {
				want = http.StatusServiceUnavailable
			}
			if status != want || !strings.Contains(text, c.want) {
				t.Errorf("status %d, %q; want %d, %q", status, text, want, c.want)
			}
			_, page := ask(t, http.MethodGet, base+"/metrics", nil)
			if got := series(t, page)["evenkeel_healthy"]; (got == "1") != (c.want == "") {
				t.Errorf("evenkeel_healthy is %s", got)
			}
		})
	}
}

// Nothing but GET and HEAD of two paths is answered, whatever is asked.
func TestOnlyReads(t *testing.T) {
	base := serve(t, config())
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"} {
		for _, path := range []string{"/metrics", "/healthz", "/evenkeel.v1.API/SetMode"} {
			if status, text := ask(t, method, base+path, nil); status/100 != 4 {
				t.Errorf("%s %s: %d %s", method, path, status, text)
			}
		}
	}
	for _, path := range []string{"/", "/metrics/", "/Metrics", "//metrics", "/x/../metrics", "/debug/pprof/", "/evenkeel.v1.API/Status", "/evenkeel.v1.API/Pause"} {
		if status, text := ask(t, http.MethodGet, base+path, nil); status != http.StatusNotFound {
			t.Errorf("GET %s: %d %s", path, status, text)
		}
	}
	if status, _ := ask(t, http.MethodGet, base+"/metrics", strings.NewReader("x")); status != http.StatusBadRequest {
		t.Errorf("a body is taken: %d", status)
	}
	if status, text := ask(t, http.MethodHead, base+"/metrics", nil); status != http.StatusOK || text != "" {
		t.Errorf("HEAD: %d %q", status, text)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	base := serve(t, config())
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // only bounds a hang
	_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
	answer, _ := bufio.NewReader(conn).ReadString('\n')
	if !strings.Contains(answer, "431") {
		t.Errorf("answer %q, want 431", answer)
	}
	if status, _ := ask(t, http.MethodGet, base+"/healthz", nil); status != http.StatusOK {
		t.Errorf("the server does not go on: %d", status)
	}
}

// What the State forgets stays counted, and nothing is counted twice.
func TestCountersNeverFall(t *testing.T) {
	state, _ := config().Replica.State()
	e := newTally()
	counted := func(when string) {
		t.Helper()
		for name, c := range map[string]prometheus.Collector{
			"migrations": e.ended.WithLabelValues("done"), "evaluations": e.evaluations.WithLabelValues("moved"),
		} {
			if got := testutil.ToFloat64(c); got != 1 {
				t.Errorf("%s: %v %s", when, got, name)
			}
		}
	}
	for range 2 {
		e.count(state)
		counted("counted")
	}
	e.count(cluster.New(apitest.ClusterID))
	counted("forgotten")
}

// A decision that was counted grows by the evaluations that were folded into
// it; a verified move tells how far its prediction was off, in shares of wall
// time, and once.
func TestTallyGrows(t *testing.T) {
	e := newTally()
	d := cluster.Decision{ID: "d-1", Result: cluster.ResultNothing, Trigger: cluster.TriggerAuto, Counts: []cluster.CodeCount{{Code: cluster.CodeCooldown, N: 3}}}
	n := e.decision(d, 0)
	d.Repeated = 4
	n = e.decision(d, n)
	e.decision(d, n)
	if all, refused := testutil.ToFloat64(e.evaluations.WithLabelValues("nothing")), testutil.ToFloat64(e.rejected.WithLabelValues("COOLDOWN")); all != 5 || refused != 3 {
		t.Errorf("%v evaluations, %v refusals; want 5 and 3", all, refused)
	}
	m := cluster.Move{State: cluster.MoveDone, Bytes: cluster.GiB, Downtime: 100 * time.Millisecond, StartedAt: 1, JobEndedAt: cluster.Time(1).Add(8 * time.Second)}
	m.Predicted = cluster.Effect{
		TargetContentionAfter: cluster.Percent(10), Downtime: 300 * time.Millisecond, VMP99After: 3 * time.Millisecond,
		TargetMemoryAfter: cluster.GiB, SourceMemoryAfter: cluster.GiB, Bystander: "b", BystanderContentionAfter: cluster.Percent(4),
	}
	was := e.move(m, stage{})
	m.Measured = &cluster.Effect{
		TargetContentionAfter: cluster.Percent(25), Downtime: 100 * time.Millisecond, VMP99After: 2 * time.Millisecond,
		TargetMemoryAfter: 2 * cluster.GiB, Bystander: "b", BystanderContentionAfter: cluster.Percent(7), // of the source nothing is known
	}
	was = e.move(m, was)
	e.move(m, was)
	families, err := e.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"target_contention": 0.15, "downtime": 2, "vm_contention": 0, "source_contention": 0, "vm_run_queue_p99": 0.5, "target_memory": 0.5, "bystander_contention": 0.03}
	for _, f := range families {
		if f.GetName() != "evenkeel_prediction_error_ratio" {
			continue
		}
		for _, m := range f.GetMetric() {
			figure, h := m.GetLabel()[0].GetValue(), m.GetHistogram()
			if off, ok := want[figure]; !ok || h.GetSampleCount() != 1 || math.Abs(h.GetSampleSum()-off) > 1e-3 {
				t.Errorf("%s: %d errors, together %v; want one of %v", figure, h.GetSampleCount(), h.GetSampleSum(), off)
			}
			delete(want, figure)
		}
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	if got := testutil.ToFloat64(e.bytes); got != float64(cluster.GiB) {
		t.Errorf("%v bytes", got)
	}
}

// A VM that evenkeel takes back to where it was in the morning went to and fro;
// one that a person takes back, or that comes back on the next day, did not.
func TestReturnsAreCounted(t *testing.T) {
	hour := func(n int) cluster.Time { return cluster.Time(1).Add(time.Duration(n) * time.Hour) }
	left := departures{}
	for _, move := range []struct {
		vm, source, target string
		trigger            cluster.Trigger
		state              cluster.MoveState
		at                 int
		back               bool
	}{
		{"a", "hv1", "hv2", cluster.TriggerAuto, cluster.MoveDone, 0, false},
		{"b", "hv2", "hv1", cluster.TriggerAuto, cluster.MoveDone, 1, false},
		{"a", "hv2", "hv1", cluster.TriggerAuto, cluster.MoveFailed, 2, false},
		{"a", "hv2", "hv3", cluster.TriggerAuto, cluster.MoveDone, 3, false},
		{"a", "hv3", "hv1", cluster.TriggerAuto, cluster.MoveDone, 23, true},
		{"a", "hv1", "hv3", cluster.TriggerOperator, cluster.MoveDone, 24, false},
		{"a", "hv3", "hv2", cluster.TriggerAuto, cluster.MoveDone, 28, false}, // 25 hours after it left
	} {
		m := cluster.Move{
			Order: cluster.Order{VM: move.vm, Source: move.source, Target: move.target, Trigger: move.trigger},
			State: move.state, EndedAt: hour(move.at),
		}
		if got := left.back(m); got != move.back {
			t.Errorf("%+v: back %v", move, got)
		}
	}
}

// The names follow Prometheus' conventions, and stand in the reference.
func TestReference(t *testing.T) {
	var doc bytes.Buffer
	doc.WriteString("# Metrics\n\nWhat `/metrics` at `listen.metrics` (default 127.0.0.1:7472) tells. Made from `cmd/internal/metrics/catalogue.go` by\n`go test ./cmd/internal/metrics -run TestReference -update`.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n")
	seen := map[string]bool{}
	name := regexp.MustCompile(`^evenkeel(_[a-z0-9]+)+$`)
	for _, m := range Catalogue {
		if !name.MatchString(m.Name) || seen[m.Name] || strings.Contains(m.Name, "milli") || strings.Contains(m.Name, "_ns") {
			t.Errorf("%s: not a name, or twice, or not in base units", m.Name)
		}
		seen[m.Name] = true
		if (m.Type == histogram) != (m.Buckets != nil) {
			t.Errorf("%s: buckets are a histogram's", m.Name)
		}
		if (m.Type == counter) != strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s: counters and only they end in _total", m.Name)
		}
		if !slices.Contains([]string{counter, gauge, histogram}, m.Type) || !strings.HasSuffix(m.Help, ".") || strings.ContainsAny(m.Help, "\\\n|") {
			t.Errorf("%s: type %q, help %q", m.Name, m.Type, m.Help)
		}
		fmt.Fprintf(&doc, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.Labels, ", "), m.Help)
	}
	const path = "../../../docs/reference/metrics.md"
	if *update {
		if err := os.WriteFile(path, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, doc.Bytes()) {
		t.Errorf("%s is not what the catalogue says (%v); run with -update and read the diff", path, err)
	}
}
