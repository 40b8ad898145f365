package agent

import (
	"fmt"
	"strconv"
	"strings"
)

// Mount is one line of /proc/PID/mountinfo.
type Mount struct {
	Device string // major:minor of the device below, "0:n" if it has none
	Point  string // where it is
	Type   string // of the file system
	Source string // the device, or the export
}

// Mounts are a mount namespace's mounts, a later one above an earlier.
type Mounts []Mount

// maxMountinfo bounds what is read of mountinfo; a host with a thousand
// containers has some megabytes.
const maxMountinfo = 16 << 20

// ParseMounts reads the text of /proc/PID/mountinfo; proc(5) has its fields.
func ParseMounts(text string) (Mounts, error) {
	if len(text) > maxMountinfo {
		return nil, fmt.Errorf("mountinfo of %d bytes exceeds %d", len(text), maxMountinfo)
	}
	var mounts Mounts
	number := 0
	for line := range strings.Lines(text) {
		number++
		m, ok := parseMount(line)
		if !ok {
			return nil, fmt.Errorf("mountinfo line %d is %.80q, want the fields of proc(5)", number, line)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// parseMount reads "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw".
func parseMount(line string) (m Mount, ok bool) {
	before, after, found := strings.Cut(line, " - ")
	if !found {
		return Mount{}, false
	}
	fields, rest := strings.Fields(before), strings.Fields(after)
	// A file system without a source has it empty, and one field less.
	if len(fields) < 6 || len(rest) < 2 || !validDevice(fields[2]) {
		return Mount{}, false
	}
	m = Mount{Device: fields[2], Point: unescapeMount(fields[4]), Type: rest[0]}
	if len(rest) > 2 {
		m.Source = unescapeMount(rest[1])
	}
	return m, strings.HasPrefix(m.Point, "/")
}

func validDevice(number string) bool {
	major, minor, ok := strings.Cut(number, ":")
	_, err1 := strconv.ParseUint(major, 10, 12)
	_, err2 := strconv.ParseUint(minor, 10, 20)
	return ok && err1 == nil && err2 == nil
}

// unescapeMount undoes the kernel's \040 for space, tab, newline, backslash, #.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// Of is the mount that a path lies on: the longest that holds it, and of
// several on one point the last.
func (mounts Mounts) Of(path string) (Mount, bool) {
	best, found := Mount{}, false
	for _, m := range mounts {
		if within(path, m.Point) && len(m.Point) >= len(best.Point) {
			best, found = m, true
		}
	}
	return best, found
}

func within(path, point string) bool {
	rest, ok := strings.CutPrefix(path, point)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(point, "/"))
}

// Remote says whether the path lies on a file system that another machine or
// process serves: asking it for anything may block for good.
func (mounts Mounts) Remote(path string) bool {
	m, ok := mounts.Of(path)
	return ok && (fileSystems[m.Type].network || strings.HasPrefix(m.Type, "fuse"))
}

// maxLinks is the kernel's own limit on symbolic links in a path.
const maxLinks = 40

// Resolve follows a path's symbolic links as far as no file system of another
// machine needs to be asked; readlink fails for what is not a link.
func (mounts Mounts) Resolve(path string, readlink func(string) (string, error)) string {
	done, left := "/", strings.Split(strings.Trim(path, "/"), "/")
	for links := 0; len(left) > 0; {
		name := left[0]
		left = left[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = parentDir(done)
			continue
		}
		next := strings.TrimSuffix(done, "/") + "/" + name
		if mounts.Remote(next) {
			return strings.Join(append([]string{next}, left...), "/")
		}
		target, err := readlink(next)
		if err != nil || links == maxLinks {
			done = next
			continue
		}
		links++
		if strings.HasPrefix(target, "/") {
			done = "/"
		}
		left = append(strings.Split(strings.Trim(target, "/"), "/"), left...)
	}
	return done
}

func parentDir(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
