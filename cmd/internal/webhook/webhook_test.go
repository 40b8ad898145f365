package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/events"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clusterID = "5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11"
	secret    = "not a secret, but long enough"
	token     = "t0ken" // in the receiver's path
)

// fleet is a log of modes: each entry is one event. It is what a replica is to
// the notifier.
type fleet struct {
	mu     sync.Mutex
	state  cluster.State
	memory *events.Memory
	now    time.Time
	deaf   bool // what is proposed is lost
}

func newFleet() *fleet {
	f := &fleet{state: cluster.New(clusterID), memory: events.New(nil), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.happen(cluster.Resume{}) // no event
	return f
}

var (
	ann    = cluster.Actor{Kind: cluster.KindOperator, ID: "uid:1", Name: "ann"}
	leader = cluster.Actor{Kind: cluster.KindWitness, ID: "w1", Name: "w1"}
)

func (f *fleet) happen(body cluster.Body) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apply(ann, body)
}

func (f *fleet) apply(by cluster.Actor, body cluster.Body) {
	c := cluster.Command{Level: 1, Actor: by, At: cluster.TimeOf(f.now), Body: body}
	meta := cluster.Meta{Index: f.state.Index + 1, Term: 1}
	next, err := f.state.Apply(meta, c)
	if err != nil {
		panic(err)
	}
	f.memory.Take(consensus.Applied{Meta: meta, Before: cluster.Meta{Index: f.state.Index, Term: f.state.Term}, Command: c, Prior: f.state, State: next})
	f.state = next
}

// modes changes the mode n times; it returns the ids of the events.
func (f *fleet) modes(n int) (ids []string) {
	for range n {
		f.mu.Lock()
		mode := cluster.ModeOff
		if f.state.Mode == mode {
			mode = cluster.ModeAuto
		}
		f.apply(ann, cluster.SetMode{Mode: mode})
		ids = append(ids, fmt.Sprintf("%s-%d-0", clusterID, f.state.Index))
		f.mu.Unlock()
	}
	return ids
}

func (f *fleet) State() (cluster.State, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.state.Index
}

func (f *fleet) Propose(_ context.Context, c cluster.Command) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf {
		return 0, consensus.ErrNotLeader
	}
	f.apply(c.Actor, c.Body)
	return f.state.Index, nil
}

func (f *fleet) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// receiver is an HTTPS server that keeps what it was sent, and answers as it is
// told: with each of the statuses, then 204.
type receiver struct {
	t      *testing.T
	server *httptest.Server
	got    chan received

	mu       sync.Mutex
	answers  []func(http.ResponseWriter, *http.Request)
	attempts int
}

type received struct {
	id     string
	notice api.Notice
}

func newReceiver(t *testing.T, answers ...func(http.ResponseWriter, *http.Request)) *receiver {
	r := &receiver{t: t, got: make(chan received, 1000), answers: answers}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.attempts++
	var answer func(http.ResponseWriter, *http.Request)
	if len(r.answers) > 0 {
		answer, r.answers = r.answers[0], r.answers[1:]
	}
	r.mu.Unlock()
	if answer != nil {
		answer(w, req)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = genuine(req.Header, body)
	}
	var notice api.Notice
	if err == nil {
		err = json.Unmarshal(body, &notice)
	}
	if err != nil || req.URL.Path != "/"+token || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s %s, %v: %v", req.Method, req.URL, req.Header, err)
	}
	r.got <- received{req.Header.Get("webhook-id"), notice}
	w.WriteHeader(http.StatusNoContent)
}

// genuine is how a receiver verifies, written down anew from the
// specification, not with the sender's own function.
func genuine(h http.Header, body []byte) error {
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || at == 0 {
		return fmt.Errorf("timestamp %q", h.Get("webhook-timestamp"))
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !hmac.Equal([]byte(want), []byte(h.Get("webhook-signature"))) {
		return fmt.Errorf("signature %q, want %q", h.Get("webhook-signature"), want)
	}
	return nil
}

// indexOf is the index in an event's id.
func indexOf(id string) uint64 {
	var index uint64
	if _, err := fmt.Sscanf(strings.TrimPrefix(id, clusterID), "-%d-0", &index); err != nil {
		panic(err)
	}
	return index
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (r *receiver) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempts
}

// next waits for what comes; patience bounds a hang.
func (r *receiver) next() received {
	r.t.Helper()
	select {
	case got := <-r.got:
		return got
	case <-time.After(time.Minute):
		r.t.Fatal("nothing was delivered")
		panic("unreachable")
	}
}

func (r *receiver) wants(ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		if got := r.next(); got.id != id || got.notice.ID != id {
			r.t.Fatalf("delivered %s, in the body %s; want %s", got.id, got.notice.ID, id)
		}
	}
}

