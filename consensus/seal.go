package consensus

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// sealedLogs keeps a checksum with each entry. The log's file has checksums of
// its two head pages only: a bit that flips in an entry's text on the disk
// would be read as another text, and this replica's State would differ from
// the others' for ever.
type sealedLogs struct{ raft.LogStore }

// A seal is this byte and the CRC-32C of the entry, big endian. It lies in the
// field that the library leaves to stores; entries of versions that did not
// seal have nothing there, and are taken as they are.
const (
	sealFormat = 1
	sealBytes  = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sealOf(l *raft.Log) []byte {
	var head [17]byte
	binary.BigEndian.PutUint64(head[0:], l.Index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	sum := crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, l.Data)
	return binary.BigEndian.AppendUint32([]byte{sealFormat}, sum)
}

// StoreLog implements raft.LogStore.
func (s sealedLogs) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore. The library's own entries stay as they
// are: it sends them on.
func (s sealedLogs) StoreLogs(logs []*raft.Log) error {
	sealed := make([]*raft.Log, len(logs))
	for i, l := range logs {
		c := *l
		c.Extensions = sealOf(l)
		sealed[i] = &c
	}
	return s.LogStore.StoreLogs(sealed)
}

// GetLog implements raft.LogStore.
func (s sealedLogs) GetLog(index uint64, l *raft.Log) error {
	if err := s.LogStore.GetLog(index, l); err != nil {
		return err
	}
	seal := l.Extensions
	l.Extensions = nil
	switch {
	case l.Index != index:
		return fmt.Errorf("entry %d is damaged: it says that it is entry %d", index, l.Index)
	case len(seal) != 0 && string(seal) != string(sealOf(l)):
		return fmt.Errorf("entry %d of term %d is damaged: its checksum does not fit", index, l.Term)
	}
	return nil
}
