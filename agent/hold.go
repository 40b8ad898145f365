package agent

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// maxHold bounds what of a hold file is told.
const maxHold = 120

// ReadHold says why a host is to neither give nor take VMs: the first line of a
// file that an operator, or a script without any leader, puts there. "" means
// that there is no such file. One that cannot be read holds as well.
func ReadHold(path string) string {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		return "the hold file cannot be read"
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4*maxHold))
	if err != nil {
		return "the hold file cannot be read"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line))
	for len(line) > maxHold {
		_, size := utf8.DecodeLastRuneInString(line)
		line = line[:len(line)-size]
	}
	if line == "" {
		return "no reason given"
	}
	return line
}

// held is the refusal of a host with a hold file, or nil.
func (x *Executor) held(end string) *cluster.Refusal {
	if x.cfg.Hold == nil {
		return nil
	}
	if why := x.cfg.Hold(); why != "" {
		return &cluster.Refusal{Code: cluster.CodeHeld, Text: "the " + end + " is held: " + why}
	}
	return nil
}
