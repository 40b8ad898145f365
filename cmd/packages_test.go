package cmd

import (
	"slices"
	"strings"
	"testing"
)

func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, p := range ourPackages(t) {
		if strings.TrimSpace(p.Doc) == "" {
			t.Errorf("%s has no package comment: say what it is for, and begin with its use", p.path())
		}
		folder := p.path()[strings.LastIndex(p.path(), "/")+1:]
		for _, name := range []string{p.Name, folder} {
			if slices.Contains([]string{"util", "utils", "common", "types", "models", "helpers", "misc"}, name) {
				t.Errorf("%s is called %s: name it after what it provides, not after what it is made of", p.path(), name)
			}
		}
	}
}
