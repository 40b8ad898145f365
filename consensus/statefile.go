package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// stateFile is a State on its way to the snapshot store: a magic, the body's
// length and SHA-256, the body as State.Encode writes it. Raft's store has a
// checksum of its own for files at rest; ours goes with the bytes wherever
// they are copied.
type stateFile struct{ state cluster.State }

const (
	stateMagic    = "ekstate1"
	stateHeader   = len(stateMagic) + 8 + sha256.Size
	maxStateBytes = 1 << 30
)

// Persist implements raft.FSMSnapshot. The State is immutable, so Apply goes
// on meanwhile.
func (s stateFile) Persist(sink raft.SnapshotSink) error {
	if err := writeState(sink, s.state); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (stateFile) Release() {}

func writeState(w io.Writer, state cluster.State) error {
	var body bytes.Buffer
	if err := state.Encode(&body); err != nil {
		return err
	}
	sum := sha256.Sum256(body.Bytes())
	head := binary.BigEndian.AppendUint64([]byte(stateMagic), uint64(body.Len()))
	if _, err := w.Write(append(head, sum[:]...)); err != nil {
		return err
	}
	_, err := body.WriteTo(w)
	return err
}

func readState(r io.Reader) (cluster.State, error) {
	head := make([]byte, stateHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return cluster.State{}, fmt.Errorf("header: %w", err)
	}
	size := binary.BigEndian.Uint64(head[len(stateMagic):])
	if string(head[:len(stateMagic)]) != stateMagic || size > maxStateBytes {
		return cluster.State{}, fmt.Errorf("no snapshot of this format: it begins %.20q and claims %d bytes", head[:len(stateMagic)], size)
	}
	var body bytes.Buffer
	if n, err := body.ReadFrom(io.LimitReader(r, int64(size)+1)); err != nil || uint64(n) != size {
		return cluster.State{}, fmt.Errorf("%d bytes where the header says %d: %w", n, size, errors.Join(err, io.ErrUnexpectedEOF))
	}
	if sum := sha256.Sum256(body.Bytes()); !bytes.Equal(sum[:], head[stateHeader-sha256.Size:]) {
		return cluster.State{}, errors.New("checksum mismatch: the snapshot is damaged")
	}
	return cluster.DecodeState(&body)
}
