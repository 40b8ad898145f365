package voters

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

// sideBySide is how many cases run at once: nearly all the time each waits for
// a clock of Raft's, not for a CPU.
const sideBySide = "5"

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := flag.Set("test.parallel", sideBySide); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

var builtIn string

// binaries builds what a site runs, once.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "evenkeel-voters-bin-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", dir+"/", "github.com/evenkeel/evenkeel/cmd/evenkeeld", "github.com/evenkeel/evenkeel/cmd/evenkeel")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

// soon is how long anything may take that is to happen at all. It decides only
// that a thing does not happen.
const soon = 60 * time.Second

// trial is a site under test and what it has acknowledged.
type trial struct {
	*testing.T
	*Site
	told  int // commands that were tried, the newest one's number
	acked int // the newest that was acknowledged
}

// start makes a site and starts all members.
func start(t *testing.T, disks ...Disk) *trial {
	t.Helper()
	s := prepare(t, disks...)
	s.must(s.Start())
	s.ack("at first", s.Members[0])
	s.agree("at first", s.Members...)
	return s
}

// machine asks for what a site needs, and builds what it runs.
func machine(t *testing.T) (bin string) {
	t.Helper()
	if os.Geteuid() != 0 {
		const why = "the faults need root: they make namespaces and mounts"
		if os.Getenv("EVENKEEL_REQUIRE") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// prepare makes a site, and takes it down with the test.
func prepare(t *testing.T, disks ...Disk) *trial {
	t.Helper()
	t.Parallel()
	bin := machine(t)
	dir, err := os.MkdirTemp("", "ekv") // t.TempDir's name may be too long for a socket's
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(dir, bin, disks...)
	if err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, m := range s.Members {
				t.Logf("%s (%s) said at last:\n%s", m.Name, m.ID, tail(m.Log(), 40))
			}
		}
		if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return &trial{T: t, Site: s}
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (s *trial) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// until tries a thing until it works.
func (s *trial) until(what string, try func(ctx context.Context) error) {
	s.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(s.Context(), soon)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		if e := try(ctx); e == nil {
			s.Logf("%s: after %.1f s", what, time.Since(began).Seconds())
			return
		} else if err == nil || ctx.Err() == nil {
			err = e
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Fatalf("%s: not within %v: %v", what, soon, err)
}

// tell tries one command at a member, under a number of its own.
func (s *trial) tell(ctx context.Context, m *Member) (n int, err error) {
	s.told++
	n = s.told
	_, err = m.Evenkeel(ctx, "--timeout", "5s", "pause", "--for", "9h", "--reason", strconv.Itoa(n))
	return n, err
}

// ack has a command acknowledged, through a member.
func (s *trial) ack(stage string, m *Member) {
	s.Helper()
	s.until(stage+": a command through "+m.Name, func(ctx context.Context) error {
		n, err := s.tell(ctx, m)
		if err == nil {
			s.acked = n
		}
		return err
	})
}

// introduced waits until members have said who they are: a founder has a seat
// before it has a name and a disk by which the others know it.
func (s *trial) introduced(stage string, at *Member, members ...*Member) {
	s.Helper()
	for _, m := range members {
		s.until(stage+": who "+m.Name+" is", func(ctx context.Context) error {
			out, err := at.Evenkeel(ctx, "events", "--since", "10m")
			if err == nil && !strings.Contains(out, m.Name+" joined as") {
				err = fmt.Errorf("%s has not said yet who it is", m.Name)
			}
			return err
		})
	}
}

// refused asks that a command through a member is not acknowledged.
func (s *trial) refused(stage string, m *Member) {
	s.Helper()
	if n, err := s.tell(s.Context(), m); err == nil {
		s.Errorf("%s: command %d was acknowledged through %s", stage, n, m.Name)
	} else {
		s.Logf("%s: as it must be: %v", stage, err)
	}
}

// number is the command that a status shows.
func number(st *api.Status) int {
	if st.Paused == nil {
		return 0
	}
	n, _ := strconv.Atoi(st.Paused.Reason)
	return n
}

// agree waits until members answer as those of one healthy cluster: each reads
// what was acknowledged, all name one leader, and it leads. What a read shows
// must never be older than what was acknowledged, not even once.
func (s *trial) agree(stage string, members ...*Member) (leader *Member) {
	s.Helper()
	s.until(stage+": agreement", func(ctx context.Context) error {
		name, shown := "", -1
		for _, m := range members {
			st, err := m.Status(ctx)
			if err != nil {
				return err
			}
			if st.Stale != nil {
				return fmt.Errorf("%s is stale: %s", m.Name, st.Stale.Why)
			}
			n := number(st)
			if n < s.acked {
				s.Fatalf("%s: %s shows command %d and says that it is not stale; %d was acknowledged", stage, m.Name, n, s.acked)
			}
			if st.Leader == nil {
				return fmt.Errorf("%s knows no leader", m.Name)
			}
			if name == "" {
				name, shown = st.Leader.Name, n
			}
			if st.Leader.Name != name || n != shown {
				return fmt.Errorf("%s follows %s and shows %d, another one %s and %d", m.Name, st.Leader.Name, n, name, shown)
			}
		}
		leader = s.named(name)
		if leader == nil {
			return fmt.Errorf("leader %q is none of ours", name)
		}
		return s.oneLeads(ctx, leader)
	})
	return leader
}

// oneLeads asks the leader's peers what each says of itself.
func (s *trial) oneLeads(ctx context.Context, leader *Member) error {
	list, err := leader.Peers(ctx)
	if err != nil {
		return err
	}
	leads := 0
	for _, p := range list.Items {
		if p.Part == "leader" {
			leads++
			if p.Name != leader.Name {
				return fmt.Errorf("%s says that it leads, so does %s", p.Name, leader.Name)
			}
		}
	}
	if leads != 1 {
		return fmt.Errorf("%d members say that they lead", leads)
	}
	return nil
}

func (s *trial) named(name string) *Member {
	for _, m := range s.Members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// but are all members except some.
func (s *trial) but(not ...*Member) (out []*Member) {
	for _, m := range s.Members {
		keep := true
		for _, n := range not {
			keep = keep && m != n
		}
		if keep {
			out = append(out, m)
		}
	}
	return out
}

// goesOn proves that members have a leader among them that is another than the
// one that was lost, and that it commits.
func (s *trial) goesOn(stage string, lost *Member) (leader *Member) {
	s.Helper()
	others := s.but(lost)
	s.until(stage+": a new leader", func(ctx context.Context) error {
		st, err := others[0].Status(ctx)
		if err != nil {
			return err
		}
		if st.Stale != nil || st.Leader == nil || st.Leader.Name == lost.Name {
			return fmt.Errorf("%s says leader %v, stale %v", others[0].Name, st.Leader, st.Stale)
		}
		return nil
	})
	s.ack(stage, others[0])
	leader = s.agree(stage, others...)
	if leader == lost {
		s.Errorf("%s: %s leads still", stage, lost.Name)
	}
	return leader
}

// readOnly waits until a member says that it is alone: stale, without a leader,
// with the State that it has.
func (s *trial) readOnly(stage string, m *Member) {
	s.Helper()
	s.until(stage+": "+m.Name+" says that it is stale", func(ctx context.Context) error {
		st, err := m.Status(ctx)
		if err != nil {
			return err
		}
		if st.Stale == nil || st.Stale.Why == "" || st.Leader != nil {
			return fmt.Errorf("it says leader %v, stale %+v", st.Leader, st.Stale)
		}
		s.Logf("%s: %s says: stale, %.0f s, %s; quorum %+v", stage, m.Name, st.Stale.Seconds, st.Stale.Why, st.Quorum)
		return nil
	})
}

// peer is what a member says of one.
func (s *trial) peer(ctx context.Context, at, of *Member) (api.Peer, error) {
	list, err := at.Peers(ctx)
	if err != nil {
		return api.Peer{}, err
	}
	for _, p := range list.Items {
		if p.ID == of.ID {
			return p, nil
		}
	}
	return api.Peer{}, fmt.Errorf("%s does not know %s", at.Name, of.Name)
}

// long leaves a case of minutes to `make test-long`.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("EVENKEEL_LONG") == "" {
		t.Skip("it takes minutes: make test-long plays it (EVENKEEL_LONG=1)")
	}
}

// waitFor is until for what takes longer.
func (s *trial) waitFor(what string, within time.Duration, try func() error) {
	s.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	s.Fatalf("%s: not within %v: %v", what, within, err)
}

// snapshots are those of Raft's that a member has whole.
func (s *trial) snapshots(m *Member) (whole []string, err error) {
	found, err := filepath.Glob(m.File("raft/snapshots/*"))
	for _, f := range found {
		if filepath.Ext(f) != ".tmp" {
			whole = append(whole, f)
		}
	}
	return whole, err
}
