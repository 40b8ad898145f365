package consensus

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// The only voter of a group takes no ticket of another leader: it would let
// another founding of the same id overwrite its log.
func TestSoleVoterTakesNoTicket(t *testing.T) {
	n, err := openAlone(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	for end := time.Now().Add(time.Minute); !n.sole(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not founded its group")
		}
	}
	twin := Voter{memberID(2), "10.0.0.2:7471"}
	ticket := Ticket{Cluster: testCluster, Term: 1 << 20, Index: 1 << 20, Leader: twin.Member, LeaderAddress: twin.Address, Voters: []Voter{twin}, Invited: true}
	if err := n.Take(ticket); !errors.Is(err, errTwin) || !strings.Contains(err.Error(), "state directory") {
		t.Errorf("a twin's ticket: %v; want a refusal with a remedy", err)
	}
	if n.MaySpeakRaft(twin.Member) {
		t.Error("the twin may speak Raft")
	}
}
