package relay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"
)

// Owner is the user that QEMU runs as: the target's QEMU makes its socket in a
// passage's directory, the source's may connect to one there.
type Owner struct{ UID, GID int }

func (o Owner) give(path string) error {
	if o.UID == os.Getuid() && o.GID == os.Getgid() {
		return nil
	}
	return os.Chown(path, o.UID, o.GID)
}

// qemuUsers are the names under which distributions have libvirt run QEMU when
// qemu.conf does not say: Debian and Ubuntu, then the others.
var qemuUsers = []string{"libvirt-qemu", "qemu"}

var (
	confUser  = regexp.MustCompile(`(?m)^[ \t]*user[ \t]*=[ \t]*"([^"\n]{1,256})"`)
	confGroup = regexp.MustCompile(`(?m)^[ \t]*group[ \t]*=[ \t]*"([^"\n]{1,256})"`)
)

const maxConf = 1 << 20

// QEMUOwner finds out whom libvirt runs QEMU as, from its qemu.conf, whose
// user may be a name, a number or a number behind a plus.
func QEMUOwner(conf string) (Owner, error) {
	info, err := os.Stat(conf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Owner{}, fmt.Errorf("QEMU's user: %w", err)
	}
	if err == nil && info.Size() > maxConf {
		return Owner{}, fmt.Errorf("QEMU's user: %s has %d bytes, at most %d are read", conf, info.Size(), maxConf)
	}
	text, err := os.ReadFile(conf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Owner{}, fmt.Errorf("QEMU's user: %w", err)
	}
	o, err := ownerOf(string(text))
	if err != nil {
		return Owner{}, fmt.Errorf("QEMU's user: %s: %w", conf, err)
	}
	return o, nil
}

func ownerOf(conf string) (Owner, error) {
	names := qemuUsers
	if m := lastMatch(confUser, conf); m != "" {
		names = []string{m}
	}
	o, err := firstUser(names)
	if err != nil {
		return Owner{}, err
	}
	if m := lastMatch(confGroup, conf); m != "" {
		g, err := lookGroup(m)
		if err != nil {
			return Owner{}, err
		}
		o.GID = g
	}
	return o, nil
}

func lastMatch(re *regexp.Regexp, text string) string {
	all := re.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

func firstUser(names []string) (Owner, error) {
	var errs []error
	for _, name := range names {
		if id, err := strconv.Atoi(strings.TrimPrefix(name, "+")); err == nil && id >= 0 {
			return Owner{UID: id}, nil
		}
		u, err := user.Lookup(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return Owner{}, err
		}
		return Owner{uid, gid}, nil
	}
	return Owner{}, errors.Join(errs...)
}

func lookGroup(name string) (int, error) {
	if id, err := strconv.Atoi(strings.TrimPrefix(name, "+")); err == nil && id >= 0 {
		return id, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
