package api

import (
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// bySocket introduces a caller on the unix socket, with the role that its user
// and its groups are granted. The kernel says who opened the connection.
func bySocket(conn net.Conn, grants roles.Grants, host string) introduction {
	cred, groups, err := peerCredentials(conn)
	if err != nil {
		return introduction{err: fmt.Errorf("unix socket: %w", err)}
	}
	uid := strconv.FormatUint(uint64(cred.Uid), 10)
	name, known := "uid "+uid, ""
	if u, err := user.LookupId(uid); err == nil && u.Username != "" {
		name, known = u.Username, u.Username
	}
	who := roles.Process{UID: cred.Uid, User: known, Groups: groups}
	role := grants.Of(who, groupID)
	if role == "" {
		return introduction{err: fmt.Errorf("%s has no role on this host; `roles` in its agent.yaml grants them", name)}
	}
	return introduction{caller: caller{
		kind: cluster.KindOperator, role: role,
		actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid:" + uid, Name: clip(name+"@"+host, maxActor)},
	}}
}

// peerCredentials are those of the process that connected, at the time when it
// did: unlike /proc/PID/status they cannot become those of another process.
func peerCredentials(conn net.Conn) (cred *unix.Ucred, groups []uint32, err error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of type %T has no credentials", conn)
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	var failure error
	err = raw.Control(func(fd uintptr) {
		if cred, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); failure == nil {
			groups, failure = peerGroups(fd)
		}
	})
	if err = errors.Join(err, failure); err != nil {
		return nil, nil, err
	}
	return cred, append(groups, cred.Gid), nil
}

// maxGroups is how many supplementary groups a process can have (NGROUPS_MAX).
const maxGroups = 65536

// peerGroups asks for SO_PEERGROUPS, which x/sys/unix has no function for. The
// kernel answers ERANGE with the length that it needs.
func peerGroups(fd uintptr) ([]uint32, error) {
	for n := 64; ; {
		groups := make([]uint32, n)
		length := uint32(4 * n)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&length)), 0)
		switch need := int(length / 4); {
		case errno == 0:
			return groups[:min(need, n)], nil
		case errno != unix.ERANGE || need <= n || need > maxGroups:
			return nil, fmt.Errorf("groups of the process that connected: %w", errno)
		default:
			n = need
		}
	}
}

// groupID finds a group's number.
func groupID(name string) (uint32, bool) {
	group, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(group.Gid, 10, 32)
	return uint32(id), err == nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return string([]rune(s)[:n/4])
}
