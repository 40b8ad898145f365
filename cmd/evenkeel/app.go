package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// app is one run of the command.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string

	target  api.Target
	output  string
	json    bool
	timeout time.Duration

	format ui.Format
	client *api.Client
	began  bool // a verb runs: errors are its own, no more the command line's
}

// verb makes a command's RunE.
func (a *app) verb(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := a.settle(cmd); err != nil {
			return err
		}
		a.began = true
		return f(cmd.Context(), args)
	}
}

// settle decides what flags, environment and defaults come to.
func (a *app) settle(cmd *cobra.Command) error {
	for _, v := range []struct {
		flag, env string
		at        *string
	}{
		{"addr", "EVENKEEL_ADDR", &a.target.Addr},
		{"cacert", "EVENKEEL_CACERT", &a.target.CACert},
		{"client-cert", "EVENKEEL_CLIENT_CERT", &a.target.ClientCert},
		{"client-key", "EVENKEEL_CLIENT_KEY", &a.target.ClientKey},
		{"output", "EVENKEEL_OUTPUT", &a.output},
	} {
		if value := a.env(v.env); value != "" && !cmd.Flags().Changed(v.flag) {
			*v.at = value
		}
	}
	if a.json {
		if cmd.Flags().Changed("output") && a.output != string(ui.JSON) {
			return fmt.Errorf("--json and --output %s contradict each other", a.output)
		}
		a.output = string(ui.JSON)
	}
	if cmd.Flags().Changed("socket") && !cmd.Flags().Changed("addr") {
		a.target.Addr = "" // a flag wins over the environment
	}
	if a.timeout <= 0 {
		return fmt.Errorf("--timeout is %v, must be more than 0", a.timeout)
	}
	var err error
	a.format, err = ui.ParseFormat(a.output)
	return err
}

// dial returns the client of this run.
func (a *app) dial() (*api.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	t := a.target
	if t.Addr != "" && (t.CACert == "" || t.ClientCert == "" || t.ClientKey == "") {
		return nil, usage{errors.New("--addr needs --cacert, --client-cert and --client-key (or EVENKEEL_CACERT, EVENKEEL_CLIENT_CERT, EVENKEEL_CLIENT_KEY); `evenkeel certs operator` makes them")}
	}
	if t.Addr != "" {
		t.Addr = withPort(t.Addr)
	}
	client, err := api.Dial(t)
	if err != nil {
		return nil, err
	}
	a.client = client
	return client, nil
}

// ask makes one call within the timeout.
func ask[T any](ctx context.Context, a *app, call func(context.Context, *api.Client) (T, error)) (T, error) {
	var none T
	client, err := a.dial()
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return call(ctx, client)
}

func (a *app) close() {
	if a.client != nil {
		a.client.Close()
	}
}

// print prints an answer to stdout in the chosen format.
func (a *app) print(answer any, text func(*ui.Writer), names []string) error {
	p := ui.Printer{Out: a.stdout, Format: a.format, Colour: ui.Colourful(a.stdout, a.env)}
	return p.Print(answer, text, names)
}

// notes says on stderr what an answer could not find out. Data formats carry
// it themselves.
func (a *app) notes(h api.Head) {
	if a.format.Data() {
		return
	}
	if h.Stale != nil {
		a.note("%s", staleText(h.Stale))
	}
	for _, m := range h.Messages {
		a.note("%s", m)
	}
}

func (a *app) note(format string, args ...any) {
	fmt.Fprintln(a.stderr, ui.Clean(fmt.Sprintf("evenkeel: "+format, args...)))
}

func staleText(s *api.Stale) string {
	return fmt.Sprintf("stale, %s, no leader: %s", ui.Seconds(s.Seconds), s.Why)
}

// withPort adds the API's port to an address that has none.
func withPort(addr string) string {
	if hasPort(addr) {
		return addr
	}
	return joinPort(addr)
}
