package config

import (
	"bytes"
	"fmt"
	"slices"
)

// Setting is one setting as a person writes it.
type Setting struct{ Name, Value string }

// ParsePolicy reads a file of settings: those of the names given, each at most
// once. Check says what is wrong with a value. What is wrong in the file comes back
// as [Problems], all of it at once. Path names the file in them.
func ParsePolicy(path string, data []byte, names []string, check func(Setting) error) ([]Setting, error) {
	src := newSource(path, data)
	if len(data) > MaxFile || len(bytes.TrimSpace(data)) == 0 {
		src.blameAt(position{}, "", "write `settings:` and KEY: VALUE lines below it, as `evenkeel policy export` does", "the file is empty, or larger than %d bytes", MaxFile)
		return nil, src.err()
	}
	root := src.document(data)
	if err := src.err(); err != nil {
		return nil, err
	}
	top := newSection(src, "", root)
	if _, ok := top.values["settings"]; !ok {
		src.blameAt(position{}, "settings", "write `settings:` and KEY: VALUE lines below it", "missing")
	}
	section := top.section("settings")
	top.done()
	var out []Setting
	for _, name := range names {
		value, ok := section.scalar(name)
		if !ok {
			continue
		}
		s := Setting{name, value}
		if err := check(s); err != nil {
			src.blame("settings."+name, "see `evenkeel policy show`", "%v", err)
		}
		out = append(out, s)
	}
	section.done()
	return out, src.err()
}

// WritePolicy writes a file that ParsePolicy reads, with the settings in their
// order.
func WritePolicy(settings []Setting) []byte {
	var b bytes.Buffer
	b.WriteString("settings:\n")
	for _, s := range settings {
		value := s.Value
		if !slices.ContainsFunc([]byte(value), func(c byte) bool { return c < '0' || c > 'z' }) && value != "" {
			fmt.Fprintf(&b, "  %s: %s\n", s.Name, value)
			continue
		}
		fmt.Fprintf(&b, "  %s: %s\n", s.Name, quoted(value))
	}
	return b.Bytes()
}
