package certs

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestLoadTLSRefuses(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	sibling, err := NewCA(ca.ClusterID, noon, 10*year) // same cluster id, another CA
	if err != nil {
		t.Fatal(err)
	}
	strayed := newMember(t, other, cluster.KindAgent, "hv9", year)
	twin := newMember(t, sibling, cluster.KindAgent, "hv1", year)
	for name, c := range map[string]struct {
		now   time.Time
		spoil func(t *testing.T, m *member)
		want  error
		file  func(m member) string
	}{
		"no certificate": {noon, func(_ *testing.T, m *member) { os.Remove(m.cert) }, os.ErrNotExist, certOf},
		"no key":         {noon, func(_ *testing.T, m *member) { os.Remove(m.key) }, os.ErrNotExist, keyOf},
		"no CA":          {noon, func(_ *testing.T, m *member) { os.Remove(m.ca) }, os.ErrNotExist, caOf},
		"other key":      {noon, func(_ *testing.T, m *member) { m.key = strayed.key }, ErrKeyMismatch, keyOf},
		"open key":       {noon, func(t *testing.T, m *member) { chmod(t, m.key, 0o604) }, ErrOpenKey, keyOf},
		"other cluster":  {noon, func(_ *testing.T, m *member) { m.cert, m.key = strayed.cert, strayed.key }, ErrOtherCluster, certOf},
		"other CA":       {noon, func(_ *testing.T, m *member) { m.cert, m.key = twin.cert, twin.key }, ErrOtherCA, certOf},
		"two clusters": {noon, func(t *testing.T, m *member) {
			writeFile(t, m.ca, append(readTestFile(t, m.ca), readTestFile(t, strayed.ca)...))
		}, ErrOtherCluster, caOf},
		"expired":   {noon.Add(2 * year), func(*testing.T, *member) {}, ErrExpired, certOf},
		"too early": {noon.Add(-time.Hour), func(*testing.T, *member) {}, ErrNotYetValid, certOf},
		"CA as own": {noon, func(_ *testing.T, m *member) { m.cert = m.ca }, ErrNoIdentity, certOf},
		"chain": {noon, func(t *testing.T, m *member) {
			writeFile(t, m.cert, append(readTestFile(t, m.cert), readTestFile(t, m.ca)...))
		}, ErrMalformed, certOf},
		"a directory": {noon, func(_ *testing.T, m *member) { m.cert = m.dir }, nil, certOf},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMember(t, ca, cluster.KindAgent, "hv1", year)
			c.spoil(t, &m)
			_, err := loadTLS(m.ca, m.cert, m.key, at(c.now))
			var e *Error
			if !errors.As(err, &e) || (c.want != nil && !errors.Is(err, c.want)) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if e.Where != c.file(m) || e.Remedy == "" {
				t.Errorf("error names %q with remedy %q, want the file %q", e.Where, e.Remedy, c.file(m))
			}
		})
	}
}

func certOf(m member) string { return m.cert }
func keyOf(m member) string  { return m.key }
func caOf(m member) string   { return m.ca }

func TestMaterialRereadsRenewedFiles(t *testing.T) {
	ca := newCA(t)
	m := newMember(t, ca, cluster.KindAgent, "hv1", year)
	material := m.load(t, at(noon))
	var logged bytes.Buffer
	material.LogTo(slog.New(slog.NewTextHandler(&logged, nil)))
	if got := material.NotAfter(); !got.Equal(noon.Add(year)) {
		t.Fatalf("valid until %v", got)
	}
	renew := func(id string, validity time.Duration) {
		t.Helper()
		pair, err := ca.Issue(Request{Kind: cluster.KindAgent, Name: "hv1", MemberID: id}, noon, validity)
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.Save(m.cert, m.key); err != nil {
			t.Fatal(err)
		}
	}
	renew(m.id.MemberID, 2*year)
	if got := material.NotAfter(); !got.Equal(noon.Add(2 * year)) {
		t.Errorf("after renewal valid until %v, want two years", got)
	}
	if !strings.Contains(logged.String(), "re-read") {
		t.Errorf("renewal was not logged: %q", logged.String())
	}

	t.Run("another member's is refused", func(t *testing.T) {
		renew(uuid.NewString(), 3*year)
		if got := material.Identity(); got != m.id {
			t.Errorf("daemon became %+v, was %+v", got, m.id)
		}
		if !strings.Contains(logged.String(), "another member") {
			t.Errorf("refusal was not logged: %q", logged.String())
		}
	})
	t.Run("a missing file keeps the old one, once logged", func(t *testing.T) {
		if err := os.Remove(m.cert); err != nil {
			t.Fatal(err)
		}
		logged.Reset()
		for range 3 {
			if got := material.NotAfter(); !got.Equal(noon.Add(2 * year)) {
				t.Errorf("valid until %v, want the old certificate's two years", got)
			}
		}
		if n := strings.Count(logged.String(), "keeping the old"); n != 1 {
			t.Errorf("logged %d times, want once: %s", n, logged.String())
		}
	})
	t.Run("the next good one is taken", func(t *testing.T) {
		renew(m.id.MemberID, 4*year)
		if got := material.NotAfter(); !got.Equal(noon.Add(4 * year)) {
			t.Errorf("valid until %v, want four years", got)
		}
	})
}
