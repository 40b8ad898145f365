package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
)

// readCSV reads a table with a line of headings, each row by heading.
func readCSV(file string) ([]map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	rows, err := parseCSV(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return rows, nil
}

func parseCSV(text []byte) ([]map[string]string, error) {
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	switch {
	case err != nil:
		return nil, err
	case len(lines) == 0:
		return nil, errors.New("it is empty; the first line has the headings")
	}
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, heading := range lines[0] {
			row[heading] = line[i]
		}
		rows = append(rows, row)
	}
	return rows, nil
}
