package metrics

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Who is slow on purpose at the read-only port is cut off, whatever he is slow
// at; nobody holds more connections than his share, and scrapes go on.
func TestFault33SlowOnTheReadOnlyPort(t *testing.T) {
	base := serve(t, config())
	addr := strings.TrimPrefix(base, "http://")
	dial := func(t *testing.T) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	for what, say := range map[string][2]string{
		"says nothing":         {"", ""},
		"headers byte by byte": {"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ", "a"},
		"half a request line":  {"GET /met", ""},
	} {
		t.Run(what, func(t *testing.T) {
			conn := dial(t)
			_, _ = io.WriteString(conn, say[0])
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for err := error(nil); err == nil && say[1] != ""; _, err = io.WriteString(conn, say[1]) {
					time.Sleep(100 * time.Millisecond)
				}
			}()
			_ = conn.SetReadDeadline(time.Now().Add(45 * time.Second)) // only bounds a hang
			if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("the connection is kept open: %v", err)
			}
			conn.Close()
			<-ended
			if status, _ := ask(t, http.MethodGet, base+"/metrics", nil); status != http.StatusOK {
				t.Errorf("a scrape: %d", status)
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		var all []net.Conn
		for range maxConnectionsPerHost + 1 {
			all = append(all, dial(t))
		}
		last := all[maxConnectionsPerHost]
		_, _ = io.WriteString(last, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = last.SetReadDeadline(time.Now().Add(45 * time.Second)) // only bounds a hang
		if n, _ := last.Read(make([]byte, 1)); n > 0 {
			t.Errorf("connection %d of one host is answered", maxConnectionsPerHost+1)
		}
		for _, c := range all {
			c.Close()
		}
	})
	// Closed connections count no more; the server hears of it in its own time.
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		conn.Close()
		if strings.HasPrefix(string(answer), "HTTP/1.1 200") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after they were closed: %q", answer)
		}
	}
}