func writeFile(t *testing.T, name string, data []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// hook is what agent.yaml would say of the receiver.
func (r *receiver) hook() config.Webhook {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
	return config.Webhook{
		Name: "pager", URL: r.server.URL + "/" + token, CA: writeFile(r.t, "ca.pem", ca, 0o644), SecretFile: writeFile(r.t, "key", []byte(secret+"\n"), 0o600),
		Severity: cluster.SeverityInfo, GiveUpAfter: 15 * time.Minute,
	}
}

// notifier is one that is quick to try again.
func (f *fleet) notifier(log io.Writer, hooks ...config.Webhook) *Notifier {
	return New(Config{
		Webhooks: hooks, Events: f.memory, Replica: f, Self: leader, Cluster: clusterID, Version: "0.1.0-test", Now: f.clock,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
		Timing: Timing{Answer: 200 * time.Millisecond, Pause: time.Millisecond, MaxPause: 4 * time.Millisecond, Record: time.Millisecond, Idle: time.Hour},
	})
}

// begin lets a notifier run; the result ends it and waits.
func begin(t *testing.T, n *Notifier) (end func()) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { n.Run(ctx) })
	end = sync.OnceFunc(func() { stop(); wg.Wait() })
	t.Cleanup(end)
	return end
}

// eventually waits for what must come.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

func (f *fleet) recorded(at uint64) func() bool {
	return func() bool {
		s, _ := f.State()
		through, ok := s.Delivered("pager")
		return ok && through >= at
	}
}

// Each event comes once, in order, signed; the log before the webhook was there
// does not come. The next leader goes on after what was recorded.
func TestDeliversFromNowOnAndGoesOn(t *testing.T) {
	r, f := newReceiver(t), newFleet()
	f.modes(3) // before there was a webhook
	end := begin(t, f.notifier(io.Discard, r.hook()))
	eventually(t, "the beginning is recorded", f.recorded(1))
	ids := f.modes(5)
	r.wants(ids...)
	eventually(t, "the position is recorded", f.recorded(indexOf(ids[4])))
	end()
	ids = f.modes(2) // while nobody leads
	begin(t, f.notifier(io.Discard, r.hook()))
	r.wants(append(ids, f.modes(2)...)...)
	if n := len(r.got); n != 0 {
		t.Errorf("%d deliveries too many", n)
	}
}

// What a leader could not record comes again from the next one, under the same
// id: at least once.
func TestDeliversAgainWhatWasNotRecorded(t *testing.T) {
	r, f := newReceiver(t), newFleet()
	n := f.notifier(io.Discard, r.hook())
	end := begin(t, n)
	eventually(t, "the beginning is recorded", f.recorded(1))
	f.mu.Lock()
	f.deaf = true
	f.mu.Unlock()
	ids := f.modes(3)
	r.wants(ids...)
	end()
	f.mu.Lock()
	f.deaf = false
	f.mu.Unlock()
	begin(t, f.notifier(io.Discard, r.hook()))
	r.wants(ids...)
}

// Refusals of all kinds are tried again, in order, until the event is taken;
// and a receiver that hangs, floods, tears the line or redirects is one like
// any other.
func TestTriesAgain(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	elsewhere := newReceiver(t)
	r, f := newReceiver(t,
		status(500), status(503), status(404), status(410), status(429),
		func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, elsewhere.server.URL, http.StatusTemporaryRedirect)
		},
		func(_ http.ResponseWriter, req *http.Request) { // hangs
			select {
			case <-req.Context().Done():
			case <-over:
			}
		},
		func(w http.ResponseWriter, req *http.Request) { // answers headers, and never ends
			w.WriteHeader(http.StatusInternalServerError)
			line := bytes.Repeat([]byte("x"), 4096)
			for req.Context().Err() == nil {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, // tears the line
	), newFleet()
	var log bytes.Buffer
	n := f.notifier(&log, r.hook())
	end := begin(t, n)
	eventually(t, "the beginning is recorded", f.recorded(1))
	ids := f.modes(3)
	r.wants(ids...)
	eventually(t, "the last one is counted", func() bool { return n.Webhooks()[0].Delivered == 3 })
	end()
	st := n.Webhooks()[0]
	if st.Failed != 9 || st.Dropped != 0 || st.Error != "" || !st.FailingSince.IsZero() || st.Active || st.DeliveredAt.IsZero() {
		t.Errorf("%+v", st)
	}
	if elsewhere.tried() != 0 {
		t.Error("a redirect was followed")
	}
	secrets(t, log.String())
	if !strings.Contains(log.String(), "level=WARN") || strings.Count(log.String(), "level=WARN") != 1 {
		t.Errorf("a row of failures is logged once:\n%s", &log)
	}
}

