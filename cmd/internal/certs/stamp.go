package certs

import (
	"io/fs"
	"os"
)

// stamps tells whether files are still those that were read. A file that is
// not there has the stamp nil.
type stamps [3]fs.FileInfo

func stampFiles(paths ...string) stamps {
	var s stamps
	for i, path := range paths {
		if info, err := os.Stat(path); err == nil {
			s[i] = info
		}
	}
	return s
}

func (s stamps) same(t stamps) bool {
	for i, a := range s {
		b := t[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) || a.Mode() != b.Mode() {
			return false
		}
	}
	return true
}
