package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Phase is how far this host got with a move as its source.
type Phase string

// The phases, in order. What a restarted daemon may conclude from each is in
// executor.recover.
const (
	PhaseClaiming Phase = "claiming" // the claim was proposed
	PhaseStarting Phase = "starting" // the start was proposed; libvirt has not been called
	PhaseRunning  Phase = "running"  // libvirt was called, or is just about to be
)

// Entry is a journal record of one move.
type Entry struct {
	Move        string    `json:"move"`
	VM          string    `json:"vm"`
	Phase       Phase     `json:"phase"`
	Incarnation uint64    `json:"incarnation"`
	At          time.Time `json:"at"`
}

// Journal is the source's fsynced memory of the moves that it has in hand: a
// restarted daemon learns from it what it must never do twice. One small file
// a move, replaced as a whole, removed when the move has ended.
type Journal struct{ dir string }

const journalEntryBytes = 4096

var moveID = regexp.MustCompile(`^m-[0-9a-f]{1,16}$`)

// OpenJournal makes the directory if it is not there.
func OpenJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{dir}, nil
}

// Put writes the entry and returns when it is on disk.
func (j *Journal) Put(e Entry) error {
	path, err := j.path(e.Move)
	if err != nil {
		return err
	}
	if err := j.replace(path, e); err != nil {
		return fmt.Errorf("journal %s: %w", e.Move, err)
	}
	return nil
}

// replace writes a file as a whole, and returns when it is on disk.
func (j *Journal) replace(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := writeSynced(path+".new", append(data, '\n')); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return j.sync()
}

// Drop forgets a move.
func (j *Journal) Drop(move string) error {
	path, err := j.path(move)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal %s: %w", move, err)
	}
	return j.sync()
}

// Get reads the entry of one move; ok is false if there is none.
func (j *Journal) Get(move string) (e Entry, ok bool, err error) {
	path, err := j.path(move)
	if err != nil {
		return e, false, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("journal %s: %w", move, err)
	}
	if info.Size() > journalEntryBytes {
		return e, false, fmt.Errorf("journal %s: %s has %d bytes, at most %d", move, path, info.Size(), journalEntryBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return e, false, fmt.Errorf("journal %s: %w", move, err)
	}
	e, err = decodeEntry(data)
	if err != nil || e.Move != move {
		return Entry{}, false, fmt.Errorf("journal %s: %s is damaged: %w", move, path, errors.Join(err, checkMove(e, move)))
	}
	return e, true, nil
}

// Moves lists the moves with an entry, sorted.
func (j *Journal) Moves() ([]string, error) {
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var moves []string
	for _, f := range files {
		if id, ok := strings.CutSuffix(f.Name(), ".json"); ok && moveID.MatchString(id) {
			moves = append(moves, id)
		}
	}
	slices.Sort(moves)
	return moves, nil
}

func decodeEntry(data []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(data, &e); err != nil {
		return Entry{}, err
	}
	if !slices.Contains([]Phase{PhaseClaiming, PhaseStarting, PhaseRunning}, e.Phase) || !moveID.MatchString(e.Move) {
		return Entry{}, fmt.Errorf("phase %.20q, move %.40q", e.Phase, e.Move)
	}
	return e, nil
}

func checkMove(e Entry, move string) error {
	if e.Move == "" || e.Move == move {
		return nil
	}
	return fmt.Errorf("it speaks of %s", e.Move)
}

func (j *Journal) path(move string) (string, error) {
	if !moveID.MatchString(move) {
		return "", fmt.Errorf("journal: %.40q is no move id", move)
	}
	return filepath.Join(j.dir, move+".json"), nil
}

func (j *Journal) sync() error {
	d, err := os.Open(j.dir)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
