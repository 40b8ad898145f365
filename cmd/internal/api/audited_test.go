package api

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// leaderless is a replica that reads, and can change nothing.
type leaderless struct{}

func (leaderless) State() (cluster.State, uint64)            { return cluster.New("c"), 0 }
func (leaderless) ReadIndex(context.Context) (uint64, error) { return 0, nil }
func (leaderless) Health() consensus.Health                  { return consensus.Health{} }

func (leaderless) Propose(context.Context, cluster.Command) (uint64, error) {
	return 0, consensus.ErrNotLeader
}

// Every method that needs more than view is audited, whatever comes of it; so
// one that is added cannot be forgotten. Snapshot changes nothing and says
// itself who saved the State.
func TestEveryChangeIsAudited(t *testing.T) {
	var log bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&log, nil)), cfg: Config{
		Replica: leaderless{}, Now: time.Now, Limits: Limits{Act: time.Millisecond, Try: time.Second}.withDefaults(),
	}}
	h, audited := s.routes(), 0
	for method, need := range needs {
		if need == roles.View || method == methodSnapshot {
			continue
		}
		audited++
		log.Reset()
		who := caller{kind: cluster.KindOperator, role: roles.Admin, actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid:1", Name: "ann"}}
		req := httptest.NewRequest("POST", procedure(method), strings.NewReader("{}"))
		req.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(httptest.NewRecorder(), req.WithContext(context.WithValue(t.Context(), callerKey{}, introduction{caller: who})))
		if line := log.String(); strings.Count(line, "msg=audit") != 1 || !strings.Contains(line, "method="+method+" who=ann") || !strings.Contains(line, "outcome=") {
			t.Errorf("%s was audited so:\n%s", method, line)
		}
	}
	if audited < 12 {
		t.Errorf("%d methods change something", audited)
	}
}
