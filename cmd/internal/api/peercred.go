package api

import (
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// bySocket introduces a caller on the unix socket: root and the members of the
// group are operators. The kernel says who opened the connection.
func bySocket(conn net.Conn, group, host string) introduction {
	cred, err := peerCredentials(conn)
	if err != nil {
		return introduction{err: fmt.Errorf("unix socket: %w", err)}
	}
	uid := strconv.FormatUint(uint64(cred.Uid), 10)
	name := "uid " + uid
	if u, err := user.LookupId(uid); err == nil && u.Username != "" {
		name = u.Username
	}
	if cred.Uid != 0 && !inGroup(cred, group) {
		return introduction{err: fmt.Errorf("%s is neither root nor in the group %s", name, group)}
	}
	return introduction{caller: caller{
		kind:  cluster.KindOperator,
		actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid:" + uid, Name: clip(name+"@"+host, maxActor)},
	}}
}

func peerCredentials(conn net.Conn) (*unix.Ucred, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("a connection of type %T has no credentials", conn)
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var failure error
	err = raw.Control(func(fd uintptr) {
		cred, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = failure
	}
	return cred, err
}

// inGroup also looks at the groups that the user database names: the
// credentials hold the primary group only.
func inGroup(cred *unix.Ucred, name string) bool {
	group, err := user.LookupGroup(name)
	if err != nil {
		return false
	}
	if group.Gid == strconv.FormatUint(uint64(cred.Gid), 10) {
		return true
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(cred.Uid), 10))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	return err == nil && slices.Contains(groups, group.Gid)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return string([]rune(s)[:n/4])
}
