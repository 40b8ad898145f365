package libvirt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a VM's name as we show it, in bytes.
const maxName = 256

// cleanName makes a VM's name safe to store and to print. A byte that is not
// UTF-8 becomes \xNN, a rune that does not print \u{N}, and a backslash \\,
// so two names never come out alike. A name that gets too long ends in \~ and
// a hash of the whole.
func cleanName(raw string) string {
	if plain(raw) {
		return raw
	}
	suffix := hashSuffix(raw)
	var b strings.Builder
	room := 0 // length of the longest prefix, of whole runes, that leaves room for the suffix
	for rest := raw; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		b.WriteString(escape(r, rest[:size]))
		rest = rest[size:]
		if b.Len() <= maxName-len(suffix) {
			room = b.Len()
		}
		if b.Len() > maxName {
			return b.String()[:room] + suffix
		}
	}
	return b.String()
}

func plain(s string) bool {
	return len(s) <= maxName && utf8.ValidString(s) &&
		strings.IndexFunc(s, func(r rune) bool { return r == '\\' || !unicode.IsPrint(r) }) < 0
}

func escape(r rune, text string) string {
	switch {
	case r == utf8.RuneError && len(text) == 1:
		return fmt.Sprintf(`\x%02x`, text[0])
	case r == '\\':
		return `\\`
	case !unicode.IsPrint(r):
		return fmt.Sprintf(`\u{%x}`, r)
	}
	return text
}

func hashSuffix(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return `\~` + hex.EncodeToString(sum[:8])
}
