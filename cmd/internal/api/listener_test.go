package api

import (
	"io"
	"net"
	"testing"
	"time"
)

// dial connects; the connection is closed with the test.
func dial(t *testing.T, lis net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Beyond the caps a connection is closed at once, and one that ends makes room.
func TestConnectionsAreCapped(t *testing.T) {
	for name, caps := range map[string]struct{ all, perHost int }{"in all": {2, 10}, "of one address": {10, 2}} {
		t.Run(name, func(t *testing.T) {
			tcp, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			lis := capped(tcp, caps.all, caps.perHost)
			accepted := make(chan net.Conn)
			go func() {
				defer close(accepted)
				for {
					conn, err := lis.Accept()
					if err != nil {
						return
					}
					accepted <- conn
				}
			}()
			dial(t, lis)
			first := <-accepted
			dial(t, lis)
			second := <-accepted
			defer second.Close()
			third := dial(t, lis)
			_ = third.SetReadDeadline(time.Now().Add(time.Minute)) // only bounds a hang: it is not accepted
			if _, err := third.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the third connection reads %v, want EOF", err)
			}
			first.Close()
			first.Close() // counts once
			dial(t, lis)
			fourth := <-accepted
			defer fourth.Close()
			if lis.total != 2 {
				t.Errorf("%d connections are counted, want 2", lis.total)
			}
			lis.Close()
			if conn, open := <-accepted; open {
				conn.Close()
				t.Error("more was accepted than the cap allows")
			}
		})
	}
}
