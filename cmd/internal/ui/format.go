package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Format is how answers are printed.
type Format string

// The formats.
const (
	Table Format = "table"
	Wide  Format = "wide" // a table with more columns
	JSON  Format = "json"
	YAML  Format = "yaml"
	Name  Format = "name" // names only, one a line
)

// Formats lists them.
func Formats() []string {
	return []string{string(Table), string(Wide), string(JSON), string(YAML), string(Name)}
}

// ParseFormat reads one.
func ParseFormat(text string) (Format, error) {
	for _, f := range Formats() {
		if text == f {
			return Format(f), nil
		}
	}
	return "", fmt.Errorf("%.40q is no output format; there are %s", text, strings.Join(Formats(), ", "))
}

// Data says whether the format is for programs.
func (f Format) Data() bool { return f == JSON || f == YAML }

// WriteJSON prints a value over several lines.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// WriteLine prints a value as one line of JSON.
func WriteLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeYAML prints a value's JSON as YAML: the same names in the same order.
func writeYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil {
		return fmt.Errorf("JSON as YAML: %w", err)
	}
	plain(&doc)
	out, err := yaml.Dump(&doc)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, bytes.NewReader(out))
	return err
}

// plain takes JSON's brackets and quotes off a tree; the printer puts quotes
// where YAML needs them.
func plain(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode && len(n.Content) > 0 {
		n.Style = 0
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && n.Value != "" {
		n.Style = 0
	}
	for _, c := range n.Content {
		plain(c)
	}
}
