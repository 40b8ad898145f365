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

// Who a recovery goes on without speaks for nobody, is revoked once, and keeps
// name and VMs until its host joins anew.
func TestLose(t *testing.T) {
	w := newWorld(t)
	before := w.s
	w.s = w.s.Lose([]string{hv1, newcomer}, "the rest is lost").Lose([]string{hv1}, "again")
	if len(w.s.Removals) != 2 || !w.s.Revoked(hv1) || !w.s.Revoked(newcomer) || w.s.Revoked(hv2) || before.Revoked(hv1) {
		t.Fatalf("removals %+v, before %+v", w.s.Removals, before.Removals)
	}
	w.refuses(CodeRevoked, byHost(hv1), Announce{testCluster, testHost(hv1)})
	if p, ok := w.s.Place(vmA); !ok || len(p.Hosts) != 1 {
		t.Errorf("its VM is at %v", p.Hosts)
	}
	token := testToken(1, "hv1")
	token.Replace = true
	w.must(byOperator, AddToken{Token: token})
	const anew = "00000008-0000-4000-8000-000000000000"
	w.must(byLeader, UseToken{token.ID, anew})
	if _, known := w.s.Member(hv1); known || len(w.s.Removals) != 2 {
		t.Errorf("after it joined anew: known %v, removals %+v", known, w.s.Removals)
	}
	m := testHost(anew)
	m.Name = "hv1"
	w.must(byHost(anew), Announce{testCluster, m})
	// One that was never to come back is removed as ever.
	w.s = w.s.Lose([]string{hv3}, "lost as well")
	w.must(byOperator, RemoveMember{Member: hv3})
	if back := w.reread(); !back.Revoked(hv3) || len(back.Removals) != 3 {
		t.Errorf("removals %+v", back.Removals)
	}
}
