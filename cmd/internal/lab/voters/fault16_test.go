package voters

import (
	"syscall"
	"testing"
	"time"
)

// Case 16: the leader's host is suspended, long enough for all its leases to be
// over, and wakes in the belief that it leads. A host that sleeps stops all
// threads at once, as SIGSTOP does. Its clocks are the limit of this test: a
// time namespace shifts CLOCK_MONOTONIC and CLOCK_BOOTTIME, never
// CLOCK_REALTIME, so that clock steps are played in virtual time only
// (cmd/internal/worlds).
func TestFault16HostSuspended(t *testing.T) {
	s := start(t, Plain, Plain, Plain)
	old := s.agree("before", s.Members...)
	s.must(old.Signal(syscall.SIGSTOP))
	asleep := time.Now()
	s.goesOn("suspended", old)
	time.Sleep(20*time.Second - time.Since(asleep))
	s.ack("suspended for long", s.but(old)[1])
	s.must(old.Signal(syscall.SIGCONT))
	// Its first words after waking: agree fails at a stale read that is not
	// called so.
	s.agree("awake", s.Members...)
	s.ack("awake", old)
	s.agree("awake", s.Members...)
}

// Case 17: a member is stopped for 60 s. It costs the others nothing, the
// cluster does not change hands when it comes back, and it holds no false
// belief then. (Results of moves that come late are agent's:
// cmd/evenkeel-lab.)
func TestFault17MemberStopped60s(t *testing.T) {
	s := start(t, Plain, Plain, Plain)
	leader := s.agree("before", s.Members...)
	stopped := s.but(leader)[0]
	s.must(stopped.Signal(syscall.SIGSTOP))
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Second) {
		s.ack("stopped", leader)
	}
	before, err := leader.Status(s.Context())
	s.must(err)
	s.must(stopped.Signal(syscall.SIGCONT))
	after := s.agree("back", s.Members...)
	st, err := leader.Status(s.Context())
	s.must(err)
	if after != leader || st.Term != before.Term {
		s.Errorf("%s led term %d, after the return %s leads term %d: the return cost an election", leader.Name, before.Term, after.Name, st.Term)
	}
}

// Case 18: the leader's host is so starved that its heartbeats slip. Whoever
// leads, one does; commands are acknowledged; and nothing is forgotten when the
// host recovers. (Two percent of one CPU alone do not make a witness slip: it
// needs less. Ten rivals for one percent do.)
func TestFault18HostStarved(t *testing.T) {
	s := start(t, Plain, Plain, Plain)
	old := s.agree("before", s.Members...)
	s.must(old.Starve(1, 10))
	s.goesOn("starved", old)
	for range 5 {
		s.ack("starved", s.but(old)[0])
		time.Sleep(time.Second)
	}
	s.must(old.Feed())
	s.agree("fed", s.Members...)
	s.ack("fed", old)
	s.agree("fed", s.Members...)
}
