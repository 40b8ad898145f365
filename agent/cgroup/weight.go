package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// UsualWeight is what a group has to which nobody gave any.
const UsualWeight = 100

// Bounds of weights, and what v1 calls usual.
const (
	maxWeight     = 10_000
	maxSharesV1   = 1 << 18
	usualSharesV1 = 1024
)

// weight reads how much of a full CPU a group gets among those beside it: v2's
// cpu.weight as it is, v1's cpu.shares on its scale. A group without the
// controller has none.
func (r Reader) weight(g procfs.Group) (int64, error) {
	file, parse := "/cpu.weight", parseWeight
	if !g.V2 {
		file, parse = "/cpu.shares", parseShares
	}
	weight, err := read(r, g.Dir()+file, parse)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return weight, err
}

// parseWeight reads v2's "100". 0 is a group that runs when nobody else wants to
// (cpu.idle): the least there is.
func parseWeight(text string) (int64, error) { return count(text, maxWeight) }

// parseShares reads v1's "1024".
//
// libvirt's <shares>2048</shares> on v1 is twice the usual: 200. The largest,
// 262144, is beyond v2's scale and becomes its end.
func parseShares(text string) (int64, error) {
	shares, err := count(text, maxSharesV1)
	if err != nil {
		return 0, err
	}
	return max(1, min((shares*UsualWeight+usualSharesV1/2)/usualSharesV1, maxWeight)), nil
}

func count(text string, most int64) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%q, want a weight of at most %d", clip(text), most)
	}
	return max(n, 1), nil
}
