// Command evenkeel is the operator's side of evenkeel: it asks a daemon how
// the fleet is, explains what was decided, and says what may be done.
//
//	evenkeel status
//	evenkeel explain latest
//	evenkeel mode auto
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build.
var version = "0.1.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, env: os.Getenv}
	cmd := a.root()
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	a.close()
	if err == nil {
		return exitDone
	}
	if !a.began { // cobra refused the command line
		err = usage{err}
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(stderr, "evenkeel:", text)
	}
	return exitCode(err)
}
