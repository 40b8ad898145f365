package libvirt

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCleanName(t *testing.T) {
	for raw, want := range map[string]string{
		"web-1":           "web-1",
		"Büro 日本":         "Büro 日本",
		"a\x80b":          `a\x80b`,
		`a\x80b`:          `a\\x80b`,
		"a\ufffdb":        "a\ufffdb",
		"red\x1b[31m":     `red\u{1b}[31m`,
		"line\nfeed":      `line\u{a}feed`,
		"right\u202eleft": `right\u{202e}left`,
		"":                "",
	} {
		if got := cleanName(raw); got != want {
			t.Errorf("%q becomes %q, want %q", raw, got, want)
		}
	}
}

// Two names that differ only in bytes that are not UTF-8, or only far behind,
// must not collide.
func TestFault32NamesDiffer(t *testing.T) {
	long := strings.Repeat("ü", 200)
	names := []string{"a\xff", "a\xfe", `a\xff`, "a\ufffd", `a\\xff`, long + "1", long + "2", strings.Repeat("\xff", 100), strings.Repeat("\xff", 101)}
	names = append(names, cleanName(long+"1")) // a VM that is called what another one is shown as
	seen := make(map[string]string)
	for _, n := range names {
		c := cleanName(n)
		if other, taken := seen[c]; taken {
			t.Errorf("%q and %q both become %q", n, other, c)
		}
		seen[c] = n
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("web-1", "web-2")
	f.Add("a\x80", `a\x80`)
	f.Add(strings.Repeat("x", 300), strings.Repeat("x", 299)+"y")
	f.Fuzz(func(t *testing.T, a, b string) {
		ca, cb := cleanName(a), cleanName(b)
		if (ca == cb) != (a == b) {
			t.Errorf("%q and %q become %q and %q", a, b, ca, cb)
		}
		if len(ca) > maxName || !utf8.ValidString(ca) || strings.ContainsFunc(ca, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q becomes %q", a, ca)
		}
	})
}
