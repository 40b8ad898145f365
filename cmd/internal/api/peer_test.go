package api

import (
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
)

// A member that has cut itself off answers when asked, but is no voter to
// count on; a leader that nobody follows on disk says so.
func TestQuorumWithUnfitMembers(t *testing.T) {
	peers := []Peer{{Name: "hv1", Voter: true}, {Name: "hv2", Voter: true}, {Name: "w1", Voter: true}}
	peers[0].tell(consensus.Health{Part: "leader", Unfit: "its disk has not answered for 2s"})
	peers[1].tell(consensus.Health{Part: "leader", Stalled: 9 * time.Second})
	var out Status
	out.Quorum = quorumOf(peers)
	if want := (Quorum{Voters: 3, Answering: 1, Needed: 2, Spare: -1}); out.Quorum != want {
		t.Errorf("quorum %+v, want %+v", out.Quorum, want)
	}
	out.warnQuorum(peers)
	var lines []string
	for _, w := range out.Warnings {
		lines = append(lines, w.Text)
	}
	want := []string{"1 of 3 voters answer, 2 are needed", "hv1: its disk has not answered for 2s", "hv2: no majority has stored its entries for 9s"}
	for i, w := range want {
		if i >= len(lines) || !strings.HasPrefix(lines[i], w) {
			t.Errorf("warnings %q, want %q", lines, want)
			break
		}
	}
}
