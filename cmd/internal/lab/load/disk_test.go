package load

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDiskIsReadBack(t *testing.T) {
	const text = "read:4096x200,write:16384x100,flush:512x20@45s"
	got, err := ParseDisk(text)
	if err != nil {
		t.Fatal(err)
	}
	want := Disk{Jobs: []DiskJob{{"read", 4096, 200}, {"write", 16384, 100}, {"flush", 512, 20}}, Every: 45 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" || got.String() != text {
		t.Errorf("%s is written as %s\n%s", text, got, diff)
	}
	if idle, err := ParseDisk(""); err != nil || idle.String() != "" || len(idle.Jobs) > 0 {
		t.Errorf("nothing is read as %+v, %v", idle, err)
	}
}

func TestDiskMistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"read:4096x1":            "how often",
		"read:4096x1@0s":         "how often",
		"read:4096x1@9999h":      "how often",
		"@1m":                    "such as read:4096x200",
		"trim:4096x1@1m":         "such as read:4096x200",
		"read:4096@1m":           "such as read:4096x200",
		"read:4097x1@1m":         "multiple of 512",
		"read:1048576x1@1m":      "multiple of 512",
		"read:-1x1@1m":           "multiple of 512",
		"read:4096x0@1m":         "count",
		"read:4096x1,write@1m":   "job 2",
		"read:4096x999999@1m":    "count",
		strings.Repeat("x", 513): "513 bytes",
		strings.Repeat("read:512x1,", 8) + "read:512x1@1m": "9 jobs",
	} {
		if d, err := ParseDisk(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want an error with %q", text, d, err, want)
		}
	}
}

// Requests that follow each other are never neighbours, and lie on the disk.
func TestDiskRequestsAreApart(t *testing.T) {
	for _, j := range []DiskJob{{"read", 512, 5000}, {"write", 131072, 5000}, {"read", 12288, 5000}} {
		const disk = 1 << 20
		last := int64(-1 << 40)
		for i := range j.Count {
			at := j.Offset(i, disk)
			if at < 0 || at%512 != 0 || at+int64(j.RequestBytes) > disk || at == last+int64(j.RequestBytes) || at == last {
				t.Fatalf("%+v: request %d at %d after %d", j, i, at, last)
			}
			last = at
		}
	}
}

func FuzzParseDisk(f *testing.F) {
	f.Add("read:4096x200,write:16384x100,flush:512x20@45s")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDisk(text)
		if err != nil {
			return
		}
		if again, err := ParseDisk(d.String()); err != nil || again.String() != d.String() {
			t.Errorf("%q is written as %q, which reads as %v, %v", text, d, again, err)
		}
	})
}
