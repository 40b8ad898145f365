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
	u.take("a:1", &end, &consensus.Ticket{Leader: leader}) // nobody is known there
	end.id.Store(&leader)
	u.take("a:1", &end, &consensus.Ticket{Leader: "another"})
	u.take("a:1", &end, nil)
	if len(taken) != 0 {
		t.Fatalf("taken: %v", taken)
	}
	u.take("a:1", &end, &consensus.Ticket{Leader: leader})
	if len(taken) != 1 {
		t.Errorf("taken: %v", taken)
	}
}
