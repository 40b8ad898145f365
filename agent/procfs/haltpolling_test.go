package procfs

import (
	"errors"
	"testing"
)

func TestHaltPolling(t *testing.T) {
	const vm = kvmStats + "/70-12/"
	ok := map[string]string{vm + "halt_poll_success_ns": "30\n", vm + "halt_poll_fail_ns": "12\n", kvmStats + "/700-3/halt_poll_success_ns": "9\n"}
	ns, err := made(ok).HaltPolling(70)
	check(t, err, ns, 42)
	for what, r := range map[string]Reader{
		"another VM":   made(map[string]string{kvmStats + "/700-3/halt_poll_success_ns": "9\n"}),
		"no debugfs":   made(nil),
		"older kernel": made(map[string]string{vm + "exits": "1\n"}),
	} {
		if ns, err := r.HaltPolling(70); !errors.Is(err, ErrNoKVMStats) {
			t.Errorf("%s: %d, %v", what, ns, err)
		}
	}
	ok[vm+"halt_poll_fail_ns"] = "18446744073709551600\n"
	if ns, err := made(ok).HaltPolling(70); err == nil || errors.Is(err, ErrNoKVMStats) {
		t.Errorf("an overflow: %d, %v", ns, err)
	}
}
