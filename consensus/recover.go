package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Survivor is a member whose directory becomes the beginning of its cluster,
// while its daemon does not run.
type Survivor struct {
	Dir     string // data directory
	Cluster string
	Member  string
	Address string // host:port under which the others will reach it
	// Peer asks the member at an address what it knows, as Network does; nil: the
	// other voters are taken for lost unasked.
	Peer func(ctx context.Context, addr string) (PeerInfo, error)
}

// Recovered says what a recovery or restoration came to.
type Recovered struct {
	Index       uint64 // of the State that was kept
	Term        uint64
	At          cluster.Time
	Incarnation uint64
	Backup      string  // where the directory was copied to first; "" if there was none
	Lost        []Voter // who voted beside this member
	Cancelled   int     // orders
	Unknown     int     // moves that were claimed or ran
}

// Recover makes a member the only voter of its cluster, after its quorum is
// lost for good. It keeps all that is in this member's log, also what was not
// acknowledged; what only the lost ones had is gone. The directory is copied
// aside first. The lost voters are revoked, for together they may still be a
// majority: one that starts with its old directory and reaches this member
// learns it and cuts itself off (see heed). Those that reach only each other
// do not, so none should ever start so.
func Recover(ctx context.Context, s Survivor, aside string) (out Recovered, err error) {
	if _, err := readClaim(s.Dir, s.Cluster, s.Member); err != nil {
		return out, err
	}
	if _, err := os.Stat(filepath.Join(s.Dir, logFile)); err != nil {
		return out, fmt.Errorf("%s has no Raft log, so there is nothing to recover from: %w", s.Dir, err)
	}
	b, err := s.open()
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if out.Lost, err = s.others(b); err != nil {
		return out, err
	}
	if err := s.alone(ctx, out.Lost); err != nil {
		return out, err
	}
	if err := copyDir(aside, s.Dir); err != nil {
		return out, fmt.Errorf("keep a copy of %s: %w; nothing was changed", s.Dir, err)
	}
	out.Backup = aside
	begin, err := Claim(s.Dir, s.Cluster, s.Member)
	if err != nil {
		return out, err
	}
	out.Incarnation = begin.Incarnation
	f := &reviving{fsm: newFSM(s.Cluster, nil, new(bell)), why: "this cluster was recovered from one member after its quorum was lost"}
	f.lost = members(out.Lost)
	if err := raft.RecoverCluster(s.config(), f, b.logs, b.stable, b.snaps, s.transport(), s.group()); err != nil {
		return out, fmt.Errorf("recover %s: %w; %s is the copy from before", s.Dir, err, aside)
	}
	out.note(f.current(), f.revived)
	return out, s.raiseTerm(b, out.Term)
}

// Restore makes a member without Raft state the only voter of a cluster that
// goes on from a backup. Those that voted when it was saved are revoked, as by
// Recover.
func Restore(s Survivor, voters []Voter, state cluster.State) (out Recovered, err error) {
	if state.Cluster != s.Cluster {
		return out, fmt.Errorf("the backup is of cluster %s, this host's certificate of %s", state.Cluster, s.Cluster)
	}
	begin, err := Claim(s.Dir, s.Cluster, s.Member)
	if err != nil {
		return out, err
	}
	out.Incarnation = begin.Incarnation
	b, err := s.open()
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := s.empty(b); err != nil {
		return out, err
	}
	// The term first: without the State the directory still counts as empty here,
	// and this can be done again.
	if err := s.raiseTerm(b, state.Term); err != nil {
		return out, err
	}
	const why = "this cluster was restored from a backup"
	for _, v := range voters {
		if v.Member != s.Member {
			out.Lost = append(out.Lost, v)
		}
	}
	revived := state.Revive(why).Lose(members(out.Lost), why)
	sink, err := b.snaps.Create(raft.SnapshotVersionMax, state.Index+cluster.ReviveIndex, state.Term+1, s.group(), 1, s.transport())
	if err != nil {
		return out, err
	}
	out.note(state, revived)
	return out, stateFile{revived}.Persist(sink)
}

// empty says that there is no State in the directory which a restoration
// would hide.
func (s Survivor) empty(b *backend) error {
	last, err := b.logs.LastIndex()
	if err != nil {
		return err
	}
	snaps, err := b.snaps.List()
	if err == nil && (last > 0 || len(snaps) > 0) {
		err = fmt.Errorf("%s holds a State already: `evenkeel cluster recover` goes on from that one; to restore, move the directory away", s.Dir)
	}
	return err
}

