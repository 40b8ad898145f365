package main

import (
	"flag"
	"log/slog"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect; then read the diff")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"evenkeel": main})
}

// TestScripts runs the command against servers in this process. The fleets
// are real States at fixed times, so their output is compared whole.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"fleet": startFleet, "exits": exitsWith, "leader": setLeader, "recorded": startRecorded},
		Setup: func(env *testscript.Env) error {
			env.Values[siteKey{}] = &running{}
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second under -race
			env.Setenv("TZ", "America/New_York")      // times are printed in UTC wherever one sits
			return nil
		},
	})
}

// running is the site of one script.
type running struct{ site *apitest.Site }

type siteKey struct{}

// startFleet starts the servers of a world, once per script:
//
//	fleet NAME
//
// SOCK is the socket of its leader hv2, SOCK1 of hv1; ADDR and PKI say where
// hv2's HTTPS is and the certificates are.
func startFleet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fleet NAME")
	}
	world, ok := apitest.Worlds[args[0]]
	if !ok {
		ts.Fatalf("no world %q", args[0])
	}
	dir, err := os.MkdirTemp("", "ek") // a socket's path has at most 107 bytes
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	site, err := apitest.Open(dir, world, apitest.Patient(), slog.New(slog.DiscardHandler))
	ts.Check(err)
	ts.Defer(func() { ts.Check(site.Close()) })
	ts.Value(siteKey{}).(*running).site = site
	ts.Setenv("SOCK", site.Socket("hv2"))
	ts.Setenv("SOCK1", site.Socket("hv1"))
	ts.Setenv("ADDR", site.Addr(apitest.HV2))
	ts.Setenv("PKI", dir)
}

// setLeader takes the leader away, or gives one back: leader none|hv1|hv2.
func setLeader(ts *testscript.TestScript, _ bool, args []string) {
	ids := map[string]string{"none": "", "hv1": apitest.HV1, "hv2": apitest.HV2}
	site := ts.Value(siteKey{}).(*running).site
	if len(args) != 1 || site == nil {
		ts.Fatalf("usage: leader none|hv1|hv2, after fleet")
	}
	site.Group.Lead(ids[args[0]])
}

// exitsWith runs the command and compares its exit code:
//
//	exits CODE ARGS...
func exitsWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGS...")
	}
	err := ts.Exec("evenkeel", args[1:]...)
	got := "0"
	if err != nil {
		got = exitText(err)
	}
	if got != args[0] {
		ts.Fatalf("evenkeel exits with %s, want %s", got, args[0])
	}
}
