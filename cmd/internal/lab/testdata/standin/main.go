// Command standin takes the place of evenkeeld and evenkeel, by the name that
// it is called by, in tests of how the lab starts and drives them.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	socket = "/run/evenkeel/agent.sock"
	calls  = "/var/lib/evenkeel/calls"
)

func main() {
	run := operate
	if filepath.Base(os.Args[0]) == "evenkeeld" {
		run = serve
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

// serve answers on the socket until SIGTERM.
func serve() error {
	if _, err := os.Stat(os.Args[len(os.Args)-1]); err != nil { // --config FILE
		return err
	}
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		for {
			if conn, err := listener.Accept(); err == nil {
				conn.Close()
			}
		}
	}()
	<-ended
	return nil
}

// operate notes how it was called, and fails the first time, as evenkeel does
// before there is a leader.
func operate() error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	conn.Close()
	_, err = os.Stat(calls)
	first := err != nil
	f, err := os.OpenFile(calls, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	fmt.Fprintln(f, strings.Join(os.Args[1:], " "))
	if err := f.Close(); err != nil {
		return err
	}
	if first {
		return fmt.Errorf("no leader yet")
	}
	return nil
}
