package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestOperatorsHand starves two guests on a CPU of hv1 while hv2 has nothing to
// do, in mode auto, and has every way to keep evenkeel's hands off them stand
// in for one another: a VM's own mode, pauses, selectors, quiet hours. With
// the last one lifted evenkeel moves one of the guests. Then virsh empties hv2,
// which is noticed, and no guest misses a beat.
func TestOperatorsHand(t *testing.T) {
	guest := func(name string) lab.Guest {
		return lab.Guest{Name: name, On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB), Load: "cpu:100"}
	}
	d := fleet(t, lab.Scenario{
		Description: "two guests on hv1, who want it for themselves",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", CPUs: "0", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", CPUs: "1", Memory: lab.Bytes(cluster.GiB * 4)}},
		Witness:     true,
		Mode:        "recommend",
		Policy:      map[string]string{"profile": "fast", "warm_up": "2s", "settle": "5s", "cooldown": "1s", "allow_unlocked": "true"},
		Guests:      []lab.Guest{guest("db"), guest("web")},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	evenkeel := func(args ...string) string {
		t.Helper()
		out, err := d.Lab.Exec(ctx, "witness", append([]string{"evenkeel"}, args...)...)
		t.Logf("$ evenkeel %s\n%s", strings.Join(args, " "), out)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	says := func(what, want string, args ...string) {
		t.Helper()
		if err := drill.Until(ctx, what, func() (bool, error) {
			out, err := d.Lab.Exec(ctx, "witness", append([]string{"evenkeel"}, args...)...)
			return strings.Contains(out, want), err
		}); err != nil {
			t.Fatal(err)
		}
	}
	from, pulse := time.Now(), d.Listen()

	evenkeel("vms", "set", "db", "--mode", "off", "--reason", "month-end")
	evenkeel("vms", "set", "web", "--mode", "recommend")
	evenkeel("mode", "auto")
	says("a move of web to be recommended", "(VM_MODE)", "status")
	evenkeel("pause", "--for", "1h", "--host", "hv2")
	evenkeel("vms", "set", "db", "--mode", "default")
	evenkeel("vms", "set", "web", "--mode", "default")
	says("the pause of hv2 to hold", "PAUSED", "status")
	evenkeel("mode", "auto", "--vms", "batch-*")
	evenkeel("resume", "--host", "hv2")
	says("the selectors to hold", "(NOT_SELECTED)", "status")
	evenkeel("policy", "quiet", "daily 00:00-24:00 UTC", "--reason", "inventory")
	evenkeel("mode", "auto")
	says("quiet hours to hold", "(QUIET_HOURS)", "status")
	if moves, err := d.Moves(ctx); err != nil || len(moves) != 0 {
		t.Fatalf("evenkeel moved what it must not: %+v, %v", moves, err)
	}

	evenkeel("policy", "quiet", "--none")
	if err := drill.Until(ctx, "one guest to leave", func() (bool, error) {
		moves, err := d.Moves(ctx)
		return len(moves) == 1 && settled(moves), err
	}); err != nil {
		t.Fatal(err)
	}
	evenkeel("mode", "recommend")
	evenkeel("history")
	other := "db"
	if len(d.Lab.GuestHosts("db")) == 1 && d.Lab.GuestHosts("db")[0] == "hv2" {
		other = "web"
	}
	hv2, err := d.Lab.Host("hv2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lab.Exec(ctx, "hv1", "virsh", "migrate", "--live", "--p2p", other, "qemu+tcp://"+hv2.Address+"/system", "tcp://"+hv2.Address); err != nil {
		t.Fatal(err)
	}
	says("virsh's move to be noticed", "by other hands than evenkeel's, the last of "+other+" from hv1 to hv2", "status", "--json") // the table shows three warnings
	evenkeel("events", "--since", "10m")
	heartbeats(t, d, pulse, from)
}
