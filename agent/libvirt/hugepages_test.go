package libvirt

import (
	"testing"
	"testing/fstest"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Pages that other VMs have, or were promised, are not there for this one.
func TestHugePagesThatAreFree(t *testing.T) {
	const dir = "sys/kernel/mm/hugepages/hugepages-2048kB/"
	for name, c := range map[string]struct {
		free, reserved, overcommit, surplus string
		fits                                bool
	}{
		"all free":                 {"512", "0", "0", "0", true},
		"one too few":              {"511", "0", "0", "0", false},
		"promised to others":       {"600", "100", "0", "0", false},
		"the kernel may make some": {"500", "0", "20", "8", true},
		"it has made them":         {"500", "0", "20", "9", false},
		"read in between":          {"0", "7", "512", "0", true},
		"garbled":                  {"many", "0", "0", "0", false},
	} {
		files := fstest.MapFS{}
		for file, text := range map[string]string{
			"free_hugepages": c.free, "resv_hugepages": c.reserved, "nr_overcommit_hugepages": c.overcommit, "surplus_hugepages": c.surplus,
		} {
			files[dir+file] = &fstest.MapFile{Data: []byte(text + "\n")}
		}
		h := hugePages(files, []cluster.Pages{{KiB: 2048, Count: 512}})
		if (h == nil) != c.fits || h != nil && h.Code != cluster.CodeHugePages {
			t.Errorf("%s: %+v, want it to fit: %v", name, h, c.fits)
		}
		if h := hugePages(files, []cluster.Pages{{KiB: 1 << 20, Count: 1}}); h == nil {
			t.Errorf("%s: pages of a size that the kernel has not", name)
		}
		if h := hugePages(files, nil); h != nil {
			t.Errorf("%s: a VM without huge pages: %+v", name, h)
		}
	}
}
