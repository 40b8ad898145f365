package voters

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Case 15: the quorum is lost for good. What is left is read-only and says so;
// then the drill of docs/disaster-recovery.md, step by step: the survivor goes
// on with all that was acknowledged, and a lost host joins anew.
func TestFault15QuorumLost(t *testing.T) {
	s := prepare(t, Plain, Plain, Plain)
	s.must(s.Members[0].giveCA())
	s.must(s.Start())
	s.ack("at first", s.Members[0])
	left := s.Members[0]
	s.agree("at first", s.Members...)
	lost := s.but(left)
	s.introduced("at first", left, lost...)
	for _, m := range lost {
		s.must(m.Kill())
	}
	s.readOnly("no quorum", left)
	s.refused("no quorum", left)
	text, err := left.Evenkeel(s.Context(), "status")
	s.must(err)
	if !strings.Contains(text, "no leader") || !strings.Contains(text, "stale") {
		s.Errorf("the table does not say that there is no leader and that it is stale:\n%s", text)
	}

	// 1. Save its last words.
	words := filepath.Join(left.dir, "last-words.snap")
	_, err = left.Evenkeel(s.Context(), "cluster", "snapshot", "save", "--stale", words)
	s.must(err)
	// 2. It refuses while a daemon holds the directory.
	recovery := []string{"cluster", "recover", "--yes", "-o", "json", "--config", left.config()}
	if _, err := left.Evenkeel(s.Context(), recovery...); err == nil || !strings.Contains(err.Error(), "stop") {
		s.Errorf("recovered beside a running daemon: %v", err)
	}
	s.must(left.Stop())
	out, err := left.Evenkeel(s.Context(), recovery...)
	s.must(err)
	var answer struct {
		Aside string
		Lost  []struct{ Member string }
	}
	s.must(json.Unmarshal([]byte(out), &answer))
	if len(answer.Lost) != 2 {
		s.Errorf("it names %v as lost, two were", answer.Lost)
	}
	if _, err := os.Stat(s.warden.path(filepath.Join(answer.Aside, "raft.db"))); err != nil {
		s.Error("no copy from before: ", err)
	}
	// 3. It goes on, frozen, and 4. is released.
	s.must(left.Start())
	s.until("recovered", func(ctx context.Context) error {
		st, err := left.Status(ctx)
		if err != nil {
			return err
		}
		if st.Stale != nil {
			return fmt.Errorf("stale: %s", st.Stale.Why)
		}
		if n := number(st); n < s.acked {
			s.Fatalf("it shows command %d, %d was acknowledged", n, s.acked)
		}
		if st.Frozen == nil || st.Quorum.Voters != 1 {
			return fmt.Errorf("frozen %v, quorum %+v", st.Frozen, st.Quorum)
		}
		return nil
	})
	_, err = left.Evenkeel(s.Context(), "resume")
	s.must(err)
	s.ack("recovered", left)
	// 5. A lost host joins anew.
	s.rejoin("recovered", left, lost[0])
	s.agree("two again", left, lost[0])
}

// giveCA puts the cluster's CA where a voter keeps it.
func (m *Member) giveCA() error {
	return command("cp", "-a", filepath.Join(m.site.dir, "ca"), m.File("ca"))
}

// rejoin empties a member's disk, takes its certificate, and has it join under
// its old name, as an operator does.
func (s *trial) rejoin(stage string, at, m *Member) {
	s.Helper()
	s.must(m.Wipe())
	s.must(os.RemoveAll(filepath.Join(m.dir, "tls")))
	s.must(os.MkdirAll(filepath.Join(m.dir, "tls"), 0o755))
	var token string
	s.until(stage+": a token", func(ctx context.Context) (err error) {
		token, err = at.Evenkeel(ctx, "cluster", "add", m.Name, "--role", "witness", "-o", "name", "--replace")
		return err
	})
	out, err := m.Evenkeel(s.Context(), "cluster", "join", strings.TrimSpace(token), "--config", m.config(), "--name", m.Name, "--address", m.Address, "-o", "json")
	s.must(err)
	var joined struct{ Member string }
	s.must(json.Unmarshal([]byte(out), &joined))
	if joined.Member == "" || joined.Member == m.ID {
		s.Errorf("it joined as member %q, was %q: an empty disk needs a new id", joined.Member, m.ID)
	}
	m.ID = joined.Member
	s.must(m.Start())
	s.until(stage+": "+m.Name+" is a member again", func(ctx context.Context) error {
		p, err := s.peer(ctx, at, m)
		if err == nil && (!p.Answers || p.Seat == "agent") {
			err = fmt.Errorf("it has the seat %s, answers %v, %s", p.Seat, p.Answers, p.Message)
		}
		return err
	})
}
