package procfs

import (
	"strings"
)

// BootID returns the random id that the kernel drew at this boot, 36
// characters of lower-case hex and dashes.
func (r Reader) BootID() (string, error) {
	const path = procRoot + "sys/kernel/random/boot_id"
	text, err := r.read(path, maxSmall)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(text)
	if !isUUID(id) {
		return "", malformed(path, "not a boot id: "+clip(id))
	}
	return id, nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}
