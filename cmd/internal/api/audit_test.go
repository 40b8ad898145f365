package api_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
)

// Whatever was attempted is in the log of the member that took it, with who,
// what and what became of it.
func TestChangesAreAudited(t *testing.T) {
	dir, err := os.MkdirTemp("", "ek")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	log := &buffer{}
	s, err := apitest.Open(dir, apitest.Moved, apitest.Patient(), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	operators(t, s)
	pause := api.PauseRequest{Act: api.Act{Reason: "maintenance of rack 4"}, ForSeconds: 60}
	if _, err := byCert(t, s, apitest.HV1, "alice").Pause(patience(t), pause); err != nil {
		t.Error(err)
	}
	_, refused := byCert(t, s, apitest.HV2, "view").Pause(patience(t), pause)
	wantCause(t, refused, api.CauseForbidden)
	_, blocked := byCert(t, s, apitest.HV2, "admin").Resolve(patience(t), api.ResolveRequest{Move: "m-1", RunningOn: "hv2"})
	wantCause(t, blocked, api.CauseBlocked)
	if _, err := byCert(t, s, apitest.HV2, "view").Status(patience(t)); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var audited []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "msg=audit") {
			audited = append(audited, line)
		}
	}
	want := [][]string{ // the leader is done before the member that forwarded
		{"method=Pause", `who="alice via hv1"`, "role=operate", "forwarded=true", `reason="maintenance of rack 4"`, "outcome=done"},
		{"method=Pause", "who=alice", "role=operate", "forwarded=false", "outcome=done"},
		{"method=Pause", "who=view", "role=view", "outcome=permission_denied", "needs the role operate"},
		{"method=Resolve", "who=admin", "role=admin", "outcome=failed_precondition"},
	}
	if len(audited) != len(want) {
		t.Fatalf("%d lines of audit, want %d:\n%s", len(audited), len(want), strings.Join(audited, ""))
	}
	for i, parts := range want {
		for _, part := range parts {
			if !strings.Contains(audited[i], part) {
				t.Errorf("line %d lacks %s: %s", i, part, audited[i])
			}
		}
	}
}
