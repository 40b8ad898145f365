package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// DiskNote says which images of a move are this host's to delete when it has
// ended otherwise than for them.
type DiskNote struct {
	Move string `json:"move"`
	VM   string `json:"vm"`
	// Made: they were made here for the VM to come with. Else they are what it
	// leaves behind.
	Made   bool         `json:"made"`
	Images []NotedImage `json:"images"`
}

// NotedImage is an image and its identity; zero of one that was to be made, and
// may not have been.
type NotedImage struct {
	Path string `json:"path"`
	FileID
}

// diskNoteBytes bounds a note: 64 paths.
const diskNoteBytes = 64 << 10

// PutDisks writes a note and returns when it is on disk.
func (j *Journal) PutDisks(n DiskNote) error {
	path, err := j.disksPath(n.Move)
	if err != nil {
		return err
	}
	if err := j.replace(path, n); err != nil {
		return fmt.Errorf("journal: disks of %s: %w", n.Move, err)
	}
	return nil
}

// GetDisks reads the note of one move; ok is false if there is none.
func (j *Journal) GetDisks(move string) (n DiskNote, ok bool, err error) {
	path, err := j.disksPath(move)
	if err != nil {
		return n, false, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err == nil && info.Size() > diskNoteBytes {
		err = fmt.Errorf("it has %d bytes, at most %d", info.Size(), diskNoteBytes)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err == nil && n.Move != move {
		err = fmt.Errorf("it speaks of %.40q", n.Move)
	}
	if err != nil {
		return DiskNote{}, false, fmt.Errorf("journal: disks of %s: %s: %w", move, path, err)
	}
	return n, true, nil
}

// DropDisks forgets a move's images.
func (j *Journal) DropDisks(move string) error {
	path, err := j.disksPath(move)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: disks of %s: %w", move, err)
	}
	return j.sync()
}

func (j *Journal) disksPath(move string) (string, error) {
	if !moveID.MatchString(move) {
		return "", fmt.Errorf("journal: %.40q is no move id", move)
	}
	return filepath.Join(j.dir, move+".disks.json"), nil
}
