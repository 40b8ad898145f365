package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// receiver is where the daemons of a script send their events.
type receiver struct {
	key []byte

	mu     sync.Mutex
	got    []api.Event
	ids    map[string]int
	broken bool
	failed error
}

// startReceiver starts a receiver of events over HTTPS and writes it into the
// configuration of hosts: receiver HOST...
func startReceiver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: receiver HOST...")
	}
	r := &receiver{key: []byte("a key of this script's"), ids: map[string]int{}}
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	ts.Defer(server.Close)
	ts.Value(fleetKey{}).(*testFleet).receiver = r
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, name := range args {
		h := ts.Value(fleetKey{}).(*testFleet).hosts[name]
		ts.Check(os.WriteFile(filepath.Join(h.dir, "receiver.pem"), ca, 0o644))
		ts.Check(os.WriteFile(filepath.Join(h.dir, "receiver.key"), r.key, 0o600))
		f, err := os.OpenFile(h.config, os.O_APPEND|os.O_WRONLY, 0)
		ts.Check(err)
		_, err = fmt.Fprintf(f, "webhooks:\n  - {name: pager, url: %q, ca: %[2]s/receiver.pem, secretFile: %[2]s/receiver.key}\n", server.URL+"/hook", h.dir)
		ts.Check(err)
		ts.Check(f.Close())
	}
}

// ServeHTTP takes an event whose signature is right.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(req.Body)
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%s.%s", req.Header.Get("webhook-id"), req.Header.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	var notice api.Notice
	switch {
	case err != nil:
	case req.Header.Get("webhook-signature") != want:
		err = fmt.Errorf("signature %q, want %q", req.Header.Get("webhook-signature"), want)
	default:
		err = json.Unmarshal(body, &notice)
	}
	if err != nil || notice.ID != req.Header.Get("webhook-id") {
		r.failed = fmt.Errorf("%w: %s", err, body)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.ids[notice.Event.ID]++; r.ids[notice.Event.ID] == 1 {
		r.got = append(r.got, notice.Event)
	}
}

// breakReceiver lets the receiver refuse everything, or be well again: receiver-is broken|well.
func breakReceiver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: receiver-is broken|well")
	}
	r := ts.Value(fleetKey{}).(*testFleet).receiver
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = args[0] == "broken"
}

// received waits until the receiver has an event whose text matches: received
// PATTERN.
func received(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: received PATTERN")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	r := ts.Value(fleetKey{}).(*testFleet).receiver
	until(ts, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.got {
			if want.MatchString(e.Text) {
				return r.failed
			}
		}
		return fmt.Errorf("no %q among %+v; %w", args[0], r.got, r.failed)
	})
}

// receivedAll waits until the receiver has each event that a member tells of,
// from the first one on that it got, in their order: received-all SOCKET.
func receivedAll(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: received-all SOCKET")
	}
	r := ts.Value(fleetKey{}).(*testFleet).receiver
	until(ts, func() error {
		out, err := exec.Command("evenkeel", "--socket", args[0], "events", "--limit", "4096", "--json").Output()
		if err != nil {
			return err
		}
		var page api.EventPage
		if err := json.Unmarshal(out, &page); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.got) == 0 {
			return fmt.Errorf("nothing was received")
		}
		var want, got []string
		for _, e := range page.Items {
			if e.Index >= r.got[0].Index {
				want = append(want, e.ID)
			}
		}
		for _, e := range r.got {
			got = append(got, e.ID)
		}
		if a, b := strings.Join(want, " "), strings.Join(got, " "); a != b || len(want) < 3 {
			return fmt.Errorf("received %s\nwant %s", b, a)
		}
		return r.failed
	})
}

// holds waits until a file has a line that matches: holds FILE PATTERN.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: holds FILE PATTERN")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	until(ts, func() error {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && !want.Match(data) {
			err = fmt.Errorf("no %q in:\n%s", args[1], data)
		}
		return err
	})
}

func until(ts *testscript.TestScript, f func() error) {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	ts.Fatalf("%v", err)
}
