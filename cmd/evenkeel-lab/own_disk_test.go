package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/heartbeat"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestOwnDisk moves a guest to and fro whose disk only its host has, and which
// writes a chain to it all the time: by the relay, live, the chain unbroken.
// Each host has the disk as long as the guest is there, and no longer; a move
// that is aborted on its way leaves nothing at its target.
func TestOwnDisk(t *testing.T) {
	d := fleet(t, lab.Scenario{
		Description: "a guest with a disk of its host's own",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 4)}},
		Witness:     true,
		Mode:        "off",
		Policy:      map[string]string{"warm_up": "2s", "settle": "5s", "arrive_paused": "true"},
		Guests: []lab.Guest{{
			Name: "writer", On: "hv1", VCPUs: 1, Memory: lab.Bytes(128 * cluster.MiB), Load: "cpu:20",
			Disk: &lab.Disk{Own: true, Size: lab.Bytes(64 << 20), Load: "chain:4096x20@1s"},
		}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	o := ownDisk{office{preflight{t: t, ctx: ctx, d: d, said: map[string]string{}}}}

	// Without the policy it stays; with it, until the other host has a place for
	// the disk.
	o.stands("STORAGE_NOT_SHARED")
	o.say("policy", "set", "copy_storage=move")
	o.stands("NO_STORAGE_POOL")
	for _, host := range []string{"hv1", "hv2"} {
		for _, step := range []string{"pool-define-as own dir --target " + lab.ImageDir, "pool-build own", "pool-start own", "pool-autostart own"} {
			o.virsh(host, strings.Fields(step)...)
		}
	}

	before := o.chain()
	o.migrate("writer", "hv2")
	o.diskAt("hv2")
	o.goesOn(before)

	// Aborted on its way back: slow enough for that to be seen, whatever else
	// this machine does.
	o.say("policy", "set", "bandwidth=1MiB")
	o.ready("writer", "hv1")
	o.say("migrate", "writer", "hv1", "--yes", "--no-wait", "--reason", "to be aborted")
	id := ""
	o.until("a part of the disk to be copied", func() bool {
		moves, err := d.Moves(ctx)
		if err != nil || len(moves) == 0 || moves[0].State != cluster.MoveRunning {
			return false
		}
		id = moves[0].ID
		return moves[0].Progress.ProcessedBytes > 0 && moves[0].Progress.TotalBytes >= 64<<20
	})
	o.say("migrations", "cancel", id, "--yes", "--reason", "enough is seen")
	o.until("the move to be aborted", func() bool {
		moves, err := d.Moves(ctx)
		return err == nil && len(moves) > 0 && moves[0].ID == id && moves[0].State == cluster.MoveAborted
	})
	before = o.chain()
	o.diskAt("hv2")
	o.goesOn(before)

	o.say("policy", "set", "bandwidth=0")
	o.migrate("writer", "hv1")
	o.diskAt("hv1")
	o.goesOn(before)
	beats, err := d.Lab.Heartbeats("writer")
	r := heartbeat.Judge(beats)
	if err != nil || r.Boots != 1 || r.Missing != 0 || r.Disordered != 0 || r.Beats < 2 {
		t.Errorf("the guest's heartbeats: %+v, %v", r, err)
	}
	t.Logf("%d heartbeats, %d records on the disk", r.Beats, o.chain())
	noPassages(t, d)
}

type ownDisk struct{ office }

// stands waits until evenkeel says why the guest cannot go to hv2.
func (o ownDisk) stands(code string) {
	o.t.Helper()
	o.until("evenkeel to name "+code, func() bool {
		out, _ := o.ask("witness", "doctor", "--vm", "writer")
		return strings.Contains(out, code)
	})
	if _, err := o.ask("witness", "migrate", "writer", "hv2", "--yes"); err == nil {
		o.t.Errorf("it moves in spite of %s", code)
	}
}

// chain is how many records the guest's disk has.
func (o ownDisk) chain() uint64 {
	o.t.Helper()
	last, err := o.d.Lab.DiskChain("writer")
	if err != nil {
		o.t.Fatal(err)
	}
	return last.N
}

// goesOn waits until the guest has written more to its disk, whose chain is
// whole from its first record on.
func (o ownDisk) goesOn(than uint64) {
	o.t.Helper()
	o.until("the guest to write on", func() bool { return o.chain() > than })
}

// diskAt waits until one host has the disk, and the other has not.
func (o ownDisk) diskAt(host string) {
	o.t.Helper()
	if on := o.d.Lab.GuestHosts("writer"); !slices.Equal(on, []string{host}) {
		o.t.Errorf("the guest runs on %v, want %s", on, host)
	}
	o.until("its disk to be on "+host+" alone", func() bool {
		for _, h := range []string{"hv1", "hv2"} {
			path, err := o.d.Lab.HostPath(h, filepath.Join(lab.ImageDir, "writer.raw"))
			if err != nil {
				o.t.Fatal(err)
			}
			_, err = os.Stat(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				o.t.Fatal(err)
			}
			if (err == nil) != (h == host) {
				return false
			}
		}
		return true
	})
}
