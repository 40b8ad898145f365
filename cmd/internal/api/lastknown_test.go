package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/consensus/definitions"
)

// deposited is a store of two VMs that host hv9, which is dead, had.
func deposited(t *testing.T, at time.Time) *definitions.Store {
	t.Helper()
	store, err := definitions.Open(t.TempDir(), func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	const host = "99999999-9999-4999-8999-999999999999"
	var marks []definitions.Mark
	var all []definitions.Definition
	for n, name := range []string{"web", "db"} {
		d, err := definitions.Pack(fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", n), name, "<domain>"+name+"</domain>\n")
		if err != nil {
			t.Fatal(err)
		}
		marks, all = append(marks, d.Mark), append(all, d)
	}
	if _, err := store.List(host, "hv9", marks); err != nil {
		t.Fatal(err)
	}
	if err := store.Keep(host, all); err != nil {
		t.Fatal(err)
	}
	return store
}

// A voter tells from its own files, without the host and without a leader.
func TestLastKnown(t *testing.T) {
	state := apitest.Suffering(nil).State
	dir, err := os.MkdirTemp("", "ek") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, err := api.Listen(api.Config{
		Replica: still{state}, Definitions: deposited(t, state.Now.Std()), Name: "hv2", Now: state.Now.Std,
		Socket: filepath.Join(dir, "s"), Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c, err := api.Dial(api.Target{Socket: filepath.Join(dir, "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.LastKnown(t.Context(), api.LastKnownRequest{Host: "hv9"})
	if err != nil || len(all.Items) != 2 || all.Items[0].Name != "db" || all.Items[0].XML != "" || all.Member != "hv2" || all.HeardAt.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
	for _, name := range []string{"web", "aaaaaaaa-0000-4000-8000-000000000000"} {
		one, err := c.LastKnown(t.Context(), api.LastKnownRequest{Host: "99999999-9999-4999-8999-999999999999", VM: name})
		if err != nil || len(one.Items) != 1 || one.Items[0].XML != "<domain>web</domain>\n" {
			t.Errorf("%s: %+v, %v", name, one, err)
		}
	}
	for says, req := range map[string]api.LastKnownRequest{
		"no host is named": {},
		"there are":        {Host: "hv1"},
		`no VM "mail"`:     {Host: "hv9", VM: "mail"},
	} {
		if _, err := c.LastKnown(t.Context(), req); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", req, err, says)
		}
	}
}
