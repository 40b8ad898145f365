package heartbeat

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxBeats bounds one guest's log: four months of beats.
const maxBeats = 10_000_000

// Read parses a serial log. What is not a heartbeat is skipped, a malformed
// heartbeat is an error that names its line. A last line without its newline
// is still being written and is left alone.
func Read(r io.Reader) ([]Heartbeat, error) {
	var beats []Heartbeat
	lines := bufio.NewReaderSize(r, 4096)
	for number := 1; ; number++ {
		line, err := nextLine(lines)
		if errors.Is(err, io.EOF) {
			return beats, nil
		}
		if err != nil {
			return beats, err
		}
		beat, err := Parse(line)
		if errors.Is(err, ErrNoHeartbeat) {
			continue
		}
		if err != nil {
			return beats, fmt.Errorf("line %d: %w", number, err)
		}
		if len(beats) == maxBeats {
			return beats, fmt.Errorf("line %d: more than %d heartbeats in one log", number, maxBeats)
		}
		beats = append(beats, beat)
	}
}

// nextLine returns the next whole line without its newline. The kernel may
// print lines of any length: only their beginning is kept.
func nextLine(r *bufio.Reader) (string, error) {
	var line strings.Builder
	for {
		chunk, err := r.ReadSlice('\n')
		if room := MaxLine + 2 - line.Len(); room > 0 {
			line.Write(chunk[:min(room, len(chunk))])
		}
		switch {
		case err == nil:
			return strings.TrimSuffix(line.String(), "\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// ReadFile is Read on a file.
func ReadFile(path string) ([]Heartbeat, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	beats, err := Read(f)
	if err != nil {
		return beats, fmt.Errorf("serial log %s: %w", path, err)
	}
	return beats, nil
}
