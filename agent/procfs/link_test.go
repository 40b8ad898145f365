package procfs

import (
	"testing"
	"testing/fstest"
)

func TestLinkMbit(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	r := New(fstest.MapFS{
		"sys/class/net/eth0/speed":  file("10000\n"),
		"sys/class/net/virt/speed":  file("-1\n"),
		"sys/class/net/older/speed": file("4294967295\n"),
		"sys/class/net/odd/speed":   file("fast\n"),
		"sys/class/net/minus/speed": file("-5\n"),
		"sys/class/net/huge/speed":  file("99999999999\n"),
	})
	for device, want := range map[string]int64{"eth0": 10_000, "virt": 0, "older": 0, "gone": 0} {
		if got, err := r.LinkMbit(device); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", device, got, err, want)
		}
	}
	for _, device := range []string{"odd", "minus", "huge", "", "../eth0", "a/b", "a\x00"} {
		if got, err := r.LinkMbit(device); err == nil {
			t.Errorf("%q: %d, want an error", device, got)
		}
	}
}
