package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// man writes the manual pages of all commands, for packages.
func (a *app) man() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "man FOLDER",
		Short:  "Write the manual pages of all commands",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
	}
	cmd.RunE = a.verb(func(_ context.Context, args []string) error {
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return plainFailure(err)
		}
		date, err := buildDate(a.env)
		if err != nil {
			return err
		}
		root := cmd.Root()
		root.DisableAutoGenTag = true
		header := doc.GenManHeader{Section: "1", Source: "evenkeel " + version, Manual: "evenkeel", Date: &date}
		if err := doc.GenManTree(root, &header, args[0]); err != nil {
			return plainFailure(err)
		}
		return nil
	})
	return cmd
}

// buildDate is that of the source, by the custom of reproducible builds: the
// same source gives the same bytes.
func buildDate(env func(string) string) (time.Time, error) {
	const name = "SOURCE_DATE_EPOCH"
	text := env(name)
	if text == "" {
		return time.Now().UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("%s is %.40q, must be seconds since 1970", name, text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
