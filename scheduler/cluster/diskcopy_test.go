package cluster

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func codesOf(list []Hindrance) (codes []Code) {
	for _, h := range list {
		codes = append(codes, h.Code)
	}
	return codes
}

func TestFitCopies(t *testing.T) {
	const gib = GiB
	disks := []DiskCopy{
		{"vda", "/images/a.qcow2", "qcow2", 20 * gib, 3 * gib},
		{"vdb", "/images/b.raw", "raw", 4 * gib, 4 * gib},
		{"vdc", "/data/c.raw", "raw", gib, gib},
	}
	both := []Room{{"/data", 2 * gib}, {"/images", 7 * gib}}
	for name, c := range map[string]struct {
		policy   CopyStorage
		from, to []Room
		want     []Code
		auto     int
	}{
		"nothing is asked of disks that are not copied": {"", nil, nil, nil, 0},
		"they fit to the byte":                          {CopyStorageMove, both, both, nil, 0},
		"each directory is asked for its own":           {CopyStorageMove, both, []Room{{"/data", 2 * gib}, {"/images", 7*gib - 1}}, []Code{CodeNoStorageRoom}, 0},
		"full already":                                  {CopyStorageMove, both, []Room{{"/data", 0}, {"/images", 0}}, []Code{CodeNoStorageRoom, CodeNoStorageRoom}, 0},
		"one directory is no pool's":                    {CopyStorageMove, both, both[1:], []Code{CodeNoStoragePool}, 0},
		"a pool above it is not one of it":              {CopyStorageMove, both, []Room{{"/", 99 * gib}}, []Code{CodeNoStoragePool, CodeNoStoragePool, CodeNoStoragePool}, 0},
		"the old copies stay":                           {CopyStorageKeep, both, both, []Code{CodeOneWay}, 1},
		"the old ones cannot be deleted":                {CopyStorageMove, nil, both, []Code{CodeOneWay}, 1},
	} {
		list := FitCopies(disks, c.policy, c.from, c.to)
		auto := 0
		for _, h := range list {
			if h.Text == "" || h.Remedy == "" {
				t.Errorf("%s: %+v", name, h)
			}
			if h.Auto {
				auto++
			}
		}
		if got := codesOf(list); !slices.Equal(got, c.want) || auto != c.auto {
			t.Errorf("%s: %v, %d of them only for evenkeel; want %v and %d", name, got, auto, c.want, c.auto)
		}
	}
	if CopiedBytes(disks) != 8*gib {
		t.Errorf("%v are copied", CopiedBytes(disks))
	}
}

func TestAbsurdCopies(t *testing.T) {
	good := DiskCopy{"vda", "/images/a.raw", "raw", GiB, GiB}
	for name, change := range map[string]func(*DiskCopy){
		"no target":          func(d *DiskCopy) { d.Target = "" },
		"relative":           func(d *DiskCopy) { d.Path = "images/a.raw" },
		"not plain":          func(d *DiskCopy) { d.Path = "/images/../etc/shadow" },
		"the root":           func(d *DiskCopy) { d.Path = "/" },
		"not printable":      func(d *DiskCopy) { d.Path = "/images/\x00" },
		"invalid UTF-8":      func(d *DiskCopy) { d.Path = "/images/\xff" },
		"too long":           func(d *DiskCopy) { d.Path = "/" + strings.Repeat("a", 600) },
		"another format":     func(d *DiskCopy) { d.Format = "vmdk" },
		"no size":            func(d *DiskCopy) { d.Size = 0 },
		"negative size":      func(d *DiskCopy) { d.Size = -1 },
		"huge":               func(d *DiskCopy) { d.Size = math.MaxInt64 },
		"negative in use":    func(d *DiskCopy) { d.Used = -1 },
		"more than there is": func(d *DiskCopy) { d.Used = math.MaxInt64 },
	} {
		d := good
		change(&d)
		if err := checkCopies([]DiskCopy{d}); err == nil {
			t.Errorf("%s was taken: %+v", name, d)
		}
	}
	if err := checkCopies([]DiskCopy{good}); err != nil {
		t.Error(err)
	}
	if err := checkCopies([]DiskCopy{good, good}); err == nil {
		t.Error("a disk was taken twice")
	}
	if err := checkCopies(make([]DiskCopy, maxCopies+1)); err == nil {
		t.Error("too many were taken")
	}
	if err := checkCopied([]Copied{{vmA, []DiskCopy{good}}, {vmA, []DiskCopy{good}}}); err == nil {
		t.Error("a VM was taken twice")
	}
	for _, rooms := range [][]Room{{{"images", 1}}, {{"/images/", 1}}, {{"/images", -1}}, {{"/b", 1}, {"/a", 1}}, {{"/a", 1}, {"/a", 1}}, make([]Room, maxRooms+1)} {
		if err := checkRooms(rooms); err == nil {
			t.Errorf("%.80v was taken", rooms)
		}
	}
}

// A move takes along what its source has described, if the policy says so; the
// lock on an image keeps nobody from writing its copy.
func TestOrderCopiesDisks(t *testing.T) {
	s := described(t)
	disk := DiskCopy{"vda", "/images/a.raw", "raw", GiB, GiB}
	command := describeBy(s, hv1, 2, fullOffer(), []*Need{fullNeed()}, []Needy{{vmA, 0}, {vmB, 0}})
	body, ok := command.Body.(Describe)
	if !ok {
		t.Fatal("no description")
	}
	body.Copied, body.Rooms = []Copied{{vmA, []DiskCopy{disk}}}, []Room{{"/images", 8 * GiB}}
	command.Body = body
	s, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, command)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.CopiesOf(vmA, hv1)) != 0 {
		t.Error("disks would be copied against the policy")
	}
	s.Settings.CopyStorage = CopyStorageMove
	if got := s.CopiesOf(vmA, hv1); !slices.Equal(got, []DiskCopy{disk}) {
		t.Errorf("%+v", got)
	}
	if len(s.CopiesOf(vmB, hv1)) != 0 || len(s.CopiesOf(vmA, hv2)) != 0 {
		t.Error("disks of another VM or host would be copied")
	}
	locked := VM{Lock: LockLockable}
	if !locked.Guarded(nil) || locked.Guarded([]DiskCopy{disk}) {
		t.Error("a copied disk counts as locked")
	}
	// Nothing of the target's is known to take the disk.
	if got := codesOf(s.Hindered(vmA, hv1, hv2)); !slices.Contains(got, CodeNoStoragePool) {
		t.Errorf("%v", got)
	}
	var b strings.Builder
	if err := s.Encode(&b); err != nil {
		t.Fatal(err)
	}
	back, err := DecodeState(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	d, _ := back.Described(hv1)
	if !slices.Equal(d.Disks(vmA), []DiskCopy{disk}) || !slices.Equal(d.Rooms, body.Rooms) {
		t.Errorf("the State comes back with %+v, %+v", d.Copied, d.Rooms)
	}
}
