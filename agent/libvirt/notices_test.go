package libvirt

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestNoticesOnce(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var n notices
	for _, reason := range []string{"a", "a", "b", "b"} {
		n.warn(log, vmOne, "odd", errors.New(reason))
	}
	n.warn(log, vmTwo, "odd", errors.New("b"))
	n.keep(map[string]bool{vmTwo: true})
	n.warn(log, vmOne, "odd", errors.New("b")) // it was gone in between
	n.warn(log, vmTwo, "odd", errors.New("b"))
	if got := strings.Count(out.String(), "\n"); got != 4 {
		t.Errorf("%d lines, want 4:\n%s", got, out.String())
	}
}
