package rpc_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A member gets another certificate for whom it is, whatever it asks, from the
// first member with the CA's key: here from the voter that another one names.
func TestRenew(t *testing.T) {
	fleet := newSite(t, 3, "", "secret key")
	leaderOf(t, fleet)
	for _, kind := range []cluster.Kind{cluster.KindAgent, cluster.KindWitness} {
		b := fleet[0].badge.ca.issue(t, kind, "hv 7")
		client := rpc.NewClient(b.id, b.config)
		defer client.Close()
		got, err := client.Renew(within(t), csrOf(t, newKey(t)), []string{"10.0.0.7", "hv7"}, []string{fleet[0].addr})
		if want := fmt.Sprintf("%s hv 7 [10.0.0.7 hv7]", b.id.URI()); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", kind, got, err, want)
		}
	}
}

// Nobody gets a certificate that is not its own, and a cluster whose CA is
// kept elsewhere says where to go.
func TestRenewRefuses(t *testing.T) {
	fleet := newSite(t, 1)
	leaderOf(t, fleet)
	d := fleet[0]
	client := rpc.NewClient(d.badge.id, d.badge.config)
	defer client.Close()
	csr := csrOf(t, newKey(t))
	for what, addrs := range map[string][]string{"no CA key": {d.addr}, "nobody there": {freePort(t)}, "no address": nil} {
		if _, err := client.Renew(within(t), csr, nil, addrs); err == nil || !strings.Contains(err.Error(), "certs host --id") {
			t.Errorf("%s: %v, want the remedy", what, err)
		}
	}
	if err := d.keys.Adopt([]byte("secret key")); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		kind   cluster.Kind
		body   string
		status int
		word   string
	}{
		"an operator":        {cluster.KindOperator, `{"csr":"","addresses":[]}`, http.StatusForbidden, "certs operator"},
		"names whom it is":   {cluster.KindAgent, `{"csr":"","addresses":[],"member":"x"}`, http.StatusBadRequest, "member"},
		"too many addresses": {cluster.KindAgent, `{"csr":"","addresses":["a"` + strings.Repeat(`,"a"`, 40) + `]}`, http.StatusBadRequest, "41 addresses"},
	} {
		status, answer := post(t, d.badge.ca.issue(t, c.kind, "stranger"), d.addr, "/evenkeel.agent.v1/Renew", c.body)
		if status != c.status || !strings.Contains(answer, c.word) {
			t.Errorf("%s: %d %s; want %d and %q", what, status, answer, c.status, c.word)
		}
	}
}
