package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv("EK_TEST_CHILD"); socket != "" {
		stranger(socket)
		return
	}
	goleak.VerifyTestMain(m)
}

// stranger reads and then acts at a socket, and prints what comes back; see
// asNobody.
func stranger(socket string) {
	c, err := api.Dial(api.Target{Socket: socket})
	if err == nil {
		_, err = c.Status(context.Background())
	}
	if err == nil {
		fmt.Print("reads; ")
		_, err = c.Pause(context.Background(), api.PauseRequest{ForSeconds: 60})
	}
	var e *api.Error
	if errors.As(err, &e) {
		fmt.Printf("cause %d: ", e.Cause)
	}
	fmt.Println(err)
}

// site starts a world's servers; they end with the test.
func site(t *testing.T, world apitest.World) *apitest.Site {
	t.Helper()
	return siteWithin(t, world, apitest.Patient())
}

func siteWithin(t *testing.T, world apitest.World, limits api.Limits) *apitest.Site {
	t.Helper()
	dir, err := os.MkdirTemp("", "ek") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log := &buffer{}
	s, err := apitest.Open(dir, world, limits, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("servers: %v", err)
		}
		if t.Failed() {
			t.Logf("servers said:\n%s", log)
		}
	})
	return s
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// bySocket is a client of a member's socket.
func bySocket(t *testing.T, s *apitest.Site, member string) *api.Client {
	t.Helper()
	c, err := api.Dial(api.Target{Socket: s.Socket(member)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// byCert is a client of a member's port with somebody's certificate.
func byCert(t *testing.T, s *apitest.Site, id, who string) *api.Client {
	t.Helper()
	c, err := api.Dial(api.Target{Addr: s.Addr(id), CACert: s.File("ca.pem"), ClientCert: s.File(who + ".pem"), ClientKey: s.File(who + ".key")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// patience only bounds a test that hangs; no test waits for it to pass.
func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// wantCause checks why a call failed.
func wantCause(t *testing.T, err error, want api.Cause) (code cluster.Code, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an *api.Error", err)
	}
	if e.Cause != want {
		t.Errorf("cause %d, want %d: %v", e.Cause, want, err)
	}
	return e.Code, e.Text
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
