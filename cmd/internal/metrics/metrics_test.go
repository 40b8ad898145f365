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
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

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
		CertExpires: func() time.Time { return time.Unix(1900000000, 0) }, Logger: slog.New(slog.DiscardHandler),
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

var line = regexp.MustCompile(`^([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.e+-]+)$`)

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
		if m == nil || m[1] != name {
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
		"evenkeel_decisions_total":         fmt.Sprint(state.LastDecision),
		"evenkeel_snapshots_applied_total": fmt.Sprint(state.Accepted),
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

// Names, types, help and units are as Prometheus' own linter wants them.
func TestNamesAreAsPrometheusWants(t *testing.T) {
	cfg := config()
	cfg.Local = greedy{2}
	s := &Server{cfg: cfg}
	problems, err := testutil.CollectAndLint(s.gather(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
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
	var out []api.LocalVM
	for i := range l.vms {
		out = append(out, api.LocalVM{UUID: fmt.Sprint(i), Name: fmt.Sprintf("vm \"%d\"\\\n", i), CauseNS: causes, RoleRunNS: threads, RoleWaitNS: threads, Source: "ebpf"})
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

// A move that the State forgets stays counted, and none is counted twice.
func TestEndedMigrationsNeverFall(t *testing.T) {
	state, _ := config().Replica.State()
	var e ended
	for range 2 {
		if got := e.count(state); got[cluster.MoveDone] != 1 || len(got) != 1 {
			t.Errorf("counted %v", got)
		}
	}
	if got := e.count(cluster.New(apitest.ClusterID)); got[cluster.MoveDone] != 1 {
		t.Errorf("after the State forgot it: %v", got)
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
		if (m.Type == counter) != strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s: counters and only they end in _total", m.Name)
		}
		if m.Type != counter && m.Type != gauge || !strings.HasSuffix(m.Help, ".") || strings.ContainsAny(m.Help, "\\\n|") {
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
