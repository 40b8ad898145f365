package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Backup says what a saved State is of. It stands before the State in the
// file, readable with a hex dump.
type Backup struct {
	Format  int          `json:"format"`
	Cluster string       `json:"cluster"`
	Index   uint64       `json:"index"` // of the State
	Term    uint64       `json:"term"`
	Level   uint32       `json:"level"`
	At      cluster.Time `json:"at"` // the cluster's time in the State
	SavedAt cluster.Time `json:"saved_at"`
	SavedBy string       `json:"saved_by"` // the member that was asked
	Stale   bool         `json:"stale"`    // it may lack what was acknowledged before
	Version string       `json:"version"`  // of the binary
	Voters  []Voter      `json:"voters"`
}

// A backup is a magic, the length and the SHA-256 of the header, the header as
// JSON, and the State with a checksum of its own.
const (
	backupMagic   = "ekbackup"
	maxBackupHead = 64 << 10
)

// WriteBackup writes a State with what is known of it; the fields that the
// State itself tells are filled in.
func WriteBackup(w io.Writer, b Backup, state cluster.State) error {
	b.Format, b.Cluster, b.Index, b.Term, b.Level, b.At = 1, state.Cluster, state.Index, state.Term, state.Level, state.Now
	head, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if len(head) > maxBackupHead {
		return fmt.Errorf("backup: header of %d bytes, at most %d", len(head), maxBackupHead)
	}
	sum := sha256.Sum256(head)
	out := binary.BigEndian.AppendUint32([]byte(backupMagic), uint32(len(head)))
	out = append(append(out, sum[:]...), head...)
	if _, err := w.Write(out); err != nil {
		return err
	}
	return writeState(w, state)
}

// ReadBackup reads what WriteBackup wrote, and checks all of it.
func ReadBackup(r io.Reader) (Backup, cluster.State, error) {
	b, err := readBackupHead(r)
	if err != nil {
		return b, cluster.State{}, fmt.Errorf("backup: %w", err)
	}
	state, err := readState(r)
	if err != nil {
		return b, state, fmt.Errorf("backup: state: %w", err)
	}
	if state.Cluster != b.Cluster || state.Index != b.Index || state.Term != b.Term || state.Level != b.Level || state.Now != b.At {
		return b, state, errors.New("backup: header and State contradict each other")
	}
	if n, _ := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return b, state, errors.New("backup: data behind the State")
	}
	return b, state, nil
}

func readBackupHead(r io.Reader) (b Backup, err error) {
	fixed := make([]byte, len(backupMagic)+4+sha256.Size)
	if _, err := io.ReadFull(r, fixed); err != nil {
		return b, fmt.Errorf("header: %w", err)
	}
	size := binary.BigEndian.Uint32(fixed[len(backupMagic):])
	if string(fixed[:len(backupMagic)]) != backupMagic || size > maxBackupHead {
		return b, fmt.Errorf("this is no backup of evenkeel's: it begins %q", fixed[:len(backupMagic)])
	}
	head := make([]byte, size)
	if _, err := io.ReadFull(r, head); err != nil {
		return b, fmt.Errorf("header: %w", err)
	}
	if sum := sha256.Sum256(head); !bytes.Equal(sum[:], fixed[len(fixed)-sha256.Size:]) {
		return b, errors.New("header: checksum mismatch: the file is damaged")
	}
	if err := json.Unmarshal(head, &b); err != nil {
		return b, fmt.Errorf("header: %w", err)
	}
	if b.Format != 1 {
		return b, fmt.Errorf("header: format %d, this binary reads 1", b.Format)
	}
	return b, nil
}
