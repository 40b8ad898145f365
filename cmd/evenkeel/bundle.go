package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// bundled is the answer of `evenkeel support-bundle`.
type bundled struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	File       string        `json:"file"`
	Items      []bundledFile `json:"items"`
}

// bundledFile is one file in the bundle. What could not be had is said in it.
type bundledFile struct {
	Name    string `json:"name"`
	Bytes   int    `json:"bytes"`
	Message string `json:"message,omitempty"`
}

// Bounds of a bundle: of each file in it, and of what another program may take.
const (
	bundledMost = 16 << 20
	bundledTime = 20 * time.Second
)

// bundledVerbs are the questions whose answers are in a bundle. None of them
// changes anything.
var bundledVerbs = [][]string{
	{"version"},
	{"status"},
	{"cluster", "peers"},
	{"hosts"},
	{"vms"},
	{"policy"},
	{"rules"},
	{"plan"},
	{"migrations"},
	{"history", "--limit", "500"},
	{"history", "--decisions", "--limit", "200"},
	{"events", "--limit", "500"},
	{"report"},
}

func (a *app) supportBundle() *cobra.Command {
	path := config.DefaultPath
	cmd := &cobra.Command{
		Use:   "support-bundle [FILE]",
		Short: "Write what helps to find out what is wrong into one file",
		Long: `Asks everything that only reads, as JSON, and adds this host's doctor, its
agent.yaml, the daemons' log and the system's release, in one tar.gz file that only
its owner can read. Keys, tokens and the files that agent.yaml names are left out,
of URLs all but the host. Names of hosts, VMs and people are in it: look before you
give it away. What cannot be had is missing, and said.`,
		Example: `  sudo evenkeel support-bundle
  evenkeel support-bundle /tmp/case-17.tar.gz`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&path, "config", path, "the host's configuration, a `FILE`")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		now := time.Now().UTC()
		file := "evenkeel-support-" + now.Format("20060102T150405Z") + ".tar.gz"
		if len(args) == 1 {
			file = args[0]
		}
		b := &bundle{a: a, at: now, told: bundled{APIVersion: api.Version, Kind: "SupportBundle", File: file}}
		if err := b.write(ctx, path); err != nil {
			return plainFailure(fmt.Errorf("%s: %w", file, err))
		}
		return a.print(b.told, func(w *ui.Writer) {
			for _, f := range b.told.Items {
				if f.Message != "" {
					w.Linef("%s: %s", f.Name, f.Message)
				}
			}
			w.Linef("%s has %d files; look at them before you give it away", file, len(b.told.Items))
		}, []string{file})
	})
	return cmd
}

// bundle is one that is being written.
type bundle struct {
	a    *app
	at   time.Time
	out  *tar.Writer
	told bundled
}

// write never replaces a file that is there, and leaves none that is not whole.
func (b *bundle) write(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(b.told.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(f)
	b.out = tar.NewWriter(zip)
	err = b.fill(ctx, path)
	err = errors.Join(err, b.out.Close(), zip.Close(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(b.told.File))
	}
	return nil
}

func (b *bundle) fill(ctx context.Context, path string) error {
	for _, words := range bundledVerbs {
		if err := b.verb(ctx, words); err != nil {
			return err
		}
	}
	if err := b.verb(ctx, []string{"doctor", "--config", path}); err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err := b.add("agent.yaml", withoutSecrets(text), err); err != nil {
		return err
	}
	release, err := os.ReadFile("/etc/os-release")
	if err := b.add("os-release", release, err); err != nil {
		return err
	}
	for _, p := range [][]string{
		{"uname.txt", "uname", "-a"},
		{"journal.txt", "journalctl", "--no-pager", "--output=short-iso-precise", "--lines=5000", "--unit=evenkeeld", "--unit=evenkeel-relay", "--unit=evenkeel-restart"},
	} {
		said, err := program(ctx, p[1:])
		if err := b.add(p[0], said, err); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// verb answers a question as the command line would.
func (b *bundle) verb(ctx context.Context, words []string) error {
	var out, said limited
	inner := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &said, env: b.a.env}
	defer inner.close()
	root := inner.root()
	root.SetArgs(append(b.a.targetFlags(), words...))
	root.SetOut(&out)
	root.SetErr(&said)
	err := root.ExecuteContext(ctx)
	name := strings.ReplaceAll(strings.Join(words[:len(words)-flagsIn(words)], "-"), "/", "-") + ".json"
	if words[0] == "history" && words[1] == "--decisions" {
		name = "decisions.json"
	}
	if out.Len() > 0 {
		err = nil // an exit code other than 0 is part of some answers
	}
	return b.add(name, out.Bytes(), err)
}

// flagsIn counts the words from the first flag on.
func flagsIn(words []string) int {
	for i, w := range words {
		if strings.HasPrefix(w, "-") {
			return len(words) - i
		}
	}
	return 0
}

// targetFlags are the flags that ask the same daemon again, for JSON.
func (a *app) targetFlags() []string {
	flags := []string{"--output", string(ui.JSON), "--timeout", a.timeout.String(), "--socket", a.target.Socket}
	if a.target.Addr != "" {
		flags = append(flags, "--addr", a.target.Addr, "--cacert", a.target.CACert, "--client-cert", a.target.ClientCert, "--client-key", a.target.ClientKey)
	}
	return flags
}

// add writes a file, or what stood in its way.
func (b *bundle) add(name string, data []byte, missing error) error {
	told := bundledFile{Name: name}
	if missing != nil {
		told.Message = missing.Error()
		name, data = name+".missing", []byte(missing.Error()+"\n")
	}
	told.Bytes = len(data)
	b.told.Items = append(b.told.Items, told)
	head := tar.Header{Name: "evenkeel-support/" + name, Mode: 0o600, Size: int64(len(data)), ModTime: b.at, Typeflag: tar.TypeReg}
	if err := b.out.WriteHeader(&head); err != nil {
		return err
	}
	_, err := b.out.Write(data)
	return err
}

// withoutSecrets leaves of each URL in an agent.yaml the host alone: receivers
// of events may be told from strangers by the rest. Other secrets are in files that
// it names.
func withoutSecrets(text []byte) []byte {
	text = secrets.ReplaceAll(text, []byte("${1}REDACTED"))
	return urls.ReplaceAll(text, []byte("${1}${3}/REDACTED"))
}

// secrets are values that have no place in an agent.yaml; one that is wrong is
// what bundles are made of.
var secrets = regexp.MustCompile(`(?im)^(\s*(?:-\s*)?["']?[\w-]*(?:secret|passw(?:or)?d|token)["']?\s*:\s*)\S.*$`)

var urls = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s"'/@]*@)?([^\s"'/?#@]*)[^\s"']*`)

// program runs one for what it says.
func program(ctx context.Context, argv []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bundledTime)
	defer cancel()
	var out limited
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", argv[0], err)
	}
	return out.Bytes(), nil
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), bundledMost-l.Len())])
	return len(p), nil
}

var _ io.Writer = (*limited)(nil)
