package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestDrain empties a host by hand, brings its VMs back, and moves one, all in
// mode off: an operator's word counts in every mode. No VM goes to the drained
// host, and no guest misses a beat.
func TestDrain(t *testing.T) {
	guest := func(name, on string) lab.Guest {
		return lab.Guest{Name: name, On: on, VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB), Load: "cpu:20"}
	}
	d := fleet(t, lab.Scenario{
		Description: "two guests on hv1, one on hv2, nobody in need",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 4)}},
		Witness:     true,
		Mode:        "off",
		Policy:      map[string]string{"warm_up": "2s", "settle": "5s", "allow_unlocked": "true"},
		Guests:      []lab.Guest{guest("db", "hv1"), guest("web", "hv1"), guest("batch", "hv2")},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	evenkeel := func(host string, args ...string) string {
		t.Helper()
		out, err := d.Lab.Exec(ctx, host, append([]string{"evenkeel"}, args...)...)
		t.Logf("%s$ evenkeel %s\n%s", host, strings.Join(args, " "), out)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	at := func(where map[string]string) {
		t.Helper()
		for name, host := range where {
			if on := d.Lab.GuestHosts(name); !slices.Equal(on, []string{host}) {
				t.Errorf("%s runs on %v, want %s", name, on, host)
			}
		}
	}
	from, pulse := time.Now(), d.Listen()
	if err := drill.Until(ctx, "all guests to be measured", func() (bool, error) {
		vms, err := d.VMs(ctx)
		measured := 0
		for _, vm := range vms {
			if vm.StealRatio != nil {
				measured++
			}
		}
		return measured == 3, err
	}); err != nil {
		t.Fatal(err)
	}

	evenkeel("hv2", "drain", "hv1", "--yes", "--reason", "new board")
	at(map[string]string{"db": "hv2", "web": "hv2", "batch": "hv2"})
	if _, err := d.Lab.Exec(ctx, "hv1", "evenkeel", "migrate", "batch", "hv1", "--yes"); err == nil || !strings.Contains(err.Error(), "CORDONED") {
		t.Errorf("a VM may go to a drained host: %v", err)
	}
	evenkeel("hv1", "undrain", "hv1", "--restore", "--yes")
	if err := drill.Until(ctx, "what was drained to come back", func() (bool, error) {
		moves, err := d.Moves(ctx)
		return slices.Equal(d.Lab.GuestHosts("db"), []string{"hv1"}) && slices.Equal(d.Lab.GuestHosts("web"), []string{"hv1"}) && settled(moves), err
	}); err != nil {
		t.Fatal(err)
	}
	held(ctx, t, d)
	hooks := func(t *testing.T, name, script string) {
		t.Helper()
		path := "/etc/evenkeel/hooks/" + name
		if _, err := d.Lab.Exec(ctx, "hv1", "sh", "-c", "mkdir -p /etc/evenkeel/hooks && printf '#!/bin/sh\n%s\n' '"+script+"' > "+path+" && chmod 755 "+path); err != nil {
			t.Fatal(err)
		}
	}
	// The hosts' next inventories say that the last move's job is over.
	if err := drill.Until(ctx, "web to be free to move", func() (bool, error) {
		_, err := d.Lab.Exec(ctx, "witness", "evenkeel", "migrate", "web", "--best", "--dry-run")
		return err == nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	hooks(t, "pre-move", "echo the backup of $EVENKEEL_VM runs; exit 1")
	if _, err := d.Lab.Exec(ctx, "witness", "evenkeel", "migrate", "web", "--best", "--yes"); err == nil || !strings.Contains(err.Error(), "HOOK_VETO") || !strings.Contains(err.Error(), "the backup of web runs") {
		t.Errorf("the source's hook has no veto: %v", err)
	}
	hooks(t, "pre-move", "exit 0")
	hooks(t, "post-move", "echo $EVENKEEL_VM $EVENKEEL_SOURCE $EVENKEEL_TARGET $EVENKEEL_OUTCOME > /etc/evenkeel/told")
	evenkeel("witness", "migrate", "web", "--best", "--yes", "--reason", "because I can")
	at(map[string]string{"db": "hv1", "web": "hv2", "batch": "hv2"})
	if err := drill.Until(ctx, "the source's hook to be told", func() (bool, error) {
		out, err := d.Lab.Exec(ctx, "hv1", "cat", "/etc/evenkeel/told")
		return strings.TrimSpace(out) == "web hv1 hv2 left", err
	}); err != nil {
		t.Error(err)
	}
	evenkeel("hv1", "history")
	heartbeats(t, d, pulse, from)
}

// held puts a file on hv2 that keeps it out of everything, and takes it away.
func held(ctx context.Context, t *testing.T, d *drill.Drill) {
	t.Helper()
	do := func(command string) {
		t.Helper()
		if _, err := d.Lab.Exec(ctx, "hv2", "sh", "-c", command); err != nil {
			t.Fatal(err)
		}
	}
	said := func(want bool) {
		t.Helper()
		if err := drill.Until(ctx, "the hold to be known everywhere", func() (bool, error) {
			out, err := d.Lab.Exec(ctx, "witness", "evenkeel", "hosts")
			return strings.Contains(out, "held by its own word: ann looks at its disks") == want, err
		}); err != nil {
			t.Fatal(err)
		}
	}
	do("echo 'ann looks at its disks' > /etc/evenkeel/hold")
	said(true)
	for vm, host := range map[string]string{"web": "hv2", "batch": "hv1"} {
		// A VM that came a moment ago is refused for that, until its host's next
		// inventory says that the job is over.
		if err := drill.Until(ctx, vm+" to be refused for the hold", func() (bool, error) {
			_, err := d.Lab.Exec(ctx, "hv1", "evenkeel", "migrate", vm, host, "--yes")
			if err == nil {
				t.Errorf("%s may go to %s", vm, host)
				return true, nil
			}
			return strings.Contains(err.Error(), "HELD: "), err
		}); err != nil {
			t.Error(err)
		}
	}
	do("rm /etc/evenkeel/hold")
	said(false)
}
