package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

var asked = agent.HookMove{ID: "m-7", VM: "4b1d1ae8-3c59-4a30-9f21-4d2a4e0c6e01", VMName: "web 1", Target: "hv2", Trigger: cluster.TriggerAuto}

// hooksAt are the hooks of a daemon whose folder has an address for both.
func hooksAt(t *testing.T, address string, log io.Writer) agent.Hooks {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "hooks"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pre-move.url", "post-move.url"} {
		if err := os.WriteFile(filepath.Join(dir, "hooks", name), []byte(address+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return moveHooks(config.Config{HoldFile: filepath.Join(dir, "hold"), Host: config.Host{Name: "hv1"}}, slog.New(slog.NewTextHandler(log, nil)))
}

// A URL lets a move pass by 2xx, and vetoes by whatever else it does. What it
// says is told as far as it can be, and its path, which may be a secret, never.
func TestPreMoveURL(t *testing.T) {
	for what, c := range map[string]struct {
		answer http.HandlerFunc
		want   string // part of the veto, "" for none
	}{
		"passes":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, ""},
		"passes and talks": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("fine\n", 1<<16)) }, ""},
		"vetoes": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the backup runs\nmore", http.StatusConflict)
		}, "HTTP 409: the backup runs"},
		"vetoes silently": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "HTTP 403"},
		"leads elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/t0ken" {
				http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			}
		}, "redirects are not followed"},
		"says what cannot be": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprint(w, "a\033[2Jb\377c\n")
		}, "HTTP 418: a[2Jbc"},
		"says too much": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			for range 1 << 10 {
				fmt.Fprint(w, strings.Repeat("x", 1<<10))
			}
		}, "HTTP 418: xxxx"},
		"takes too long":        {silent, "not done within the 300ms"},
		"speaks something else": {raw("what?\r\n"), "malformed HTTP response"},
		"hangs up":              {raw(""), "EOF"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.answer)
			t.Cleanup(server.Close)
			h := hooksAt(t, server.URL+"/t0ken", io.Discard)
			if strings.Contains(c.want, "300ms") {
				h.Time = 300 * time.Millisecond
			}
			r := h.Pre(t.Context(), asked)
			switch {
			case c.want == "" && r != nil:
				t.Errorf("vetoed: %v", r)
			case c.want != "" && (r == nil || r.Code != cluster.CodeHookVeto || !strings.Contains(r.Text, c.want) || len(r.Text) > 500):
				t.Errorf("%v, want a veto with %q", r, c.want)
			case r != nil && strings.Contains(r.Text, "t0ken"):
				t.Errorf("tells the URL: %v", r)
			}
		})
	}
}

// silent does not answer: its caller hangs up, which is seen once the body is read.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// raw answers with bytes that need not be HTTP, and hangs up.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		conn.Close()
	}
}

// A URL that cannot be called vetoes, and says what to write instead.
func TestPreMoveURLThatCannotBeCalled(t *testing.T) {
	private := httptest.NewTLSServer(http.NotFoundHandler()) // its certificate is of no CA of the system's
	defer private.Close()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for address, want := range map[string]string{
		"http://192.0.2.1/t0ken":   "http is for this host's loopback addresses",
		"http://localhost/t0ken":   "http is for this host's loopback addresses", // who resolves it decides where it leads
		"ftp://127.0.0.1/t0ken":    `the scheme is "ftp"`,
		"https://a:b@h.test/t0ken": "a user or password does not belong into the URL",
		"t0ken":                    "not a URL with a host",
		private.URL + "/t0ken":     "certificate",
		closed.URL + "/t0ken":      "connection refused",
	} {
		r := hooksAt(t, address, io.Discard).Pre(t.Context(), asked)
		if r == nil || r.Code != cluster.CodeHookVeto || !strings.Contains(r.Text, want) || strings.Contains(r.Text, "t0ken") {
			t.Errorf("%s: %v, want a veto with %q", address, r, want)
		}
	}
}

// What a URL is told is a contract: its fields are those of the program's
// environment.
func TestWhatURLsAreTold(t *testing.T) {
	var told []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told = append(told, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("User-Agent")+" "+string(body))
		if strings.Contains(string(body), "outcome") {
			http.Error(w, "oh dear", http.StatusBadGateway)
		}
	}))
	defer server.Close()
	var log bytes.Buffer
	h := hooksAt(t, server.URL+"/t0ken", &log)
	if r := h.Pre(t.Context(), asked); r != nil {
		t.Error(r)
	}
	h.Post(t.Context(), asked, false)
	const move = `"move":"m-7","vm":"web 1","vm_uuid":"4b1d1ae8-3c59-4a30-9f21-4d2a4e0c6e01","source":"hv1","target":"hv2","trigger":"auto"`
	head := "POST /t0ken application/json evenkeel/" + version + " "
	want := head + `{"hook":"pre-move",` + move + "}\n" + head + `{"hook":"post-move",` + move + `,"outcome":"stayed"}`
	if got := strings.Join(told, "\n"); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
	if text := log.String(); !strings.Contains(text, "HTTP 502") || !strings.Contains(text, "oh dear") || strings.Contains(text, "t0ken") {
		t.Errorf("logged %s", text)
	}
}
