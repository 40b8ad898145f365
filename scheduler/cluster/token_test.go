package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const newcomer = "00000009-0000-4000-8000-000000000000"

func testToken(n int, name string) Token {
	hash := fmt.Sprintf("%08x%s", n, strings.Repeat("a5", 28))
	return Token{ID: TokenID(hash), Hash: hash, Name: name, Role: RoleHypervisor, Expires: epoch.Add(time.Hour)}
}

func TestTokenIsUsedOnce(t *testing.T) {
	w := newWorld(t)
	token := testToken(1, "hv9")
	w.must(byOperator, AddToken{Token: token})
	w.must(byLeader, UseToken{token.ID, newcomer})
	w.must(byLeader, UseToken{token.ID, newcomer}) // its answer was lost
	w.refuses(CodeTokenUsed, byLeader, UseToken{token.ID, hv1[:35] + "7"})
	if got, _ := w.s.Token(token.ID); got.UsedBy != newcomer || got.UsedAt == 0 || got.By != "ann" {
		t.Errorf("%+v", got)
	}
	m := testHost(newcomer)
	m.Name = "hv9"
	w.must(byHost(newcomer), Announce{testCluster, m})
}

func TestTokenRefusals(t *testing.T) {
	w := newWorld(t)
	good := testToken(1, "hv9")
	for name, spoil := range map[string]func(*Token){
		"hash cut":       func(k *Token) { k.Hash = k.Hash[:63] },
		"hash not hex":   func(k *Token) { k.Hash = "g" + k.Hash[1:] },
		"id of another":  func(k *Token) { k.ID = "t-00000002" },
		"no name":        func(k *Token) { k.Name = "" },
		"name too long":  func(k *Token) { k.Name = strings.Repeat("x", 65) },
		"role":           func(k *Token) { k.Role = "king" },
		"expired":        func(k *Token) { k.Expires = epoch },
		"for ever":       func(k *Token) { k.Expires = epoch.Add(365 * 24 * time.Hour) },
		"expires far":    func(k *Token) { k.Expires = maxTime },
		"negative times": func(k *Token) { k.Expires = -1 },
	} {
		bad := good
		spoil(&bad)
		t.Run(name, func(*testing.T) { w.refuses(CodeAbsurdFigure, byOperator, AddToken{Token: bad}) })
	}
	w.refuses(CodeNotYours, byHost(hv1), AddToken{Token: good})
	w.refuses(CodeDuplicateName, byOperator, AddToken{Token: testToken(1, "hv1")})
	again := testToken(2, "hv8")
	again.Replace = true
	w.refuses(CodeUnknownHost, byOperator, AddToken{Token: again})
	w.refuses(CodeUnknownToken, byLeader, UseToken{good.ID, newcomer})
	w.must(byOperator, AddToken{Token: good})
	w.refuses(CodeDuplicateName, byOperator, AddToken{Token: Token{ID: good.ID, Hash: good.Hash, Name: "hv7", Role: RoleWitness, Expires: good.Expires}})
	w.refuses(CodeNotYours, byOperator, UseToken{good.ID, newcomer})
	w.refuses(CodeAbsurdFigure, byLeader, UseToken{good.ID, "me"})
	w.refuses(CodeDuplicateName, byLeader, UseToken{good.ID, hv1})
	w.must(byOperator, AddToken{Token: testToken(3, "hv9")}) // takes the place of the first
	w.refuses(CodeUnknownToken, byLeader, UseToken{good.ID, newcomer})
	w.s.Now = epoch.Add(2 * time.Hour)
	w.refuses(CodeTokenExpired, byLeader, UseToken{testToken(3, "hv9").ID, newcomer})
}

func TestTokensAreBounded(t *testing.T) {
	w := newWorld(t)
	for i := range MaxTokens + 10 {
		w.must(byOperator, AddToken{Token: testToken(i+1, fmt.Sprintf("new%d", i))})
	}
	if len(w.s.Tokens) != MaxTokens {
		t.Errorf("%d tokens", len(w.s.Tokens))
	}
	if _, ok := w.s.Token(testToken(1, "").ID); ok {
		t.Error("the oldest one was not forgotten")
	}
}

