package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxHookURL bounds the file of a hook's URL.
const maxHookURL = 4 << 10

func (h Hooks) url(name string) string { return filepath.Join(h.Dir, name+".url") }

// call posts a notice to a URL, if there is one. An error says what was wrong.
func (h Hooks) call(ctx context.Context, n hookNotice) (said string, err error) {
	if h.Dir == "" {
		return "", nil
	}
	path := h.url(n.Hook)
	address, err := readHookURL(path)
	if address == "" || err != nil {
		return "", err
	}
	body, err := json.Marshal(n)
	if err != nil {
		panic(err) // strings only
	}
	answer, err := h.Call(ctx, address, body)
	var out bounded
	_, _ = out.Write(answer)
	return out.words(), hookError(ctx, path, err)
}

// readHookURL reads the URL of a hook, "" if there is none. It is read for each
// move, so a new one is taken without a restart. No error quotes it.
func readHookURL(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would be waited for
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("hook %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("hook %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("hook %s is no regular file: write the URL into one, or take it away", path)
	}
	if err := guarded(path, info.Sys().(*syscall.Stat_t).Uid, uint32(info.Mode().Perm())); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxHookURL+1))
	if err != nil {
		return "", fmt.Errorf("hook %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) != 1 || len(text) > maxHookURL {
		return "", fmt.Errorf("hook %s does not hold one URL: write https://HOST/PATH into it and nothing else, or take it away", path)
	}
	return words[0], nil
}
