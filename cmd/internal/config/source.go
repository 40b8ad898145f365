package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// source is a file while it is being read: its text, where each key stands,
// and what was found wrong.
type source struct {
	file     string
	lines    []string
	at       map[string]position
	problems map[string]Problem // by key: the first problem of a key is the cause, later ones are echoes
	reads    []reading          // every key that is asked for, in order
}

type position struct{ line, column int }

func newSource(file string, data []byte) *source {
	return &source{
		file:     file,
		lines:    strings.Split(string(data), "\n"),
		at:       map[string]position{},
		problems: map[string]Problem{},
	}
}

// has says whether the file has the key.
func (s *source) has(key string) bool {
	_, ok := s.at[key]
	return ok
}

// bad says whether the key, or a part of it, has a problem already.
func (s *source) bad(key string) bool {
	for k := range s.problems {
		if k == key || strings.HasPrefix(k, key+".") || strings.HasPrefix(k, key+"[") {
			return true
		}
	}
	return false
}

// blame notes a problem at a key's place in the file.
func (s *source) blame(key, remedy, format string, args ...any) {
	s.blameAt(s.at[key], key, remedy, format, args...)
}

// blameAt notes a problem at a place; the zero position means that something
// is not in the file.
func (s *source) blameAt(pos position, key, remedy, format string, args ...any) {
	if _, known := s.problems[key]; known {
		return
	}
	p := Problem{File: s.file, Line: pos.line, Column: pos.column, Key: key, What: fmt.Sprintf(format, args...), Remedy: remedy}
	if pos.line >= 1 && pos.line <= len(s.lines) {
		p.Excerpt = excerpt(s.lines[pos.line-1])
	}
	if p.Column < 1 || p.Column > maxExcerpt {
		p.Column = 1
	}
	s.problems[key] = p
}

// excerpt makes a line fit for a terminal: no control characters, so that a
// tab takes one column as in the parser's count, and not too long.
func excerpt(line string) string {
	runes := []rune(strings.TrimRight(line, "\r"))
	if len(runes) > maxExcerpt {
		runes = append(runes[:maxExcerpt], '…')
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = ' '
		}
	}
	return string(runes)
}

// err returns all problems, or nil.
func (s *source) err() error {
	if len(s.problems) == 0 {
		return nil
	}
	all := make(Problems, 0, len(s.problems))
	for _, p := range s.problems {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
	return all
}
