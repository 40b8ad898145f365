package libvirt

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// The form is that of libvirt's own reader.
func TestParseConf(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                           {},
		"# lock_manager = \"lockd\"": {},
		"#\nlock_manager = \"sanlock\" # \"lockd\"\n":        {"lock_manager": "sanlock"},
		"lock_manager='lockd'":                               {"lock_manager": "lockd"},
		"a = \"#\"\r\nb = '\"'":                              {"a": "#", "b": `"`},
		"a = 1; b = -2 ; c = +3":                             {"a": "1", "b": "-2", "c": "3"},
		"lock_manager = \"lockd\"\nlock_manager = \"none\"":  {"lock_manager": "lockd"}, // libvirt heeds the first
		"a = \"\"\"two\nlines\"\"\"\nb = \"\"":               {"a": "two\nlines", "b": ""},
		"a = [ \"]\", 1,\n [ 'x' ],\n # more\n ]\nb = \"y\"": {"a": "", "b": "y"},
	} {
		got, err := parseConf(text)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"a":                              "line 1: want NAME = VALUE",
		"\n\n= 1":                        "line 3: want NAME = VALUE",
		"a = lockd":                      "line 1: want a number, a string in quotes, or a list",
		"a = -":                          "line 1: want a number, a string in quotes, or a list",
		"b = 1\na = \"x\ny\"":            "line 2: a string without an end",
		"a = \"\"\"x":                    "line 1: a string without an end",
		"a = [ 1":                        "line 1: want , or ] in a list",
		"a = [\n1\n2 ]":                  "line 3: want , or ] in a list",
		"a = 1 b = 2":                    "line 1: something follows the value",
		"a = \"x\" \"y\"":                "line 1: something follows the value",
		strings.Repeat("a = [", 40):      "line 1: want a number, a string in quotes, or a list",
		"a = " + strings.Repeat("[", 40): "line 1: lists in lists without end",
	} {
		if got, err := parseConf(text); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, %v, want %q", text, got, err, want)
		}
	}
}

func TestReadConf(t *testing.T) {
	files := fstest.MapFS{qemuConf: {Data: []byte("x = y")}, "big": {Data: make([]byte, maxConf+1)}}
	if values, at, err := readConf(files, "none"); len(values) != 0 || !at.IsZero() || err != nil {
		t.Errorf("without a file: %v, %v, %v", values, at, err)
	}
	if _, _, err := readConf(files, qemuConf); err == nil || !strings.HasPrefix(err.Error(), "/etc/libvirt/qemu.conf, line 1: ") {
		t.Errorf("a broken one: %v", err)
	}
	if _, _, err := readConf(files, "big"); err == nil {
		t.Error("one beyond the bound is read")
	}
}

// FuzzConf: whatever libvirt's files hold, reading them ends, and what is read
// as a name could be written as one.
func FuzzConf(f *testing.F) {
	for _, seed := range []string{
		"lock_manager = \"lockd\"\n", "#a\nb='c' # d\n", "a=[\"b\",[1,2]]\n", "a=\"\"\"b\nc\"\"\";d=-1", "a = [ 1", "=\"", "a=\"#\"", "\xff=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := parseConf(text)
		for name, value := range values {
			if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || !strings.Contains(text, value) {
				t.Errorf("%q = %q", name, value)
			}
		}
		if err != nil && values != nil {
			t.Errorf("%v beside %v", values, err)
		}
	})
}
