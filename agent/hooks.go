package agent

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Hooks are an operator's programs and URLs in a directory of the source's:
// pre-move may veto a move before anything has begun, post-move is told what came
// of it. A program is told in its environment, a URL in JSON (docs/moving.md).
type Hooks struct {
	Dir  string
	Host string        // this host's name
	Time time.Duration // they may take; 0: HookTime
	// Call posts JSON to a URL, and returns the beginning of what was answered. Any
	// answer but 2xx is an error, and no error names the URL: it may be a secret.
	Call   func(ctx context.Context, url string, body []byte) (said []byte, err error)
	Logger *slog.Logger
}

// HookMove is what a hook is told of a move.
type HookMove struct {
	ID, VM, VMName string
	Target         string // the host's name, "" if it is not known after a restart
	Trigger        cluster.Trigger
}

// HookTime is how long a program and a URL may take together before a move: an
// order waits for 30 s to be claimed.
const HookTime = 15 * time.Second

const (
	preMove  = "pre-move"
	postMove = "post-move"
	// hookOutput bounds what is read of what a hook says, hookWords what of that
	// is told.
	hookOutput = 4 << 10
	hookWords  = 200
)

// hookNotice is what a hook is told.
type hookNotice struct {
	Hook    string          `json:"hook"` // pre-move or post-move
	Move    string          `json:"move"`
	VM      string          `json:"vm"` // name
	VMUUID  string          `json:"vm_uuid"`
	Source  string          `json:"source"` // host's name
	Target  string          `json:"target"`
	Trigger cluster.Trigger `json:"trigger"`
	Outcome string          `json:"outcome,omitempty"` // left or stayed; after a move
}

// Pre asks the hooks before a move, and returns a veto, or nil. A hook that
// cannot be asked, or takes too long, vetoes as well: somebody put it there.
func (h Hooks) Pre(ctx context.Context, m HookMove) *cluster.Refusal {
	n := h.notice(preMove, m)
	ctx, cancel := h.limited(ctx)
	defer cancel()
	said, err := h.run(ctx, n)
	if err == nil {
		said, err = h.call(ctx, n)
	}
	if err == nil {
		return nil
	}
	text := err.Error()
	if said != "" {
		text += ": " + said
	}
	return &cluster.Refusal{Code: cluster.CodeHookVeto, Text: text}
}

// Post tells the hooks after a move what the source saw of it: the VM left, or
// stayed. What they answer is only logged, and one cannot silence the other.
func (h Hooks) Post(ctx context.Context, m HookMove, left bool) {
	n := h.notice(postMove, m)
	n.Outcome = "stayed"
	if left {
		n.Outcome = "left"
	}
	for _, tell := range []func(context.Context, hookNotice) (string, error){h.run, h.call} {
		ctx, cancel := h.limited(ctx)
		if said, err := tell(ctx, n); err != nil {
			h.Logger.Warn("hook after a move", "move", m.ID, "err", err, "said", said)
		}
		cancel()
	}
}

func (h Hooks) notice(hook string, m HookMove) hookNotice {
	return hookNotice{Hook: hook, Move: m.ID, VM: m.VMName, VMUUID: m.VM, Source: h.Host, Target: m.Target, Trigger: m.Trigger}
}

// limited bounds the time of hooks.
func (h Hooks) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := cmp.Or(h.Time, HookTime)
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("it was not done within the %v that hooks have", limit))
}

// waits says whether there is a hook of a name.
func (h Hooks) waits(name string) bool {
	if h.Dir == "" {
		return false
	}
	program, _ := runnable(h.program(name))
	url, err := readHookURL(h.url(name))
	return program || url != "" || err != nil
}

// guarded refuses a hook that others than root can change: it runs as root, or
// has the last word on moves.
func guarded(path string, uid, mode uint32) error {
	if uid != 0 && uid != uint32(os.Geteuid()) || mode&0o022 != 0 {
		return fmt.Errorf("hook %s can be changed by others than root: chown root it and chmod go-w", path)
	}
	return nil
}

// bounded keeps the beginning of what is written to it.
type bounded struct{ kept bytes.Buffer }

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(len(p), hookOutput-b.kept.Len())])
	return len(p), nil
}

// words is the first line, as far as it can be shown.
func (b *bounded) words() string {
	line, _, _ := strings.Cut(strings.TrimSpace(b.kept.String()), "\n")
	line = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line)
	for len(line) > hookWords {
		_, size := utf8.DecodeLastRuneInString(line)
		line = line[:len(line)-size]
	}
	return line
}
