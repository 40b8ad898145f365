package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
)

// A watch goes on until it is interrupted, which is no failure; JSON comes one
// object a line.
func TestWatchEndsWithAnInterrupt(t *testing.T) {
	dir, err := os.MkdirTemp("", "ek")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	site, err := apitest.Open(dir, apitest.Moved, apitest.Patient(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	for verb, kind := range map[string]string{"status": "Status", "history": "", "history --decisions": "", "migrations watch": ""} {
		t.Run(verb, func(t *testing.T) {
			args := append(strings.Fields(verb), "--json", "--interval", "100ms", "--socket", site.Socket("hv2"))
			if verb != "migrations watch" {
				args = append(args, "--watch")
			}
			ctx, interrupt := context.WithCancel(t.Context())
			out, in := io.Pipe()
			code := make(chan int, 1)
			go func() {
				code <- run(ctx, args, strings.NewReader(""), in, os.Stderr)
				in.Close()
			}()
			line, err := bufio.NewReader(out).ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			interrupt()
			go func() { _, _ = io.Copy(io.Discard, out) }()
			if c := <-code; c != 0 {
				t.Errorf("an interrupt ends it with %d", c)
			}
			var object struct{ ID, Kind string }
			if err := json.Unmarshal(line, &object); err != nil || object.Kind != kind || kind == "" && object.ID == "" {
				t.Errorf("line %.80s: %+v, %v", line, object, err)
			}
		})
	}
}
