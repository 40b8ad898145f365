package roles

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Everyone stands for whoever can open the socket; only view may be granted
// to it.
const Everyone = "everyone"

const (
	groupPrefix = "group:"
	maxGrants   = 64 // names a role
)

// Grants say which role a process on this host has at the unix socket. An
// entry is a user's name, group:NAME, or everyone. The highest role counts.
type Grants struct {
	Admin, Operate, View []string
}

// Default is what holds where agent.yaml does not say otherwise. Who gets as
// far as view has passed the socket's mode, 0660 of the group evenkeel.
func Default() Grants {
	return Grants{
		Admin:   []string{"root", groupPrefix + "evenkeel-admin"},
		Operate: []string{groupPrefix + "evenkeel"},
		View:    []string{Everyone},
	}
}

// Process is who is at the other end of a unix socket, as the kernel says.
type Process struct {
	UID    uint32
	User   string // name of the UID, "" if it has none
	Groups []uint32
}

// Of returns the highest role of a process, "" for none. gid finds a group's
// number by its name. Root is always admin: it could write the file that says
// otherwise.
func (g Grants) Of(p Process, gid func(name string) (uint32, bool)) Role {
	if p.UID == 0 {
		return Admin
	}
	for _, role := range []struct {
		role  Role
		names []string
	}{{Admin, g.Admin}, {Operate, g.Operate}, {View, g.View}} {
		for _, name := range role.names {
			if p.is(name, gid) {
				return role.role
			}
		}
	}
	return ""
}

func (p Process) is(entry string, gid func(string) (uint32, bool)) bool {
	if name, ok := strings.CutPrefix(entry, groupPrefix); ok {
		id, known := gid(name)
		return known && slices.Contains(p.Groups, id)
	}
	return entry == Everyone || p.User != "" && entry == p.User
}

// entry is what names of users and groups are made of (useradd(8), and the
// dots and realms of directory services).
var entry = regexp.MustCompile(`^(group:)?[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$`)

// CheckEntries judges the names that a role is granted to. bad is the place of
// the entry that is wrong, -1 for the list as a whole.
func CheckEntries(role Role, names []string) (bad int, err error) {
	if len(names) > maxGrants {
		return -1, fmt.Errorf("has %d names, at most %d", len(names), maxGrants)
	}
	for i, name := range names {
		switch {
		case name == Everyone && role != View:
			return i, errors.New("everyone may have view only")
		case !entry.MatchString(name):
			return i, fmt.Errorf("%.80q is neither a user's name nor group:NAME", name)
		}
	}
	return 0, nil
}