// secrets fails if a text quotes the key or the receiver's path.
func secrets(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, token) || strings.Contains(text, secret) {
		t.Errorf("secrets in %s", text)
	}
}

// An event that is too old is given up, after one attempt at least, and
// counted; what follows is delivered.
func TestGivesUp(t *testing.T) {
	var answers []func(http.ResponseWriter, *http.Request)
	for range 3 {
		answers = append(answers, status(500))
	}
	r, f := newReceiver(t, answers...), newFleet()
	var log bytes.Buffer
	n := f.notifier(&log, r.hook())
	end := begin(t, n)
	eventually(t, "the beginning is recorded", f.recorded(1))
	end()
	f.modes(2)
	f.mu.Lock()
	f.now = f.now.Add(16 * time.Minute)
	f.mu.Unlock()
	ids := f.modes(1)
	end = begin(t, n)
	r.wants(ids...) // two were dropped with an attempt each, this one is young and was tried again
	eventually(t, "it is counted", func() bool { return n.Webhooks()[0].Delivered == 1 })
	end()
	if st := n.Webhooks()[0]; st.Dropped != 2 || st.Failed != 3 {
		t.Errorf("%+v", st)
	}
	secrets(t, log.String())
}

// The filters leave out the rest, and the position moves over it.
func TestFilters(t *testing.T) {
	r, f := newReceiver(t), newFleet()
	severe, kinds := r.hook(), r.hook()
	severe.Severity = cluster.SeverityWarning
	kinds.Name, kinds.Kinds = "kinds", []cluster.EventKind{cluster.EventPauseEnded}
	n := f.notifier(io.Discard, severe, kinds)
	begin(t, n)
	eventually(t, "the beginning is recorded", f.recorded(1))
	f.modes(2)
	f.happen(cluster.Freeze{Cause: "test"}) // critical
	f.happen(cluster.Pause{Until: cluster.TimeOf(f.clock().Add(time.Hour))})
	f.happen(cluster.Resume{}) // both end
	var got []cluster.EventKind
	for range 2 {
		got = append(got, r.next().notice.Event.Kind)
	}
	slices.Sort(got)
	if want := []cluster.EventKind{cluster.EventFreezeSet, cluster.EventPauseEnded}; !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
	last := indexOf(f.modes(1)[0]) // unwanted, wakes both
	eventually(t, "both have got over all", func() bool {
		list := n.Webhooks()
		return list[0].Through >= last && list[1].Through >= last
	})
}

// One receiver that is down holds up no other.
func TestReceiversAreApart(t *testing.T) {
	down, up, f := newReceiver(t), newReceiver(t), newFleet()
	dead := down.hook()
	dead.Name = "dead"
	down.server.Close()
	n := f.notifier(io.Discard, dead, up.hook())
	begin(t, n)
	eventually(t, "the beginning is recorded", f.recorded(1))
	up.wants(f.modes(20)...)
	eventually(t, "the other one failed", func() bool { return n.Webhooks()[0].Failed > 0 })
	if st := n.Webhooks()[0]; !strings.Contains(st.Error, "connection refused") || st.FailingSince.IsZero() || !st.Active {
		t.Errorf("%+v", st)
	}
}

// What the memory does not reach back to is counted, and delivery goes on.
func TestGap(t *testing.T) {
	r, f := newReceiver(t), newFleet()
	end := begin(t, f.notifier(io.Discard, r.hook()))
	eventually(t, "the beginning is recorded", f.recorded(1))
	end()
	f.modes(events.Capacity + 100)
	n := f.notifier(io.Discard, r.hook())
	begin(t, n)
	first := r.next()
	for range events.Capacity - 1 {
		r.next()
	}
	if st := n.Webhooks()[0]; st.Gaps != 1 || first.notice.Event.Index < 100 {
		t.Errorf("first delivered: %d; %+v", first.notice.Event.Index, st)
	}
}