// A host that lost its disk comes back under its name with a new id; the old
// id is revoked at that moment, not before.
func TestReplacedHost(t *testing.T) {
	w := newWorld(t)
	token := testToken(1, "hv1")
	token.Replace = true
	w.must(byOperator, AddToken{Token: token})
	if w.s.Revoked(hv1) {
		t.Error("revoked before the new one has joined")
	}
	w.must(byLeader, UseToken{token.ID, newcomer})
	if _, known := w.s.Member(hv1); known || !w.s.Revoked(hv1) {
		t.Error("the old id still counts")
	}
	w.refuses(CodeRevoked, byHost(hv1), Announce{testCluster, testHost(hv1)})
	// It was never seen again: the operator asks once more, in the same words.
	again := testToken(2, "hv1")
	again.Replace = true
	w.must(byOperator, AddToken{Token: again})
	typo := testToken(3, "hv11")
	typo.Replace = true
	w.refuses(CodeUnknownHost, byOperator, AddToken{Token: typo})
	m := testHost(newcomer)
	m.Name = "hv1"
	w.must(byHost(newcomer), Announce{testCluster, m})
}

func TestRemoveMember(t *testing.T) {
	w := newWorld(t)
	w.refuses(CodeNotYours, byHost(hv2), RemoveMember{Member: hv3})
	w.refuses(CodeUnknownHost, byOperator, RemoveMember{Member: newcomer})
	w.refuses(CodeHasVMs, byOperator, RemoveMember{Member: hv1})
	w.must(byOperator, RemoveMember{Member: hv3, Text: "scrapped"})
	w.refuses(CodeRevoked, byOperator, RemoveMember{Member: hv3})
	w.refuses(CodeRevoked, byHost(hv3), Announce{testCluster, testHost(hv3)})
	w.must(byOperator, RemoveMember{Member: hv1, Force: true})
	if _, ok := w.s.Host(hv1); ok {
		t.Error("the host is still there")
	}
	if _, ok := w.s.Place(vmA); ok {
		t.Error("its VMs are still there")
	}
	// The same before and after a snapshot.
	if back := w.reread(); !back.Revoked(hv1) || !back.Revoked(hv3) || back.Revoked(hv2) {
		t.Errorf("removals %v", back.Removals)
	}
}

// One id on two machines: the same start at two addresses.
func TestOneIDOnTwoMachines(t *testing.T) {
	w := newWorld(t)
	twin := testHost(hv1)
	twin.Address = "10.6.6.6:7471"
	w.refuses(CodeStaleIncarnation, byHost(hv1), Announce{testCluster, twin})
	twin.Incarnation++ // a restart at another address is no twin
	w.must(byHost(hv1), Announce{testCluster, twin})
}

func TestLock(t *testing.T) {
	w := newWorld(t)
	until := epoch.Add(5 * time.Minute)
	w.refuses(CodeNotYours, byHost(hv1), TakeLock{"a", "hv1", until, ""})
	w.refuses(CodeAbsurdFigure, byOperator, TakeLock{"a", "hv1", epoch, ""})
	w.refuses(CodeAbsurdFigure, byOperator, TakeLock{"", "hv1", until, ""})
	w.refuses(CodeAbsurdFigure, byOperator, TakeLock{"a", "hv1", epoch.Add(48 * time.Hour), ""})
	w.must(byOperator, TakeLock{"a", "hv1", until, "upgrade"})
	w.refuses(CodeLocked, byOperator, TakeLock{"b", "hv2", until, "upgrade"})
	w.must(byOperator, TakeLock{"a", "hv1", until.Add(time.Minute), "upgrade"}) // longer
	w.refuses(CodeLocked, byOperator, GiveLock{ID: "b"})
	w.must(byOperator, GiveLock{ID: "a"})
	w.must(byOperator, GiveLock{ID: "a"}) // again: it is so
	w.must(byOperator, TakeLock{"b", "hv2", until, "upgrade"})
	w.must(byOperator, GiveLock{}) // taken away
	w.must(byOperator, TakeLock{"c", "hv3", until, "upgrade"})
	w.s.Now = until
	w.must(byOperator, TakeLock{"d", "hv1", until.Add(time.Minute), "it has ended by itself"})
	if w.s.Lock.Holder != "hv1" || w.s.Lock.Since != until {
		t.Errorf("%+v", w.s.Lock)
	}
}

// reread is the State after a snapshot and its restore.
func (w *world) reread() State {
	w.t.Helper()
	var b strings.Builder
	if err := w.s.Encode(&b); err != nil {
		w.t.Fatal(err)
	}
	back, err := DecodeState(strings.NewReader(b.String()))
	if err != nil {
		w.t.Fatal(err)
	}
	return back
}