// raiseTerm lets terms, too, run ahead of what the lost ones may have reached,
// so that the word of this member's leader outranks theirs.
func (s Survivor) raiseTerm(b *backend, term uint64) error {
	now, err := b.stable.GetUint64(keyCurrentTerm)
	if err != nil && err.Error() != "not found" {
		return err
	}
	return b.stable.SetUint64(keyCurrentTerm, max(now, term)+cluster.ReviveTerms)
}

// keyCurrentTerm is where the library keeps the term.
var keyCurrentTerm = []byte("CurrentTerm")

func (s Survivor) open() (*backend, error) {
	return openFiles(s.Dir, raftLogger(slog.New(slog.DiscardHandler)))
}

func (s Survivor) config() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID, c.Logger = raft.ServerID(s.Member), raftLogger(slog.New(slog.DiscardHandler))
	return c
}

func (s Survivor) transport() raft.Transport {
	_, trans := raft.NewInmemTransport(raft.ServerAddress(s.Address))
	return trans
}

// group is the Raft group that this member goes on as.
func (s Survivor) group() raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(s.Member), Address: raft.ServerAddress(s.Address)}}}
}

// alone refuses to recover beside a cluster that lives: a voter that knows a
// leader has a quorum.
func (s Survivor) alone(ctx context.Context, lost []Voter) error {
	if s.Peer == nil {
		return nil
	}
	for _, v := range lost {
		asked, cancel := context.WithTimeout(ctx, askTimeout)
		info, err := s.Peer(asked, v.Address)
		cancel()
		if err == nil && info.Member == v.Member && info.Cluster == s.Cluster && info.Leader != "" {
			return fmt.Errorf("%w: voter %s answers at %s and knows a leader; start this host's daemon, and it follows", ErrQuorum, v.Member, v.Address)
		}
	}
	return nil
}

// others are who voted beside this member. One that did not vote itself may
// lack what was acknowledged long ago, so it is not taken.
func (s Survivor) others(b *backend) ([]Voter, error) {
	c, err := s.configuration(b)
	if err != nil {
		return nil, fmt.Errorf("the cluster's configuration in %s: %w", s.Dir, err)
	}
	var out []Voter
	votes := false
	for _, server := range c.Servers {
		switch {
		case string(server.ID) == s.Member:
			votes = server.Suffrage == raft.Voter
		case server.Suffrage == raft.Voter:
			out = append(out, Voter{string(server.ID), string(server.Address)})
		}
	}
	if !votes {
		return nil, fmt.Errorf("member %s was no voter of this cluster; recover from one that was: %v", s.Member, out)
	}
	return out, nil
}

// configuration reads the newest one. The library panics over a log with holes.
func (s Survivor) configuration(b *backend) (c raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the log cannot be read: %v", p)
		}
	}()
	return raft.GetConfiguration(s.config(), newFSM(s.Cluster, nil, new(bell)), b.logs, b.stable, b.snaps, s.transport())
}

func members(voters []Voter) (ids []string) {
	for _, v := range voters {
		ids = append(ids, v.Member)
	}
	return ids
}

func (r *Recovered) note(before, after cluster.State) {
	r.Index, r.Term, r.At = before.Index, before.Term, before.Now
	for m := range before.Live() {
		if m.State == cluster.MoveOrdered {
			r.Cancelled++
		}
	}
	for m := range after.Live() {
		if m.State == cluster.MoveUnknown {
			r.Unknown++
		}
	}
}

// reviving is a replica that leaves a revived State behind.
type reviving struct {
	*fsm
	why     string
	lost    []string // members that voted beside this one
	revived cluster.State
}

// Snapshot implements raft.FSM. A replica that cannot apply its log fails.
func (r *reviving) Snapshot() (raft.FSMSnapshot, error) {
	if err := r.halted(); err != nil {
		return nil, err
	}
	r.revived = r.current().Revive(r.why).Lose(r.lost, r.why)
	return stateFile{r.revived}, nil
}

// copyDir copies a directory whole, and syncs it.
func copyDir(to, from string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(from, path)
		if err = errors.Join(err, relErr); err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			return os.Mkdir(filepath.Join(to, rel), 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return copyFile(filepath.Join(to, rel), path)
	})
	return errors.Join(err, syncDir(to))
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
