package api_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// cutOff fails if the server lets a connection live on for much longer than its
// limits say. The deadline only bounds a hang.
func cutOff(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(45 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("%s: the connection is kept open: %v", what, err)
	}
}

// Who is slow on purpose is cut off, whatever he is slow at, and the operators
// do not notice.
func TestFault33SlowOnThePort(t *testing.T) {
	s := site(t, apitest.Moved)
	raw := func(t *testing.T) net.Conn {
		conn, err := net.Dial("tcp", s.Addr(apitest.HV2))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	trickle := func(conn net.Conn, first, again string) {
		_, err := io.WriteString(conn, first)
		for err == nil {
			time.Sleep(200 * time.Millisecond)
			_, err = io.WriteString(conn, again)
		}
	}
	for name, open := range map[string]func(t *testing.T) net.Conn{
		"says nothing": raw,
		"a handshake byte by byte": func(t *testing.T) net.Conn {
			conn := raw(t)
			go trickle(conn, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00")
			return conn
		},
		"headers byte by byte": func(t *testing.T) net.Conn {
			conn := dialAs(t, s, "alice", "http/1.1")
			go trickle(conn, "POST /evenkeel.v1.API/Status HTTP/1.1\r\nHost: x\r\nX: ", "a")
			return conn
		},
		"a body byte by byte": func(t *testing.T) net.Conn {
			conn := dialAs(t, s, "alice", "http/1.1")
			go trickle(conn, "POST /evenkeel.v1.API/Status HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{", " ")
			return conn
		},
		"half a frame of HTTP/2": func(t *testing.T) net.Conn {
			conn := dialAs(t, s, "alice", "h2")
			_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x10\x04")
			return conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cutOff(t, name, open(t))
			goesOn(t, s)
		})
	}
}

// A certificate is good from its beginning to its end, not a second more.
func TestFault33CertificatesOutOfTime(t *testing.T) {
	s := site(t, apitest.Moved)
	ca, err := certs.LoadCA(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, made := range map[string]time.Time{"ended": time.Now().Add(-90 * time.Minute), "not begun": time.Now().Add(30 * time.Minute)} {
		t.Run(name, func(t *testing.T) {
			pair, err := ca.Issue(certs.Request{Kind: cluster.KindOperator, Name: "bob", MemberID: uuid.NewString()}, made, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := pair.Save(dir+"/bob.pem", dir+"/bob.key"); err != nil {
				t.Fatal(err)
			}
			cert, err := tls.LoadX509KeyPair(dir+"/bob.pem", dir+"/bob.key")
			if err != nil {
				t.Fatal(err)
			}
			conn, err := tls.Dial("tcp", s.Addr(apitest.HV2), &tls.Config{
				Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
				InsecureSkipVerify: true, // it is the server that has to look
			})
			if err == nil {
				_, _ = io.WriteString(conn, "POST /evenkeel.v1.API/Status HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
				var answer []byte
				answer, err = io.ReadAll(conn)
				if len(answer) > 0 {
					t.Errorf("answered %.200q", answer)
				}
				conn.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("refused by %v, want a word about the certificate", err)
			}
			goesOn(t, s)
		})
	}
}
