package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lockMemory keeps the pages that this daemon has touched, and those that it
// will touch, from being swapped out: on a host that is short of memory it must
// not wait for a disk, least of all for one that is busy swapping. Where a finite
// limit on locked memory holds nothing is locked, for what is mapped beyond it
// would fail, and that is the end of a process.
func lockMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("the limit on locked memory: %w", err)
	}
	if limit.Cur != unix.RLIM_INFINITY && !unlimited() {
		return fmt.Errorf("at most %d KiB may be locked; set LimitMEMLOCK=infinity as deploy/systemd/evenkeeld.service does", limit.Cur/1024)
	}
	// Pages that are mapped and never touched take no memory: on fault.
	return unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}

// unlimited says whether no limit on locked memory holds for this process.
func unlimited() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of which the second is for capabilities from 32 on
	return unix.Capget(&head, &sets[0]) == nil && sets[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0
}
