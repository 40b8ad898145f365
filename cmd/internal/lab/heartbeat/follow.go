package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Arrival is a heartbeat with the host's time at which it was seen.
type Arrival struct {
	Heartbeat
	At time.Time `json:"at"`
}

// pollEvery is how often a followed log is looked at: an arrival is stamped at
// most this much late. Serial logs are written by two QEMU processes in turn,
// so there is no one process to be told by.
const pollEvery = 50 * time.Millisecond

// Follow calls each for every heartbeat that is appended to the serial log
// from now on, until the context ends (which is no error), each returns an
// error or the log holds a malformed heartbeat. A log that does not exist yet
// is waited for.
func Follow(ctx context.Context, path string, each func(Arrival) error) error {
	tail, err := openTail(ctx, path)
	if err != nil || tail == nil {
		return err
	}
	defer tail.file.Close()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if err := tail.drain(time.Now(), each); err != nil {
			return fmt.Errorf("serial log %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

type tail struct {
	file *os.File
	rest []byte // the line that is being written
}

// openTail opens the log at its end, or at its beginning if it had to be
// waited for. It returns nil when the context ended first.
func openTail(ctx context.Context, path string) (*tail, error) {
	file, err := os.Open(path)
	if err == nil {
		if err := seekLastLine(file); err != nil {
			file.Close()
			return nil, fmt.Errorf("serial log %s: %w", path, err)
		}
		return &tail{file: file}, nil
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for errors.Is(err, os.ErrNotExist) {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-ticker.C:
		}
		if file, err = os.Open(path); err == nil {
			return &tail{file: file}, nil
		}
	}
	return nil, err
}

// seekLastLine leaves the offset behind the last newline, so that a line that
// is half written is read whole.
func seekLastLine(file *os.File) error {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, min(size, 2*MaxLine))
	if _, err := file.ReadAt(buf, size-int64(len(buf))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	half := int64(len(buf) - 1 - bytes.LastIndexByte(buf, '\n'))
	_, err = file.Seek(size-half, io.SeekStart)
	return err
}

func (t *tail) drain(now time.Time, each func(Arrival) error) error {
	buf := make([]byte, 4096)
	for {
		n, err := t.file.Read(buf)
		if err := t.lines(buf[:n], now, each); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tail) lines(data []byte, now time.Time, each func(Arrival) error) error {
	for len(data) > 0 {
		line, after, whole := bytes.Cut(data, []byte("\n"))
		data = after
		if room := MaxLine + 2 - len(t.rest); room > 0 {
			t.rest = append(t.rest, line[:min(room, len(line))]...)
		}
		if !whole {
			return nil
		}
		text := string(t.rest)
		t.rest = t.rest[:0]
		beat, err := Parse(text)
		if errors.Is(err, ErrNoHeartbeat) {
			continue
		}
		if err != nil {
			return err
		}
		if err := each(Arrival{Heartbeat: beat, At: now}); err != nil {
			return err
		}
	}
	return nil
}
