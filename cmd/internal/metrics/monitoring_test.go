package metrics

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const monitoring = "../../../deploy/monitoring"

// Alerts and dashboard ask for metrics that there are.
func TestMonitoringKnowsTheMetrics(t *testing.T) {
	for _, file := range []string{"alerts.yml", "alerts_test.yml", "dashboard.json"} {
		names := regexp.MustCompile(`evenkeel_[a-z0-9_]+`).FindAllString(read(t, filepath.Join(monitoring, file)), -1)
		if len(names) < 10 {
			t.Errorf("%s names %d metrics only", file, len(names))
		}
		for _, name := range names {
			base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
			m, known := find(name)
			if !known {
				m, known = find(base)
				known = known && m.Type == histogram
			}
			if !known {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
}

// Each alert links to its runbook, and each runbook has its alert.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(monitoring, "alerts.yml"))), &file); err != nil {
		t.Fatal(err)
	}
	books := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(read(t, "../../../docs/runbooks.md"), -1) {
		books[m[1]] = true
	}
	played := read(t, filepath.Join(monitoring, "alerts_test.yml"))
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if !books[rule.Alert] {
				t.Errorf("%s has no runbook", rule.Alert)
			}
			delete(books, rule.Alert)
			if link := rule.Annotations["runbook_url"]; !strings.HasSuffix(link, "docs/runbooks.md#"+strings.ToLower(rule.Alert)) {
				t.Errorf("%s links to %q", rule.Alert, link)
			}
			if !slices.Contains([]string{"info", "warning", "critical"}, rule.Labels["severity"]) || rule.Annotations["summary"] == "" {
				t.Errorf("%s: severity %q, summary %q", rule.Alert, rule.Labels["severity"], rule.Annotations["summary"])
			}
			if !strings.Contains(played, `alertname="`+rule.Alert+`"`) {
				t.Errorf("no test sees %s fire", rule.Alert)
			}
		}
	}
	for name := range maps.Keys(books) {
		t.Errorf("runbook %s belongs to no alert", name)
	}
}

// Prometheus' own tool plays the alerts.
func TestAlertsFire(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "prometheus") {
			t.Fatalf("EVENKEEL_REQUIRE names prometheus: %v", err)
		}
		t.Skipf("Debian's package prometheus: %v", err)
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = monitoring
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
}

// The dashboard is one that Grafana can import: no panel lies on another, and
// each asks for something.
func TestDashboard(t *testing.T) {
	var board struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(monitoring, "dashboard.json"))), &board); err != nil {
		t.Fatal(err)
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Type != "row" && (len(p.Targets) == 0 || p.Targets[0].Expr == "") || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: a second one of that id, or one that asks for nothing, or one outside", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, is := taken[[2]int{x, y}]; is {
					t.Fatalf("panel %q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	if len(board.Panels) < 10 {
		t.Errorf("%d panels", len(board.Panels))
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
