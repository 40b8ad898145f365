package certs

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestCASaveAndLoad(t *testing.T) {
	ca := newCA(t)
	dir := filepath.Join(t.TempDir(), "new", "tls")
	if err := ca.Save(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{CACertFile: 0o644, CAKeyFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
	again, err := LoadCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.ClusterID != ca.ClusterID || !again.key.Equal(ca.key) {
		t.Errorf("loaded CA of cluster %s differs from the saved one of %s", again.ClusterID, ca.ClusterID)
	}
}

func TestCASaveNeverOverwrites(t *testing.T) {
	for _, present := range []string{CACertFile, CAKeyFile} {
		t.Run(present, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, present)
			writeFile(t, path, []byte("precious"))
			err := newCA(t).Save(dir)
			if !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), path) {
				t.Fatalf("Save over %s: %v, want ErrExists with the path", present, err)
			}
			if got := readTestFile(t, path); string(got) != "precious" {
				t.Errorf("%s was overwritten", present)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("half a CA was left behind: %v", entries)
			}
		})
	}
}

func TestLoadCARefuses(t *testing.T) {
	good := newCA(t)
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  error
		text  string
	}{
		"no folder": {func(t *testing.T, dir string) { os.RemoveAll(dir) }, os.ErrNotExist, "evenkeel certs"},
		"other key": {func(t *testing.T, dir string) { saveOver(t, dir, CAKeyFile, newCA(t)) }, ErrKeyMismatch, CAKeyFile},
		"open key":  {func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, CAKeyFile), 0o644) }, ErrOpenKey, "chmod 600"},
		"empty":     {func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, CACertFile), nil) }, ErrMalformed, "0 PEM certificates"},
		"not PEM":   {func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, CACertFile), []byte("hello")) }, ErrMalformed, "5 bytes that are none"},
		"too large": {func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, CACertFile), make([]byte, maxFile+1)) }, ErrMalformed, "larger than"},
		"key in cert": {func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, CACertFile), readTestFile(t, filepath.Join(dir, CAKeyFile)))
		}, ErrMalformed, "PRIVATE KEY"},
		"cert in key":   {func(t *testing.T, dir string) { copyKey(t, dir, encodeCert(good.Cert)) }, ErrMalformed, "PRIVATE KEY"},
		"rotten PEM":    {func(t *testing.T, dir string) { rot(t, filepath.Join(dir, CACertFile)) }, ErrMalformed, "certificate 1"},
		"a leaf's cert": {func(t *testing.T, dir string) { leafAsCA(t, dir, good) }, ErrMalformed, "not the certificate of an evenkeel CA"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := good.Save(dir); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, dir)
			_, err := LoadCA(dir)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("got %v; want %v, with %q and the path", err, c.want, c.text)
			}
		})
	}
}

func saveOver(t *testing.T, dir, file string, ca *CA) {
	t.Helper()
	other := t.TempDir()
	if err := ca.Save(other); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(other, file), filepath.Join(dir, file)); err != nil {
		t.Fatal(err)
	}
}

func copyKey(t *testing.T, dir string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, CAKeyFile)
	os.Remove(path)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rot damages the certificate inside its PEM armour.
func rot(t *testing.T, path string) {
	t.Helper()
	data := readTestFile(t, path)
	at := bytes.IndexByte(data, '\n') + 1
	copy(data[at:], "AAAA")
	writeFile(t, path, data)
}

func leafAsCA(t *testing.T, dir string, ca *CA) {
	t.Helper()
	leaf := issue(t, ca, cluster.KindAgent, "hv1", year)
	writeFile(t, filepath.Join(dir, CACertFile), encodeCert(leaf.Cert))
}

func TestIssue(t *testing.T) {
	ca := newCA(t)
	want := cluster.Identity{ClusterID: ca.ClusterID, Kind: cluster.KindWitness, MemberID: uuid.NewString(), Name: "wit-1"}
	pair, err := ca.Issue(Request{Kind: want.Kind, Name: want.Name, MemberID: want.MemberID, IPs: []netip.Addr{netip.MustParseAddr("10.199.0.3")}}, noon, year)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseIdentity(pair.Cert)
	if err != nil || got != want || pair.Identity != want {
		t.Errorf("certificate speaks for %+v, %v; pair for %+v; want %+v", got, err, pair.Identity, want)
	}
	if uri := pair.Cert.URIs[0].String(); uri != want.URI() {
		t.Errorf("URI SAN is %s, want %s", uri, want.URI())
	}
	if !pair.Cert.NotBefore.Before(noon) || !pair.Cert.NotAfter.Equal(noon.Add(year)) {
		t.Errorf("valid %v to %v", pair.Cert.NotBefore, pair.Cert.NotAfter)
	}
}

func TestIssueRefuses(t *testing.T) {
	ca := newCA(t)
	good := Request{Kind: cluster.KindAgent, Name: "hv1", MemberID: uuid.NewString()}
	for name, c := range map[string]struct {
		change   func(*Request)
		now      time.Time
		validity time.Duration
		want     string
	}{
		"kind":         {func(r *Request) { r.Kind = "root" }, noon, year, `kind "root" is none of`},
		"no name":      {func(r *Request) { r.Name = "" }, noon, year, "empty"},
		"long name":    {func(r *Request) { r.Name = strings.Repeat("a", 65) }, noon, year, "longer than 64"},
		"control":      {func(r *Request) { r.Name = "hv\n1" }, noon, year, "unprintable"},
		"invalid UTF8": {func(r *Request) { r.Name = "hv\xff" }, noon, year, "unprintable"},
		"member id":    {func(r *Request) { r.MemberID = "hv1" }, noon, year, "not a UUID"},
		"upper case":   {func(r *Request) { r.MemberID = strings.ToUpper(r.MemberID) }, noon, year, "not a UUID in lower case"},
		"zero address": {func(r *Request) { r.IPs = []netip.Addr{{}} }, noon, year, "zero netip.Addr"},
		"no validity":  {func(*Request) {}, noon, 0, "not positive"},
		"outlives CA":  {func(*Request) {}, noon, 11 * year, "its CA only until"},
		"CA expired":   {func(*Request) {}, noon.Add(11 * year), year, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			req := good
			c.change(&req)
			if _, err := ca.Issue(req, c.now, c.validity); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	if _, err := NewCA("prod", noon, year); err == nil || !strings.Contains(err.Error(), "cluster id") {
		t.Errorf("NewCA with a cluster id that is no UUID: %v", err)
	}
	if _, err := NewCA(uuid.NewString(), noon, -year); err == nil {
		t.Error("NewCA with a negative validity: no error")
	}
}

func TestPairSaveModesAndRenewal(t *testing.T) {
	ca := newCA(t)
	m := newMember(t, ca, cluster.KindAgent, "hv1", year)
	for path, want := range map[string]os.FileMode{m.cert: 0o644, m.key: 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
	}
	if err := issue(t, ca, cluster.KindAgent, "hv1", 2*year).Save(m.cert, m.key); err != nil {
		t.Fatalf("renew: %v", err)
	}
	if entries, _ := os.ReadDir(m.dir); len(entries) != 3 {
		t.Errorf("temporary files were left: %v", entries)
	}
	if err := issue(t, ca, cluster.KindAgent, "hv1", year).Save(m.cert, filepath.Join(m.dir, "no", "key")); err == nil {
		t.Error("saving into a folder that is not there: no error")
	}
}
