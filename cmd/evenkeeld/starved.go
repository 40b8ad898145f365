package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// When a leader's own threads wait for a CPU, its heartbeats and decisions are
// late long before anybody misses them: it hands its leadership over before the
// others have to elect. Where all hosts starve nobody wins by passing it on, so
// each time it waits for twice as long.
const (
	starvedLook   = time.Second
	starvedWindow = 5   // looks; what a burst takes is forgiven
	starvedShare  = 0.2 // of the window, all threads together: 200 ms a second
	starvedRest   = time.Minute
	starvedLong   = 16 * time.Minute
	starvedForget = 30 * time.Minute // without starving, until the rest is the first one again
	starvedTry    = 5 * time.Second  // for one candidate
)

// replica is what of the consensus a starved leader needs.
type replica interface {
	Leading() (term uint64, ok bool)
	Health() consensus.Health
	State() (cluster.State, uint64)
	TransferTo(ctx context.Context, member string) error
}

// starved watches how long this daemon's threads wait for a CPU.
type starved struct {
	node  replica
	self  string // member id
	waits func() (map[int]uint64, error)
	log   *slog.Logger

	last   map[int]uint64 // thread → ns that it has waited, nil before the first look
	window []uint64       // ns waited in each of the last looks
	hungry time.Time      // when it last starved
	handed time.Time      // when it last gave its leadership away, or tried to
	rest   time.Duration  // for which it does not do so again
}

func newStarved(node replica, self string, waits func() (map[int]uint64, error), log *slog.Logger) *starved {
	return &starved{node: node, self: self, waits: waits, log: log, rest: starvedRest}
}

// run looks every second until ctx ends.
func (s *starved) run(ctx context.Context) {
	ticker := time.NewTicker(starvedLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.look(ctx); err != nil {
			s.log.Info("how long this daemon waits for a CPU is not known: it will not hand leadership over for that", "err", err)
			return
		}
	}
}

// look is one look; an error says that there is nothing to look at here.
func (s *starved) look(ctx context.Context) error {
	waits, err := s.waits()
	if err != nil {
		return err
	}
	s.note(waits)
	share, now := s.share(), time.Now()
	if share <= starvedShare {
		if now.Sub(s.hungry) > starvedForget {
			s.handed, s.rest = time.Time{}, starvedRest
		}
		return nil
	}
	s.hungry = now
	if _, leads := s.node.Leading(); !leads || !s.handed.IsZero() && now.Sub(s.handed) < s.rest {
		return nil
	}
	if !s.handed.IsZero() {
		s.rest = min(2*s.rest, starvedLong)
	}
	s.handed = now
	s.handOver(ctx, share)
	return nil
}

// note adds what all threads have waited since the look before. A thread that
// is new has waited since then; what one that ended had waited last is lost.
func (s *starved) note(waits map[int]uint64) {
	var grown uint64
	for tid, ns := range waits {
		if before := s.last[tid]; ns > before {
			grown += ns - before
		}
	}
	if s.last != nil {
		s.window = append(s.window, grown)
		s.window = s.window[max(0, len(s.window)-starvedWindow):]
	}
	s.last = waits
}

// share is what was waited in a whole window, as a part of it; more than one if
// several threads waited at once.
func (s *starved) share() float64 {
	if len(s.window) < starvedWindow {
		return 0
	}
	var sum uint64
	for _, ns := range s.window {
		sum += ns
	}
	return float64(sum) / float64(starvedWindow*starvedLook)
}

// handOver asks one voter after the other to lead, witnesses first: their hosts
// have no VMs that could starve them.
func (s *starved) handOver(ctx context.Context, share float64) {
	waits := fmt.Sprintf("%.0f ms a second", 1000*share)
	for _, v := range s.heirs() {
		asked, cancel := context.WithTimeout(ctx, starvedTry)
		err := s.node.TransferTo(asked, v.Member)
		cancel()
		if err == nil {
			s.log.Warn("this daemon waits for a CPU and has handed its leadership over", "waits", waits, "to", v.Member)
			return
		}
		if errors.Is(err, consensus.ErrNotLeader) || ctx.Err() != nil {
			return
		}
		s.log.Warn("this daemon waits for a CPU, and a voter does not take its leadership", "waits", waits, "voter", v.Member, "err", err)
	}
}

// heirs are the other voters in the order in which they are asked.
func (s *starved) heirs() []consensus.Voter {
	state, _ := s.node.State()
	voters := slices.DeleteFunc(slices.Clone(s.node.Health().Voters), func(v consensus.Voter) bool { return v.Member == s.self })
	rank := func(v consensus.Voter) int {
		if m, _ := state.Member(v.Member); m.Role == cluster.RoleWitness {
			return 0
		}
		return 1
	}
	slices.SortFunc(voters, func(a, b consensus.Voter) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Member, b.Member))
	})
	return voters
}

// ownWaits reads how long each of this process's threads has waited for a CPU.
// The process is found by /proc/self, whose number may be another one than the
// process's own in a pid namespace.
func ownWaits(proc procfs.Reader) func() (map[int]uint64, error) {
	return func() (map[int]uint64, error) {
		link, err := os.Readlink("/proc/self")
		if err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(link)
		if err != nil {
			return nil, fmt.Errorf("/proc/self is %q", link)
		}
		ids, err := proc.ThreadIDs(pid)
		if err != nil {
			return nil, err
		}
		waits := make(map[int]uint64, len(ids))
		for _, tid := range ids {
			stat, err := proc.Schedstat(pid, tid)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has ended
			}
			if err != nil {
				return nil, err
			}
			waits[tid] = stat.WaitNS
		}
		return waits, nil
	}
}
