package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Webhook is a receiver of events. The leader delivers, so the section should
// be the same at every member that may lead.
type Webhook struct {
	Name       string // names its position in the cluster, too: a new name begins anew
	URL        string
	SecretFile string // what signs: 16 to 4096 bytes, for nobody else to read
	CA         string // file of PEM; empty: the system's
	// AllowPlainHTTP lets http leave this host: whoever listens reads the
	// events, though nobody can forge them.
	AllowPlainHTTP bool
	Severity       cluster.Severity    // only so severe, or more
	Kinds          []cluster.EventKind // only these; empty: all
	GiveUpAfter    time.Duration       // an event that is older is dropped, after one attempt at least
}

const (
	maxWebhooks     = 8
	maxURL          = 2048 // bytes
	maxWebhookKinds = 64

	defaultGiveUp = 15 * time.Minute
	minGiveUp     = time.Minute
	maxGiveUp     = 24 * time.Hour
)

// webhookName also stands in metrics and in the State.
var webhookName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// webhooks reads the list of receivers.
func (s *section) webhooks(key string, into *[]Webhook) {
	s.known = append(s.known, key)
	node, ok := s.values[key]
	if !ok || node.Tag == "!!null" {
		s.note(key, func() string { return "[]" })
		return
	}
	if node.Kind != yaml.SequenceNode {
		s.src.blame(s.prefix+key, "write a list, each item beginning with - name: NAME", "expected a list, found %s", describe(node))
		return
	}
	if len(node.Content) > maxWebhooks {
		s.src.blame(s.prefix+key, "let one receiver pass events on to others", "%d webhooks, at most %d", len(node.Content), maxWebhooks)
		return
	}
	for i, item := range node.Content {
		path := fmt.Sprintf("%s%s[%d]", s.prefix, key, i)
		s.src.at[path] = position{item.Line, item.Column}
		w := Webhook{Severity: cluster.SeverityInfo, GiveUpAfter: defaultGiveUp}
		w.read(newSection(s.src, path+".", item))
		*into = append(*into, w)
	}
}

func (w *Webhook) read(s *section) {
	s.text("name", &w.Name)
	s.private("url", &w.URL)
	s.text("secretFile", &w.SecretFile)
	s.text("ca", &w.CA)
	s.flag("allowPlainHTTP", &w.AllowPlainHTTP)
	text(s, "severity", &w.Severity)
	var kinds []string
	s.list("kinds", &kinds)
	for _, k := range kinds {
		w.Kinds = append(w.Kinds, cluster.EventKind(k))
	}
	s.duration("giveUpAfter", &w.GiveUpAfter)
	s.done()
}

func (s *section) duration(key string, into *time.Duration) {
	defer s.note(key, func() string { return into.String() })
	v, ok := s.scalar(key)
	if !ok {
		return
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		s.src.blame(s.prefix+key, "write a time such as 90s, 15m or 2h", "%.40q is not a time", v)
		return
	}
	*into = d
}

func (s *source) checkWebhooks(list []Webhook) {
	defer s.hideURLs()
	first := map[string]int{}
	for i, w := range list {
		at := fmt.Sprintf("webhooks[%d]", i)
		if _, broken := s.problems[at]; broken {
			continue
		}
		if !webhookName.MatchString(w.Name) {
			s.blame(at+".name", "write a name of small letters, digits and dashes, at most 32, such as pager", "%.60q is not a webhook's name", w.Name)
		} else if j, seen := first[w.Name]; seen {
			s.blame(at+".name", "give each webhook a name of its own", "%q is already webhook %d", w.Name, j)
		}
		first[w.Name] = i
		if what := w.URLFault(); what != "" {
			s.blame(at+".url", "write https://HOST/PATH; http is for this host's loopback addresses, or with allowPlainHTTP: true", "%s", what)
		}
		if w.SecretFile == "" {
			s.blame(at+".secretFile", "make one with `openssl rand -hex 32`, for root only, and name it", "missing")
		}
		s.checkPath(at+".secretFile", w.SecretFile)
		if w.CA != "" {
			s.checkPath(at+".ca", w.CA)
		}
		w.checkFilter(s, at)
		if w.GiveUpAfter < minGiveUp || w.GiveUpAfter > maxGiveUp {
			s.blame(at+".giveUpAfter", "write a time such as 15m", "%v does not lie between %v and %v", w.GiveUpAfter, minGiveUp, maxGiveUp)
		}
	}
}

func (w Webhook) checkFilter(s *source, at string) {
	if !w.Severity.Valid() {
		s.blame(at+".severity", "write info, warning or critical", "%.40q is no severity", w.Severity)
	}
	if len(w.Kinds) > maxWebhookKinds {
		s.blame(at+".kinds", "name a kind once, or remove the key for all", "%d kinds, at most %d", len(w.Kinds), maxWebhookKinds)
		return
	}
	for i, k := range w.Kinds {
		if !k.Valid() {
			s.blame(fmt.Sprintf("%s.kinds[%d]", at, i), "write a kind of docs/events.md, such as move-failed", "%.40q is no kind of event", k)
		}
	}
}

// URLFault says what is wrong with the URL, "" for nothing, without a word of
// it: receivers put tokens into paths.
func (w Webhook) URLFault() string {
	u, err := url.Parse(w.URL)
	switch {
	case w.URL == "":
		return "missing"
	case len(w.URL) > maxURL:
		return fmt.Sprintf("a URL of %d bytes, at most %d", len(w.URL), maxURL)
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return "not a URL with a host"
	case u.User != nil:
		return "a user or password does not belong into the URL"
	case u.Fragment != "" || u.RawFragment != "":
		return "a URL's #fragment is not sent"
	case u.Scheme == "https":
		return ""
	case u.Scheme != "http":
		return fmt.Sprintf("the scheme is %.20q", u.Scheme)
	case !w.AllowPlainHTTP && !loopback(u.Hostname()):
		return "http would carry what is told over the network for all to read"
	}
	return ""
}

// loopback says whether a URL's host is an address of this host only. A name
// is none: who resolves it decides where it leads.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hideURLs takes the lines with URLs out of what is said about webhooks.
func (s *source) hideURLs() {
	for key, p := range s.problems {
		if strings.HasPrefix(key, "webhooks[") && (strings.HasSuffix(key, ".url") || strings.Contains(p.Excerpt, "url")) {
			p.Excerpt = ""
			s.problems[key] = p
		}
	}
}
