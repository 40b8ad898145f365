package chain

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

const blocks = 8

type disk []byte

func newDisk() disk { return bytes.Repeat([]byte{1}, blocks*MinBlock) }

func (d disk) write(r Record) {
	at := r.Offset(int64(len(d)), MinBlock)
	r.Put(d[at : at+MinBlock])
}

func (d disk) verify() (Record, error) {
	return Verify(bytes.NewReader(d), int64(len(d)), MinBlock)
}

func nonce(n uint64) (out [nonceBytes]byte) {
	binary.LittleEndian.PutUint64(out[:], n)
	return out
}

// A guest writes round the ring and finds its last record each time.
func TestChain(t *testing.T) {
	d, last := newDisk(), Record{}
	if got, err := d.verify(); err != nil || got.N != 0 {
		t.Errorf("an empty disk: %v, %v", got, err)
	}
	for n := range uint64(3*blocks + 1) {
		if last.N > 0 {
			if err := Follow(bytes.NewReader(d), int64(len(d)), make([]byte, MinBlock), last); err != nil {
				t.Fatal(err)
			}
		}
		last = last.Next(nonce(n * 7))
		d.write(last)
		if got, err := d.verify(); err != nil || got != last {
			t.Fatalf("after record %d: %v, %v", last.N, got, err)
		}
	}
}

// What goes wrong on a disk is told.
func TestChainBroken(t *testing.T) {
	whole := func() (disk, []Record) {
		d, all := newDisk(), []Record{{}}
		for n := range uint64(5) {
			all = append(all, all[n].Next(nonce(n)))
			d.write(all[n+1])
		}
		return d, all
	}
	for _, c := range []struct {
		name, want string
		harm       func(d disk, all []Record)
	}{
		{"two copies went on from record 3", "two copies", func(d disk, all []Record) { d.write(all[3].Next(nonce(99))) }},
		{"a write was lost", "record 2 of 5 is missing", func(d disk, all []Record) { copy(d[2*MinBlock:], bytes.Repeat([]byte{1}, MinBlock)) }},
		{"a bit flipped", "record 4 is damaged", func(d disk, _ []Record) { d[4*MinBlock+20] ^= 1 }},
		{"a record lies in the wrong block", "block 7 holds record 5", func(d disk, all []Record) { all[5].Put(d[7*MinBlock:]) }},
		{"an old image came back", "", func(d disk, all []Record) { copy(d[5*MinBlock:], bytes.Repeat([]byte{1}, MinBlock)) }},
	} {
		d, all := whole()
		c.harm(d, all)
		got, err := d.verify()
		if c.want == "" {
			// Only the guest that wrote it can miss the newest record.
			err = Follow(bytes.NewReader(d), int64(len(d)), make([]byte, MinBlock), all[5])
			c.want = "record 5 was lost"
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	block := make([]byte, MinBlock)
	Record{N: 3, Nonce: nonce(4)}.Put(block)
	f.Add(block)
	f.Add([]byte("ekchain1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			return
		}
		again := make([]byte, MinBlock)
		if r.Put(again); !slices.Equal(again[:recordSize], data[:recordSize]) {
			t.Errorf("%+v is written as %x", r, again[:recordSize])
		}
	})
}
