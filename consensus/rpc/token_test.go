package rpc

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func sampleToken() Token {
	return Token{
		Secret: [16]byte{1, 2, 3}, Cluster: "c0000000-0000-4000-8000-000000000000", Fingerprint: [32]byte{9, 8}, Name: "hv2", Role: cluster.RoleWitness,
		Expires: time.Unix(1_790_000_000, 0).UTC(), Addresses: []string{"10.0.0.1:7471", "[fd00::1]:7471", "hv3.example:7471"},
	}
}

func TestTokenSurvivesItsText(t *testing.T) {
	want := sampleToken()
	text := want.String()
	if len(strings.Fields(text)) != 1 || len(text) > 400 {
		t.Errorf("%d letters: %s", len(text), text)
	}
	got, err := ParseToken("  " + text + "\n")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if strings.Contains(want.ID(), "010203") || want.ID() != cluster.TokenID(HashSecret(want.Secret[:])) {
		t.Errorf("id %s", want.ID())
	}
}

// Whatever happens to one letter, or to the end, the token is refused by name.
func TestSpoiltTokens(t *testing.T) {
	text := sampleToken().String()
	for i := range text {
		other := byte('A')
		if text[i] == other {
			other = 'B'
		}
		if got, err := ParseToken(text[:i] + string(other) + text[i+1:]); err == nil {
			t.Fatalf("letter %d changed: %+v", i, got)
		}
		if got, err := ParseToken(text[:i]); err == nil || !strings.Contains(err.Error(), "token") {
			t.Fatalf("cut after %d: %+v, %v", i, got, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "huge": tokenPrefix + strings.Repeat("A", 1<<20), "another version": "ek2_" + text[4:], "padded": text + "=",
		"twice": text + text, "no word": "evenkeel cluster join " + text, "nothing in it": tokenPrefix,
		"zeros": tokenPrefix + base64.RawURLEncoding.EncodeToString(make([]byte, 90)),
	} {
		if got, err := ParseToken(text); err == nil || !strings.HasPrefix(err.Error(), "token: ") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestTokenCheck(t *testing.T) {
	for name, spoil := range map[string]func(*Token){
		"cluster":   func(k *Token) { k.Cluster = "C0000000-0000-4000-8000-000000000000" },
		"name":      func(k *Token) { k.Name = "a\x1bb" },
		"long name": func(k *Token) { k.Name = strings.Repeat("n", 65) },
		"role":      func(k *Token) { k.Role = "operator" },
		"expires":   func(k *Token) { k.Expires = time.Unix(1<<60, 0) },
		"nowhere":   func(k *Token) { k.Addresses = nil },
		"address":   func(k *Token) { k.Addresses[0] = "10.0.0.1" },
		"addresses": func(k *Token) { k.Addresses = make([]string, 9) },
	} {
		bad := sampleToken()
		spoil(&bad)
		if err := bad.Check(); err == nil {
			t.Errorf("%s: %+v is fine", name, bad)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(sampleToken().String())
	f.Add("")
	f.Add(tokenPrefix + "AAAA")
	f.Add(tokenPrefix + base64.RawURLEncoding.EncodeToString(make([]byte, 90)))
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		again, err := ParseToken(token.String())
		if err != nil || !reflect.DeepEqual(again, token) || token.Check() != nil {
			t.Errorf("%q is %+v, and again %+v, %v", text, token, again, err)
		}
	})
}
