package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong in a configuration file.
type Problem struct {
	File    string
	Line    int // from 1; 0 if the problem is what is not there
	Column  int // from 1, in characters
	Key     string
	What    string // what is wrong
	Remedy  string // what to do
	Excerpt string // the line as it stands in the file
}

// maxExcerpt bounds an excerpt, in characters.
const maxExcerpt = 120

// String prints the problem, and under it the line with a mark.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.What + "; " + p.Remedy)
	if p.Excerpt != "" {
		fmt.Fprintf(&b, "\n%5d | %s\n      | %s^", p.Line, p.Excerpt, strings.Repeat(" ", p.Column-1))
	}
	return b.String()
}

// Problems is everything that is wrong in a file, in the order of its lines.
type Problems []Problem

// Error prints all problems, one after the other.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
