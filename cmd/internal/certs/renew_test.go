package certs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// signer signs as a member with the CA's key does, after a change of the
// identity or of the time.
func signer(ca *CA, id cluster.Identity, now time.Time, validity time.Duration) Signer {
	return func(_ context.Context, csr []byte, _ []string) ([]byte, error) {
		pub, err := ParseCSR(csr)
		if err != nil {
			return nil, err
		}
		cert, err := ca.Certify(Request{Kind: id.Kind, Name: id.Name, MemberID: id.MemberID}, pub, now, validity)
		if err != nil {
			return nil, err
		}
		return encodeCert(cert), nil
	}
}

// A renewed certificate is for a new key and the same member, and in use at
// once; key and certificate keep their modes.
func TestRenew(t *testing.T) {
	ca := newCA(t)
	m := newMember(t, ca, cluster.KindAgent, "hv1", year)
	chmod(t, m.key, 0o640)
	later := noon.Add(300 * 24 * time.Hour)
	material := m.load(t, at(later))
	if due := material.RenewAt(); !due.Before(later) || due.Before(noon.Add(year/2)) {
		t.Errorf("due on %v", due)
	}
	before := string(readTestFile(t, m.key))
	asked := []string(nil)
	until, err := material.Renew(t.Context(), func(ctx context.Context, csr []byte, addresses []string) ([]byte, error) {
		asked = addresses
		return signer(ca, m.id, later, year)(ctx, csr, addresses)
	})
	if err != nil || !until.Equal(later.Add(year)) || !material.NotAfter().Equal(until) || material.Identity() != m.id {
		t.Fatalf("until %v, %v; in use until %v for %+v", until, err, material.NotAfter(), material.Identity())
	}
	if len(asked) != 2 || asked[0] != "127.0.0.1" || asked[1] != "hv1" {
		t.Errorf("asked for the addresses %v, want those of the present one", asked)
	}
	if string(readTestFile(t, m.key)) == before {
		t.Error("the key is the old one")
	}
	for file, want := range map[string]fs.FileMode{m.key: 0o640, m.cert: 0o644} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(m.dir); err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Whatever a signer answers, the pair in use stays whole.
func TestRenewRefuses(t *testing.T) {
	ca := newCA(t)
	m := newMember(t, ca, cluster.KindAgent, "hv1", year)
	material := m.load(t, at(noon))
	other, wrongKind, renamed := m.id, m.id, m.id
	other.MemberID, wrongKind.Kind, renamed.Name = uuid.NewString(), cluster.KindOperator, "hv2"
	foreign := newCA(t)
	sameCluster, err := NewCA(ca.ClusterID, noon, 10*year)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		sign Signer
		want error
	}{
		"unreachable":      {func(context.Context, []byte, []string) ([]byte, error) { return nil, fs.ErrClosed }, fs.ErrClosed},
		"no PEM":           {func(context.Context, []byte, []string) ([]byte, error) { return []byte("hello"), nil }, ErrMalformed},
		"the present one":  {func(context.Context, []byte, []string) ([]byte, error) { return os.ReadFile(m.cert) }, ErrKeyMismatch},
		"another member's": {signer(ca, other, noon, 2*year), ErrWrongMember},
		"another kind":     {signer(ca, wrongKind, noon, 2*year), ErrWrongMember},
		"another name":     {signer(ca, renamed, noon, 2*year), ErrWrongMember},
		"another cluster":  {signer(foreign, m.id, noon, 2*year), ErrWrongMember},
		"another CA":       {signer(sameCluster, m.id, noon, 2*year), ErrOtherCA},
		"not valid yet":    {signer(ca, m.id, noon.Add(time.Hour), 2*year), ErrNotYetValid},
		"shorter":          {signer(ca, m.id, noon, year/2), nil},
	} {
		_, err := material.Renew(t.Context(), c.sign)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		var told *Error
		if c.want != fs.ErrClosed && (!errors.As(err, &told) || told.Remedy == "") {
			t.Errorf("%s: %v has no remedy", what, err)
		}
	}
	if again := m.load(t, at(noon)); !again.NotAfter().Equal(noon.Add(year)) {
		t.Errorf("in use until %v", again.NotAfter())
	}
	if entries, _ := os.ReadDir(m.dir); len(entries) != 3 {
		t.Errorf("left behind: %v", entries)
	}
}

// Two do not renew at once, and one that is killed between the two files leaves
// a pair that the next start mends.
func TestRenewIsCutShort(t *testing.T) {
	ca := newCA(t)
	m := newMember(t, ca, cluster.KindAgent, "hv1", year)
	material := m.load(t, at(noon))
	_, err := material.Renew(t.Context(), func(ctx context.Context, csr []byte, addresses []string) ([]byte, error) {
		_, err := m.load(t, at(noon)).Renew(ctx, signer(ca, m.id, noon, 2*year))
		return nil, err
	})
	if err == nil || !strings.Contains(err.Error(), "being replaced") {
		t.Errorf("a second renewal at the same time: %v", err)
	}
	newer := newMember(t, ca, cluster.KindAgent, "hv1", 2*year)
	for _, step := range []struct {
		what string
		lay  func()
		want time.Time
	}{
		{"before anything was replaced", func() { copyTo(t, newer.key, m.key+next); copyTo(t, newer.cert, m.cert+next) }, noon.Add(year)},
		{"while the certificate was written", func() { copyTo(t, newer.key, m.key+next); writeFile(t, m.cert+next, []byte("-----BEGIN")) }, noon.Add(year)},
		{"after the key was replaced", func() { copyTo(t, newer.key, m.key); copyTo(t, newer.cert, m.cert+next) }, noon.Add(2 * year)},
	} {
		step.lay()
		if got := m.load(t, at(noon)).NotAfter(); !got.Equal(step.want) {
			t.Errorf("killed %s: in use until %v, want %v", step.what, got, step.want)
		}
		if entries, _ := os.ReadDir(m.dir); len(entries) != 3 {
			t.Errorf("killed %s: left behind %v", step.what, entries)
		}
	}
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, readTestFile(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
}
