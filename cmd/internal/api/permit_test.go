package api

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
)

// Each method has its role in the table, and nothing else does.
func TestEveryMethodNeedsARole(t *testing.T) {
	s := &Server{cfg: Config{}, log: slog.New(slog.DiscardHandler)}
	methods := s.router().methods
	if len(methods) < 20 {
		t.Fatalf("%d methods only", len(methods))
	}
	for _, method := range methods {
		if !needs[method].Valid() {
			t.Errorf("method %s has no role in the table `needs`: nobody may call it", method)
		}
	}
	for method := range needs {
		if !slices.Contains(methods, method) {
			t.Errorf("the table `needs` names %s, which is no method", method)
		}
	}
}

func TestAMethodWithoutARoleIsOpenToNobody(t *testing.T) {
	if roles.Admin.Covers(needs["Forgotten"]) {
		t.Error("an admin may call a method that is missing in the table")
	}
}
