package libvirt

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// maxConf bounds a configuration file of libvirt's; the one that it ships has
// 40 KiB.
const maxConf = 1 << 20

// readConf reads a configuration file of libvirt's, and when it was changed.
// Without the file all is as libvirt has it by default.
func readConf(root fs.FS, name string) (map[string]string, time.Time, error) {
	info, err := fs.Stat(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	text, err := readSmall(root, name, maxConf)
	if err != nil {
		return nil, time.Time{}, err
	}
	values, err := parseConf(text)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("/%s, %w", name, err)
	}
	return values, info.ModTime(), nil
}

// parseConf reads libvirt's form of configuration: NAME = VALUE, a value being a
// number, a string or a list, and # beginning a comment. Lists are passed over.
// Of two assignments of a name libvirt heeds the first.
func parseConf(text string) (map[string]string, error) {
	r := confReader{rest: text, line: 1}
	out := map[string]string{}
	for {
		r.skip(" \t\r\n;")
		if r.rest == "" {
			return out, nil
		}
		name := r.take(isNameByte)
		r.blanks()
		if name == "" || !r.eat("=") {
			return nil, r.wrong("want NAME = VALUE")
		}
		r.blanks()
		value, err := r.value(0)
		if err != nil {
			return nil, err
		}
		if _, twice := out[name]; !twice {
			out[name] = value
		}
		if r.blanks(); r.rest != "" && !strings.ContainsRune("\r\n;#", rune(r.rest[0])) {
			return nil, r.wrong("something follows the value")
		}
	}
}

// confReader is what is left of a configuration file.
type confReader struct {
	rest string
	line int
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (r *confReader) wrong(what string) error { return fmt.Errorf("line %d: %s", r.line, what) }

func (r *confReader) drop(n int) {
	r.line += strings.Count(r.rest[:n], "\n")
	r.rest = r.rest[n:]
}

func (r *confReader) eat(prefix string) bool {
	found := strings.HasPrefix(r.rest, prefix)
	if found {
		r.drop(len(prefix))
	}
	return found
}

func (r *confReader) take(is func(byte) bool) string {
	n := 0
	for n < len(r.rest) && is(r.rest[n]) {
		n++
	}
	taken := r.rest[:n]
	r.drop(n)
	return taken
}

func (r *confReader) blanks() { r.take(func(c byte) bool { return c == ' ' || c == '\t' }) }

// skip passes over bytes of a set, and comments to the ends of their lines.
func (r *confReader) skip(set string) {
	for {
		r.take(func(c byte) bool { return strings.IndexByte(set, c) >= 0 })
		if !strings.HasPrefix(r.rest, "#") {
			return
		}
		r.take(func(c byte) bool { return c != '\n' })
	}
}

// maxConfDepth bounds lists in lists.
const maxConfDepth = 16

// value reads a value; a list's is "".
func (r *confReader) value(depth int) (string, error) {
	switch {
	case r.eat(`"""`):
		return r.until(`"""`, true)
	case r.eat(`"`):
		return r.until(`"`, false)
	case r.eat(`'`):
		return r.until(`'`, false)
	case r.eat("["):
		return "", r.list(depth + 1)
	}
	sign := ""
	if r.eat("-") {
		sign = "-"
	} else {
		r.eat("+")
	}
	digits := r.take(isDigit)
	if digits == "" {
		return "", r.wrong("want a number, a string in quotes, or a list")
	}
	return sign + digits, nil
}

func (r *confReader) until(quote string, lines bool) (string, error) {
	text, _, closed := strings.Cut(r.rest, quote)
	if !closed || !lines && strings.ContainsAny(text, "\r\n") {
		return "", r.wrong("a string without an end")
	}
	r.drop(len(text) + len(quote))
	return text, nil
}

func (r *confReader) list(depth int) error {
	if depth > maxConfDepth {
		return r.wrong("lists in lists without end")
	}
	for {
		r.skip(" \t\r\n")
		if r.eat("]") {
			return nil
		}
		if _, err := r.value(depth); err != nil {
			return err
		}
		r.skip(" \t\r\n")
		if !r.eat(",") && !strings.HasPrefix(r.rest, "]") {
			return r.wrong("want , or ] in a list")
		}
	}
}
