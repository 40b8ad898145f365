package rpc_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/consensus/definitions"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A host brings its VMs' definitions in as many calls as they need, then only
// those that changed, and under its certificate's name alone.
func TestDeposit(t *testing.T) {
	fleet := newSite(t, 1)
	leaderOf(t, fleet)
	d := fleet[0]
	b := d.badge.ca.issue(t, cluster.KindAgent, "hv7")
	client := rpc.NewClient(b.id, b.config)
	defer client.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	var all []definitions.Definition
	for n := range 150 { // of 10 KiB each: more than two calls hold
		noise := make([]byte, 12<<10)
		for i := range noise {
			noise[i] = byte('!' + rng.IntN(90))
		}
		def, err := definitions.Pack(fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", n), "vm", string(noise))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, def)
	}
	if sent, err := client.Deposit(within(t), d.addr, all); err != nil || sent != len(all) {
		t.Fatalf("at first %d are sent, %v", sent, err)
	}
	changed, err := definitions.Pack(all[7].VM, "vm", "<domain/>")
	if err != nil {
		t.Fatal(err)
	}
	all[7] = changed
	if sent, err := client.Deposit(within(t), d.addr, all); err != nil || sent != 1 {
		t.Errorf("after one change %d are sent, %v", sent, err)
	}
	store, err := definitions.Open(d.dir+".definitions", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	h, err := store.Host("hv7")
	if err != nil || h.ID != b.id.MemberID || len(h.VMs) != len(all) {
		t.Errorf("%d VMs of %s, %v", len(h.VMs), h.ID, err)
	}
	if text, err := store.Text(h.ID, changed.VM); err != nil || text != "<domain/>" {
		t.Errorf("%q, %v", text, err)
	}
}

// What is no host's word is refused.
func TestDepositRefuses(t *testing.T) {
	fleet := newSite(t, 1)
	leaderOf(t, fleet)
	d := fleet[0]
	for what, c := range map[string]struct {
		kind   cluster.Kind
		call   string
		body   string
		status int
		word   string
	}{
		"an operator's":   {cluster.KindOperator, "ListDefinitions", `{"vms":[]}`, http.StatusForbidden, "only hosts"},
		"an operator's 2": {cluster.KindOperator, "KeepDefinitions", `{"definitions":[]}`, http.StatusForbidden, "only hosts"},
		"another's name":  {cluster.KindAgent, "ListDefinitions", `{"vms":[],"host":"x"}`, http.StatusBadRequest, "host"},
		"no UUID":         {cluster.KindAgent, "ListDefinitions", `{"vms":[{"vm":"../x","sum":""}]}`, http.StatusBadRequest, "no UUID"},
		"never listed":    {cluster.KindAgent, "KeepDefinitions", `{"definitions":[]}`, http.StatusBadRequest, "listed no VMs"},
	} {
		status, answer := post(t, d.badge.ca.issue(t, c.kind, "stranger"), d.addr, "/evenkeel.agent.v1/"+c.call, c.body)
		if status != c.status || !strings.Contains(answer, c.word) {
			t.Errorf("%s: %d %s; want %d and %q", what, status, answer, c.status, c.word)
		}
	}
}
