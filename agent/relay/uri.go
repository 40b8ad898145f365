package relay

import (
	"net/url"
	"path"
)

// scheme marks a member's migration URI as one that its relay serves:
// relay://HOST:PORT/DIRECTORY.
const scheme = "relay"

// URI is what a host announces whose relay listens at an address (host:port)
// and keeps its sockets in a directory.
func URI(address, dir string) string {
	return (&url.URL{Scheme: scheme, Host: address, Path: dir}).String()
}

// ParseURI is the reverse of URI; ok is false for anything else.
func ParseURI(text string) (address, dir string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != scheme || u.Port() == "" || u.Hostname() == "" || !path.IsAbs(u.Path) {
		return "", "", false
	}
	return u.Host, u.Path, true
}
