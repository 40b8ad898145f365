package worlds

import (
	"syscall"
	"time"
)

// realTime is outside the bubble of virtual time.
func realTime() time.Time {
	var tv syscall.Timeval
	if err := syscall.Gettimeofday(&tv); err != nil {
		return time.Time{}
	}
	return time.Unix(tv.Unix())
}
