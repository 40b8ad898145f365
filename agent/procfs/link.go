package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
)

const maxLinkMbit = 100_000_000 // 100 Tbit/s: more is nonsense

// LinkMbit is the speed that a network device has negotiated, in Mbit/s; 0: the
// kernel does not say. A bond tells the sum of its ports, a bridge the fastest
// port's, a VLAN its device's; a virtual machine's own card mostly tells nothing.
func (r Reader) LinkMbit(device string) (int64, error) {
	path := "sys/class/net/" + device + "/speed"
	if device == "" || strings.ContainsAny(device, "/\x00") || !fs.ValidPath(path) {
		return 0, fmt.Errorf("%q is no network device", clip(device))
	}
	text, err := r.read(path, 64)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, fs.ErrNotExist) {
		return 0, nil // it is down, has no speed, or is in another network
	}
	if err != nil {
		return 0, err
	}
	mbit, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	switch {
	case err != nil || mbit < -1 || mbit > maxLinkMbit && mbit != 1<<32-1:
		return 0, malformed(path, fmt.Sprintf("speed %q", clip(text)))
	case mbit == -1 || mbit == 1<<32-1: // SPEED_UNKNOWN, of older kernels without its sign
		return 0, nil
	}
	return mbit, nil
}
