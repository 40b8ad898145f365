package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
)

// goesOn says that the server still answers operators.
func goesOn(t *testing.T, s *apitest.Site) {
	t.Helper()
	if _, err := byCert(t, s, apitest.HV2, "alice").Status(patience(t)); err != nil {
		t.Errorf("the server does not go on: %v", err)
	}
}

func TestGarbageOnThePort(t *testing.T) {
	s := site(t, apitest.Moved)
	noise := make([]byte, 64<<10)
	_, _ = rand.Read(noise)
	for name, data := range map[string][]byte{
		"noise": noise, "plain HTTP": []byte("POST /evenkeel.v1.API/Status HTTP/1.1\r\nHost: x\r\n\r\n"),
		"nothing": nil, "half a hello": {0x16, 0x03, 0x01, 0x40, 0x00, 0x01}, "ssh": []byte("SSH-2.0-OpenSSH_9.2\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.Addr(apitest.HV2))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(data) // it may be cut off in the middle
			conn.Close()
			goesOn(t, s)
		})
	}
}

// dialAs opens a TLS connection for one protocol.
func dialAs(t *testing.T, s *apitest.Site, who, protocol string) *tls.Conn {
	t.Helper()
	m, err := certs.LoadTLS(s.File("ca.pem"), s.File(who+".pem"), s.File(who+".key"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", s.Addr(apitest.HV2), m.ClientConfig(protocol))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestGarbageInsideTLS(t *testing.T) {
	s := site(t, apitest.Moved)
	for protocol, data := range map[string]string{
		"h2":       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"http/1.1": "GET \x00\x01 / HTTP/9.9\r\n\r\n",
	} {
		conn := dialAs(t, s, "alice", protocol)
		_, _ = io.WriteString(conn, data)
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection is kept open: %v", protocol, err)
		}
		goesOn(t, s)
	}
}

// post sends a body to a method over the unix socket, as curl would.
func post(t *testing.T, s *apitest.Site, method, body string, header ...string) (int, map[string]any) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.Socket("hv2"))
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(patience(t), http.MethodPost, "http://x/evenkeel.v1.API/"+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	answer := map[string]any{}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatalf("status %d, not JSON: %.200q", resp.StatusCode, data)
	}
	return resp.StatusCode, answer
}

func TestCurl(t *testing.T) {
	s := site(t, apitest.Moved)
	for _, c := range []struct{ method, body, code, message string }{
		{"Status", `{}`, "", ""},
		{"Status", ``, "", ""},
		{"Status", `{"x":1}`, "invalid_argument", `unknown field "x"`},
		{"Status", strings.Repeat(" ", 70<<10) + "{}", "resource_exhausted", ""},
		{"SetMode", `{"mode":"` + strings.Repeat("a", 300<<10) + `"}`, "resource_exhausted", ""},
		{"Pause", `{"for_seconds":-5}`, "invalid_argument", "a pause lasts from 1 s"},
		{"Pause", `{"for_seconds":60,"reason":"` + strings.Repeat("a", 501) + `"}`, "invalid_argument", "reason: 501 bytes, at most 500"},
		{"Pause", `{"for_seconds":60,"id":"a\nb"}`, "invalid_argument", "id: must be printable"},
		{"Moves", `{"limit":-1}`, "invalid_argument", "limit is -1"},
		{"Explain", `{}`, "invalid_argument", "subject is missing"},
		{"Frobnicate", `{}`, "unimplemented", "which is one of AddMember, Cancel, Cordon, Decisions, Events, Explain"},
	} {
		status, answer := post(t, s, c.method, c.body)
		got, _ := answer["code"].(string)
		text, _ := answer["message"].(string)
		if got != c.code || !strings.Contains(text, c.message) {
			t.Errorf("%s %.40s: HTTP %d, code %q, message %.200q; want %q, %q", c.method, c.body, status, got, text, c.code, c.message)
		}
	}
	goesOn(t, s)
}

func TestCompressedBodiesAreRefused(t *testing.T) {
	s := site(t, apitest.Moved)
	if _, answer := post(t, s, "Status", "\x1f\x8b\x08", "Content-Encoding", "gzip"); answer["code"] != "unimplemented" {
		t.Errorf("answer %v, want unimplemented: a small body could unfold to a large one", answer)
	}
}

func TestForgedActor(t *testing.T) {
	s := site(t, apitest.Moved)
	actor := base64.RawURLEncoding.EncodeToString([]byte(`{"kind":"operator","id":"uid:0","name":"root@hv1"}`))
	for who, want := range map[string]string{
		"alice": "only members forward", // an operator who would be somebody else
		"hv1":   `"done":true`,          // a member is believed
		"w1":    `"done":true`,          // a witness forwards as well
		"bad":   "header Ek-Actor: ",    // what is not an actor
	} {
		header, cert := actor, who
		if who == "bad" {
			header, cert = "bm9uc2Vuc2U", "hv1"
		}
		conn := dialAs(t, s, cert, "http/1.1")
		body := `{"mode":"recommend"}`
		var req bytes.Buffer
		req.WriteString("POST /evenkeel.v1.API/SetMode HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nEk-Actor: " + header + "\r\nContent-Length: 20\r\n\r\n" + body)
		if _, err := conn.Write(req.Bytes()); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		answer, _ := io.ReadAll(conn)
		if !strings.Contains(string(answer), want) {
			t.Errorf("%s: answer %s, want one with %q", who, answer, want)
		}
	}
	status := must(bySocket(t, s, "hv2").Status(patience(t)))(t)
	if status.ModeBy != "root@hv1 via hv1" && status.ModeBy != "root@hv1 via w1" {
		t.Errorf("mode by %q: the record must name the member that vouches", status.ModeBy)
	}
}

func TestNotAnEvenkeeldAtTheAddress(t *testing.T) {
	s := site(t, apitest.Moved)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
			conn.Close()
		}
	}()
	defer func() { lis.Close(); <-done }()
	c, err := api.Dial(api.Target{Addr: lis.Addr().String(), CACert: s.File("ca.pem"), ClientCert: s.File("alice.pem"), ClientKey: s.File("alice.key")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Status(patience(t))
	wantCause(t, err, api.CauseUnreachable)
}
