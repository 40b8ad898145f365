package voters

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Case 8: files that are truncated, in which a bit has flipped, or that are
// somebody else's. The daemon ends with an error that names the file, and
// leaves it as it is; the others go on; with the old file put back the member
// does too.
func TestFault08DamagedFiles(t *testing.T) {
	s := start(t, Plain, Plain, Plain)
	m := s.but(s.agree("before", s.Members...))[0]
	for i := range 10 {
		s.ack(fmt.Sprint("entry ", i), s.Members[i%3])
	}
	other := s.but(m)[0]
	for _, c := range []struct {
		name, file string
		harm       func(good []byte) []byte
		says       string
	}{
		{"LogCutInHalf", "raft/raft.db", func(b []byte) []byte { return b[:len(b)/4] }, "raft.db"},
		{"LogEmpty", "raft/raft.db", func([]byte) []byte { return nil }, "raft.db"},
		{"LogBitFlipped", "raft/raft.db", func(b []byte) []byte { return flipped(b, `"text":"`) }, "raft.db"},
		{"LogOfAnotherProgram", "raft/raft.db", func([]byte) []byte { return bytes.Repeat([]byte("not a log. "), 8192) }, "raft.db"},
		{"OwnerCut", "raft/member.json", func(b []byte) []byte { return b[:len(b)/2] }, "member.json"},
		{"OwnerAnotherMember", "raft/member.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(m.ID), []byte(other.ID), 1)
		}, other.ID},
		{"OwnerAnotherCluster", "raft/member.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(s.Cluster), []byte("00000000-0000-4000-8000-000000000000"), 1)
		}, "00000000-0000-4000-8000-000000000000"},
	} {
		s.must(m.Stop())
		good, err := os.ReadFile(m.File(c.file))
		s.must(err)
		bad := c.harm(good)
		if bytes.Equal(bad, good) {
			s.Fatalf("%s: nothing was harmed", c.name)
		}
		s.must(os.WriteFile(m.File(c.file), bad, 0o600))
		said := len(m.Log())
		s.must(m.Start())
		code, err := m.Exit(20 * time.Second)
		s.must(err)
		text := tail(m.Log()[said:], 3)
		if code == 0 || !strings.Contains(text, c.says) || strings.Contains(text, "goroutine ") {
			s.Errorf("%s: exit code %d, and it does not name %s: %s", c.name, code, c.says, text)
		}
		after, err := os.ReadFile(m.File(c.file))
		s.must(err)
		if sha256.Sum256(after) != sha256.Sum256(bad) {
			s.Errorf("%s: %s was changed", c.name, c.file)
		}
		s.Logf("%s: %s", c.name, tail(text, 1))
		s.ack(c.name, other)
		s.must(os.WriteFile(m.File(c.file), good, 0o600))
		s.must(m.Start())
		s.until(c.name+": back", func(ctx context.Context) error {
			_, err := m.Status(ctx)
			return err
		})
	}
	s.agree("all mended", s.Members...)
}

// flipped flips a bit in every text of a log, so that each stays valid JSON: the
// file has pages too in which nothing is looked for any more.
func flipped(log []byte, after string) []byte {
	bad := bytes.Clone(log)
	for at := 0; ; {
		next := bytes.Index(bad[at:], []byte(after))
		if next < 0 {
			return bad
		}
		at += next + len(after)
		bad[at] ^= 1
	}
}
