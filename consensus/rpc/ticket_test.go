package rpc

import (
	"log/slog"
	"testing"

	"github.com/evenkeel/evenkeel/consensus"
)

// A ticket counts only if it is of the member at the other end of the stream.
func TestTicketOfAnother(t *testing.T) {
	var taken []string
	u := NewUplink(UplinkConfig{Take: func(t consensus.Ticket) error { taken = append(taken, t.Leader); return nil }, Logger: slog.New(slog.DiscardHandler)})
	end, leader := farEnd{}, "leader"
	if err := u.take("a:1", &end, &consensus.Ticket{Leader: leader}); err == nil {
		t.Error("a ticket was taken of a far end that nobody knows")
	}
	end.id.Store(&leader)
	if err := u.take("a:1", &end, &consensus.Ticket{Leader: "another"}); err == nil {
		t.Error("a ticket was taken of another member than it names")
	}
	if err := u.take("a:1", &end, nil); err != nil {
		t.Error(err)
	}
	if len(taken) != 0 {
		t.Fatalf("taken: %v", taken)
	}
	if err := u.take("a:1", &end, &consensus.Ticket{Leader: leader}); err != nil {
		t.Error(err)
	}
	if len(taken) != 1 {
		t.Errorf("taken: %v", taken)
	}
}
