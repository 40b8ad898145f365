package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// slowLink is the leader's link in TestRaftBesideFullMigration: a migration
// fills it, and a fifth of a second of its bytes wait before what comes next.
var slowLink = []string{"tbf", "rate", "100mbit", "burst", "64kb", "latency", "200ms"}

// contactBound is how long a voter may go without a word of the leader: one that
// hears nothing calls an election within one to three seconds.
const contactBound = 2 * time.Second

// TestRaftBesideFullMigration lets a migration take all of the link over which
// the leader speaks: a VM that changes its memory faster than the link carries it,
// with no bound but the move's budget. Heartbeats come through: nobody else is
// elected, and no voter is without a word for long.
func TestRaftBesideFullMigration(t *testing.T) {
	o := onFleet(t, map[string]string{"bandwidth": "1GiB", "move_budget": "15s"})
	o.guest("hog", "cpu:10+dirty:64", nil)
	o.must(o.d.Lead(o.ctx, "hv1"))
	o.ready("hv2")
	before, err := o.d.Status(o.ctx)
	o.must(err)
	o.exec("hv1", append([]string{"tc", "qdisc", "add", "dev", "eth0", "root"}, slowLink...)...)
	defer o.exec("hv1", "tc", "qdisc", "del", "dev", "eth0", "root")
	o.move()
	o.copying()
	worst, looks := time.Duration(0), 0
	o.must(drill.Until(o.ctx, "the migration to end", func() (bool, error) {
		m := o.newest()
		for _, p := range o.peers() {
			worst = max(worst, time.Duration(p.ContactSeconds*float64(time.Second)))
		}
		looks++
		return !m.State.Live(), errors.New(words([]api.Move{m}))
	}))
	if held := o.heldBack(); held == 0 {
		t.Error("the migration has not filled the link: nothing was held back")
	}
	after, err := o.d.Status(o.ctx)
	o.must(err)
	if after.Term != before.Term || after.Leader == nil || before.Leader == nil || after.Leader.Name != before.Leader.Name {
		t.Errorf("led by %+v in term %d, then by %+v in term %d", before.Leader, before.Term, after.Leader, after.Term)
	}
	if worst > contactBound {
		t.Errorf("a voter was without a word of the leader for %v", worst)
	}
	t.Logf("in %d looks no voter was without a word of the leader for more than %v", looks, worst)
	if m := o.newest(); m.State != cluster.MoveAborted {
		t.Errorf("the move ended %s: it was to last for its budget", m.State)
	}
	o.on("hv1")
	o.unbroken(demoGap)
}

// peers asks each member what it knows.
func (o *ordeal) peers() []api.Peer {
	o.t.Helper()
	out, err := o.evenkeel("cluster", "peers", "--json")
	o.must(err)
	var list api.PeerList
	o.must(json.Unmarshal([]byte(out), &list))
	for _, p := range list.Items {
		if p.Message != "" {
			o.t.Errorf("%s: %s", p.Name, p.Message)
		}
	}
	return list.Items
}

// heldBack counts the packets that the leader's slow link could not take at once.
func (o *ordeal) heldBack() (n int) {
	o.t.Helper()
	out, err := o.d.Lab.Exec(o.ctx, "hv1", "tc", "-s", "qdisc", "show", "dev", "eth0")
	o.must(err)
	i := strings.Index(out, "overlimits ")
	if i < 0 {
		o.t.Fatalf("tc says %s", out)
	}
	_, err = fmt.Sscanf(out[i:], "overlimits %d", &n)
	o.must(err)
	return n
}
