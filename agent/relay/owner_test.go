package relay

import (
	"os"
	"path/filepath"
	"testing"
)

func TestQEMUOwner(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		want       Owner
		fails      bool
	}{
		{"by number", "user = \"+64055\"\ngroup = \"108\"\n", Owner{64055, 108}, false},
		{"root, with comments", "#user = \"libvirt-qemu\"\n  user=\"root\"\ngroup = \"root\" # so it is\n", Owner{0, 0}, false},
		{"the last one counts", "user = \"1\"\nuser = \"0\"\n", Owner{0, 0}, false},
		{"nobody knows it", "user = \"no-such-user-here\"\n", Owner{}, true},
		{"no such group", "user = \"root\"\ngroup = \"no-such-group-here\"\n", Owner{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "qemu.conf")
			if err := os.WriteFile(path, []byte(c.conf), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := QEMUOwner(path)
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}
