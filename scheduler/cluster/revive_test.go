package cluster

import (
	"testing"
)

// Whatever a State says of moves, nobody may act on it once what came later is
// lost.
func TestRevive(t *testing.T) {
	for _, was := range []MoveState{MoveOrdered, MoveClaimed, MoveRunning, MoveUnknown, MoveDone, MoveFailed} {
		s := New("c")
		s.Now, s.LastMove, s.Tokens, s.Lock = 1000, 7, []Token{{ID: "t"}}, Lock{ID: "l"}
		s.store(Move{Order: Order{ID: moveID(7), VM: "vm"}, Seq: 7, State: was})
		s = s.Revive("the rest is lost")
		m, _ := s.Move(moveID(7))
		want := map[MoveState]MoveState{MoveOrdered: MoveCancelled, MoveClaimed: MoveUnknown, MoveRunning: MoveUnknown}[was]
		if want == "" {
			want = was
		}
		if m.State != want {
			t.Errorf("%s became %s, want %s", was, m.State, want)
		}
		if _, live := s.LiveMove("vm"); live != want.Live() {
			t.Errorf("%s, now %s: live is %t", was, m.State, live)
		}
		if s.NextMoveID(0) != moveID(7+ReviveMoves+1) || s.Holding() == nil || len(s.Tokens) != 0 || s.Lock != (Lock{}) {
			t.Errorf("next %s, holding %v, %d tokens, lock %+v", s.NextMoveID(0), s.Holding(), len(s.Tokens), s.Lock)
		}
		// The order cannot be claimed, by its source or anybody.
		_, err := s.Apply(Meta{Index: 9, Term: 1}, Command{Level: 1, ID: "x", Actor: Actor{Kind: KindAgent, ID: "h"}, At: 1001, Body: Claim{Move: moveID(7)}})
		if RefusalOf(err) == nil {
			t.Errorf("%s: claimed after all: %v", was, err)
		}
	}
}
