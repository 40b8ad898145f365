package consensus

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A command is acknowledged by the leader and one follower, while the other
// follower is cut off. Then that first follower's disk is lost and, before it has
// the log again, so is the leader's power. With its voice the second follower
// could lead without the command: so it has none, and nobody leads until the
// leader is back, with all that was acknowledged.
func TestForgottenVoterElectsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGroup(t, 3, 3)
		defer w.closeAll()
		w.becomes("settled", votersAre(3))
		time.Sleep(5 * time.Second) // so that all have applied it
		leader := w.leader()
		others := slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h == leader })
		wiped, lagging := others[0], others[1]
		lagging.isolate(true)
		index := w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
		leader.kill()
		wiped.kill()
		wiped.wipe()
		wiped.start()
		lagging.isolate(false)
		for range 300 {
			time.Sleep(time.Second)
			for _, h := range others {
				if _, leads := h.node.Leading(); leads {
					t.Fatalf("%s leads without what was acknowledged", h.id)
				}
			}
		}
		if waits := wiped.node.Health().Waiting; !strings.Contains(waits, "installed anew") || !strings.Contains(waits, "--replace") {
			t.Errorf("the member without a memory waits for %q", waits)
		}
		leader.start()
		w.leader()
		if s, at := leader.node.State(); at < index || s.Mode != cluster.ModeAuto {
			t.Errorf("at %d of %d the mode is %s", at, index, s.Mode)
		}
	})
}

// Of five voters one is installed anew with the certificate that it had. Its
// seat goes to a spare member, as a dead voter's would.
func TestForgottenVoterLosesItsSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGroup(t, 6, 5)
		defer w.closeAll()
		w.becomes("settled", votersAre(5))
		leader := w.leader()
		i := slices.IndexFunc(w.hosts, func(h *host) bool { return h != leader && slices.Contains(w.voting(), h.id) })
		wiped := w.hosts[i]
		wiped.kill()
		wiped.wipe()
		wiped.start()
		w.becomes("the spare member votes", func(voters, _ []string) bool {
			return len(voters) == 5 && !slices.Contains(voters, wiped.id)
		})
		if wiped.node.formed() {
			t.Error("the member without a memory has a log again")
		}
		wiped.kill() // it never settles with the others
	})
}

// A founder that was started again before it had a log is who it was: the
// State knows the directory that it still has.
func TestLateFounderVotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGroup(t, 3, 3)
		defer w.closeAll()
		w.becomes("settled", votersAre(3))
		leader := w.leader()
		late := slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h == leader })[0]
		late.kill()
		made := late.made
		late.wipe()
		late.made = made
		late.start()
		w.becomes("all three", votersAre(3))
		w.settle()
	})
}
