package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The example's webhooks are a comment, since none is the default; without its
// marks it is what it says.
func TestExampleOfWebhooks(t *testing.T) {
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\n# webhooks:\n")
	block, _, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("the example has no commented webhooks")
	}
	text := string(data) + "\nwebhooks:\n" + strings.ReplaceAll("\n"+block, "\n# ", "\n") + "\n"
	got, err := parse("example", []byte(text), "hv1")
	if err != nil {
		t.Fatal(err)
	}
	want := []Webhook{{
		Name: "pager", URL: "https://events.example.org/evenkeel", SecretFile: "/etc/evenkeel/webhooks/pager.key", CA: "/etc/evenkeel/webhooks/ca.pem",
		Severity: cluster.SeverityWarning, Kinds: []cluster.EventKind{cluster.EventMoveFailed, cluster.EventMoveUnknown}, GiveUpAfter: 15 * time.Minute,
	}}
	if diff := cmp.Diff(want, got.Webhooks); diff != "" {
		t.Error(diff)
	}
}

// Whatever is wrong with a webhook, its URL is not shown.
func TestProblemsHideURLs(t *testing.T) {
	for _, line := range []string{
		`{name: A, url: "http://h/t0ken"}`, `{name: a, url: "t0ken", secretFile: k}`, `{name: a, url: ["https://h/t0ken"]}`, `{nam: a, url: "https://h/t0ken"}`,
		`{name: a, url: "https://h/%zzt0ken", giveUpAfter: no}`, `{name: a, url: "https://u:t0ken@h/", kinds: [x]}`,
	} {
		_, err := parse("a.yaml", []byte("webhooks: ["+line+"]\n"), "hv1")
		if err == nil {
			t.Errorf("%s was taken", line)
		} else if strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%s: shown in\n%v", line, err)
		}
	}
}