// A receiver must prove who it is, and a key must be for its owner only: else
// nothing is sent.
func TestRefusesToSend(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*config.Webhook)
		says  string
	}{
		"unknown CA":         {func(w *config.Webhook) { w.CA = "" }, "certificate"},
		"no such CA":         {func(w *config.Webhook) { w.CA = "/nonexistent/ca.pem" }, "ca: open"},
		"CA without one":     {func(w *config.Webhook) { w.CA = w.SecretFile }, "no certificate in PEM"},
		"key for all":        {func(w *config.Webhook) { w.SecretFile = writeFile(t, "key", []byte(secret), 0o644) }, "chmod 0600"},
		"no key":             {func(w *config.Webhook) { w.SecretFile = "/nonexistent/key" }, "secret: open"},
		"key is a folder":    {func(w *config.Webhook) { w.SecretFile = filepath.Dir(w.SecretFile) }, "no regular file"},
		"key too short":      {func(w *config.Webhook) { w.SecretFile = writeFile(t, "key", []byte("short"), 0o600) }, "at least 16"},
		"key that is none":   {func(w *config.Webhook) { w.SecretFile = writeFile(t, "key", make([]byte, maxSecret+1), 0o600) }, "longer than"},
		"key in bad base64":  {func(w *config.Webhook) { w.SecretFile = writeFile(t, "key", []byte("whsec_$$$"), 0o600) }, "not base64"},
		"http off this host": {func(w *config.Webhook) { w.URL = "http://192.0.2.1/" + token }, "would leave this host"},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := newReceiver(t), newFleet()
			hook := r.hook()
			c.spoil(&hook)
			var log bytes.Buffer
			n := f.notifier(&log, hook)
			end := begin(t, n)
			eventually(t, "the beginning is recorded", f.recorded(1))
			f.modes(1)
			eventually(t, "attempts fail", func() bool { return n.Webhooks()[0].Failed > 2 })
			end()
			if st := n.Webhooks()[0]; !strings.Contains(st.Error, c.says) || st.Delivered != 0 || r.tried() != 0 {
				t.Errorf("%d requests came; %+v; want %q", r.tried(), st, c.says)
			}
			secrets(t, log.String()+n.Webhooks()[0].Error)
		})
	}
}

// A new key is taken without a restart.
func TestKeyIsReadAnew(t *testing.T) {
	r, f := newReceiver(t), newFleet()
	hook := r.hook()
	if err := os.WriteFile(hook.SecretFile, []byte("whsec_"+base64.StdEncoding.EncodeToString([]byte(secret))), 0o600); err != nil {
		t.Fatal(err)
	}
	begin(t, f.notifier(io.Discard, hook))
	eventually(t, "the beginning is recorded", f.recorded(1))
	r.wants(f.modes(1)...)
	if err := os.WriteFile(hook.SecretFile, []byte(secret+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.wants(f.modes(1)...)
}

// Without webhooks nothing is run and nothing is proposed.
func TestNoWebhooks(t *testing.T) {
	f := newFleet()
	n := f.notifier(io.Discard)
	n.Run(t.Context())
	if _, index := f.State(); index != 1 || len(n.Webhooks()) != 0 {
		t.Errorf("index %d, %v", index, n.Webhooks())
	}
}

// The signature of the specification's own example.
func TestSignatureOfTheSpecification(t *testing.T) {
	key, err := parseSecret([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPause(t *testing.T) {
	f := newFleet()
	s := newSender(&f.notifier(io.Discard).cfg, config.Webhook{Name: "a"})
	s.cfg.Timing = Timing{}.withDefaults()
	for failures, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 7: time.Minute, 1000: time.Minute} {
		s.failures = failures
		for range 100 {
			if p := s.pause(0); p < want/2 || p > want {
				t.Fatalf("after %d failures %v, want %v to %v", failures, p, want/2, want)
			}
		}
	}
	if p := s.pause(3 * time.Minute); p != 3*time.Minute {
		t.Errorf("the receiver asked for 3 minutes, not %v", p)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"", "0", "120", "-1", "99999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT", "soon"} {
		f.Add(text)
	}
	now := time.Date(2026, 10, 21, 7, 27, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if d := retryAfter(text, now); d < 0 || d > maxPause {
			t.Errorf("%q: %v", text, d)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 10, 21, 7, 27, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "9999": maxPause, "-7": 0, "x": 0, "Wed, 21 Oct 2026 07:28:00 GMT": time.Minute, "Wed, 21 Oct 2025 07:28:00 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzSecret(f *testing.F) {
	for _, text := range []string{"", secret, secret + "\n", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "\r\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := parseSecret(data)
		switch {
		case err == nil && (len(key) < minSecret || len(key) > maxSecret):
			t.Errorf("a key of %d bytes was taken", len(key))
		case err != nil && len(data) >= minSecret && bytes.Contains([]byte(err.Error()), data):
			t.Errorf("the error quotes the key: %v", err)
		}
	})
}

// Whatever the client says, its URL is not in it.
func TestErrorsHideTheURL(t *testing.T) {
	hook := config.Webhook{URL: "https://127.0.0.1:1/" + token, SecretFile: writeFile(t, "key", []byte(secret), 0o600)}
	client, err := newClient(hook, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("over"))
	for _, ctx := range []context.Context{t.Context(), gone} {
		err := post(ctx, client, hook, "evenkeel/test", "id", nil, time.Now())
		if err == nil {
			t.Fatal("nobody is there, and it was delivered")
		}
		secrets(t, err.Error())
	}
}
