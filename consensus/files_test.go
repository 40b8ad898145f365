package consensus

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestClaimCountsStarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	disk := ""
	for want := uint64(1); want <= 3; want++ {
		got, err := Claim(dir, testCluster, memberID(1))
		if err != nil || got.Incarnation != want || got.Disk == "" || disk != "" && got.Disk != disk {
			t.Fatalf("start %d on disk %q: %+v, %v", want, disk, got, err)
		}
		disk = got.Disk
	}
}

// A directory that is somebody else's, or whose owner cannot be told, is left
// as it is.
func TestClaimRefusesForeignDirectories(t *testing.T) {
	for name, c := range map[string]struct {
		file, content, word string
	}{
		"other member":  {claimFile, fmt.Sprintf(`{"format":1,"cluster":%q,"member":%q,"incarnation":4}`, testCluster, memberID(2)), "belongs to member " + memberID(2)},
		"other cluster": {claimFile, fmt.Sprintf(`{"format":1,"cluster":"c2","member":%q,"incarnation":4}`, memberID(1)), "of cluster c2"},
		"unknown field": {claimFile, `{"format":1,"owner":"me"}`, "owner"},
		"other format":  {claimFile, fmt.Sprintf(`{"format":2,"cluster":%q,"member":%q,"incarnation":4}`, testCluster, memberID(1)), "format 2"},
		"no disk":       {claimFile, fmt.Sprintf(`{"format":1,"cluster":%q,"member":%q,"incarnation":4,"disk":"sda"}`, testCluster, memberID(1)), "sda"},
		"damaged":       {claimFile, `{"form`, claimFile},
		"empty":         {claimFile, ``, claimFile},
		"huge":          {claimFile, strings.Repeat(" ", 1<<16), "at most"},
		"raft log only": {logFile, "x", "whose it is cannot be told"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, c.file)
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Claim(dir, testCluster, memberID(1))
			if err == nil || !strings.Contains(err.Error(), c.word) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v; want an error that names %s and %q", err, dir, c.word)
			}
			if after, _ := os.ReadFile(path); string(after) != c.content {
				t.Errorf("the file was overwritten: %s", after)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("files were added: %v", entries)
			}
		})
	}
}

func FuzzParseClaim(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(`{"format":1,"cluster":%q,"member":%q,"incarnation":4}`, testCluster, memberID(2))))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseClaim(data); err == nil && (c.Member == "" || c.Cluster == "" || c.Incarnation == 0) {
			t.Errorf("accepted %+v", c)
		}
	})
}

func sampleState(t testing.TB) cluster.State {
	t.Helper()
	s := cluster.New(testCluster)
	for i, b := range []cluster.Body{
		cluster.SetMode{Mode: cluster.ModeAuto},
		cluster.Announce{Cluster: testCluster, Member: cluster.Member{ID: memberID(1), Name: "hv1", Role: cluster.RoleWitness, Incarnation: 3, Level: 1}},
		cluster.Cancel{Move: "m-9"},
	} {
		next, err := s.Apply(cluster.Meta{Index: uint64(i + 1), Term: 2}, cluster.Command{
			Level: 1, ID: fmt.Sprint(i), Actor: cluster.Actor{Kind: cluster.KindAgent, ID: memberID(1)}, At: 1700000000_000000000, Body: b,
		})
		if err != nil && cluster.RefusalOf(err) == nil {
			t.Fatal(err)
		}
		s = next
	}
	return s
}

func encoded(t testing.TB, s cluster.State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeState(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStateFileRoundTrip(t *testing.T) {
	want := encoded(t, sampleState(t))
	got, err := readState(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if again := encoded(t, got); !bytes.Equal(again, want) {
		t.Errorf("differs after a round trip:\n%q\n%q", want, again)
	}
}

func TestStateFileDamage(t *testing.T) {
	good := encoded(t, sampleState(t))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if _, err := readState(bytes.NewReader(bad)); err == nil {
			t.Fatalf("a flipped bit in byte %d of %d was not noticed", i, len(good))
		}
		if _, err := readState(bytes.NewReader(good[:i])); err == nil {
			t.Fatalf("cut after %d of %d bytes, not noticed", i, len(good))
		}
	}
	if _, err := readState(bytes.NewReader(append(bytes.Clone(good), 'x'))); err == nil {
		t.Error("a byte too many was not noticed")
	}
}

func FuzzReadState(f *testing.F) {
	f.Add(encoded(f, sampleState(f)))
	f.Add([]byte(stateMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readState(bytes.NewReader(data))
		if err == nil && !bytes.Equal(encoded(t, s), data) {
			t.Error("accepted what it would not write")
		}
	})
}

// openAlone opens a node of its own on real files; its network reaches nobody.
func openAlone(dir string) (*Node, error) {
	h := &host{world: &world{cut: make(map[[2]string]bool)}}
	return Open(Config{
		Member: memberID(1), Cluster: testCluster, Role: cluster.RoleHypervisor, Address: "10.0.0.1:7471", Dir: dir,
		Network: fakeNetwork{h}, Peers: []string{"10.0.0.1:7471"}, BootstrapExpect: 1, Logger: slog.New(slog.DiscardHandler),
	})
}

// Files that are not what they should be: a clear error, nothing overwritten.
func TestOpenRefusesDamagedFiles(t *testing.T) {
	made := t.TempDir()
	n, err := openAlone(made)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openAlone(made); err == nil || !strings.Contains(err.Error(), "another evenkeeld") {
		t.Errorf("opened twice: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(made, logFile)
	junk := bytes.Repeat([]byte("not a database. "), 4096)
	if err := os.WriteFile(log, junk, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openAlone(made); err == nil || !strings.Contains(err.Error(), log) {
		t.Errorf("a log of junk: %v; want an error that names %s", err, log)
	}
	if after, _ := os.ReadFile(log); !bytes.Equal(after, junk) {
		t.Error("the file was overwritten")
	}
}

func TestConfigCheck(t *testing.T) {
	good := func() Config {
		return Config{Member: "m", Cluster: "c", Address: "a:1", Peers: []string{"a:1", "b:1"}, BootstrapExpect: 2}
	}
	if c := good(); c.check() != nil {
		t.Fatal(c.check())
	}
	for word, spoil := range map[string]func(*Config){
		"must all be set":                          func(c *Config) { c.Member = "" },
		`address "nowhere"`:                        func(c *Config) { c.Address = "nowhere" },
		"cluster.peers names 2":                    func(c *Config) { c.BootstrapExpect = 3 },
		"between 0 and 5":                          func(c *Config) { c.BootstrapExpect = 6 },
		`cluster.peers[1] "b"`:                     func(c *Config) { c.Peers[1] = "b" },
		"cluster.peers[1] \"a:1\" is listed twice": func(c *Config) { c.Peers[1] = "a:1" },
	} {
		c := good()
		spoil(&c)
		if err := c.check(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v; want %q", err, word)
		}
	}
}

// FuzzMet: remembered addresses are a hint, and bounded; what is damaged is not
// used.
func FuzzMet(f *testing.F) {
	for _, seed := range []string{`["10.0.0.1:7471"]`, `[]`, `{}`, `["a"`, `[1]`, `null`, "[" + strings.Repeat(`"a",`, 40) + `"a"]`} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, meetFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if met := readMet(dir); len(met) > maxMeet {
			t.Errorf("%d addresses from %q", len(met), data)
		}
	})
}
