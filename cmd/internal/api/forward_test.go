package api_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestEveryMemberTakesEveryRequest(t *testing.T) {
	s := site(t, apitest.Moved)
	for _, member := range []string{"hv1", "hv2", "w1"} {
		c := bySocket(t, s, member)
		status := must(c.Status(patience(t)))(t)
		if status.Stale != nil || status.Leader == nil || status.Leader.Name != "hv2" || status.Member != "hv2" {
			t.Errorf("%s: stale %v, leader %v, answered by %s; want the leader's own answer", member, status.Stale, status.Leader, status.Member)
		}
		change := must(c.SetMode(patience(t), api.ModeRequest{Mode: cluster.ModeOff}))(t)
		if !change.Done || change.Mode.Mode != cluster.ModeOff || !strings.Contains(change.Mode.By, "@"+member) {
			t.Errorf("%s: %+v", member, change.Mode)
		}
	}
}

// Two members that take each other for the leader must not play ball: a
// forwarded request is not forwarded again.
func TestForwardingEndsAfterOneHop(t *testing.T) {
	s := site(t, apitest.Moved)
	s.Group.Confuse(map[string]string{apitest.HV1: apitest.HV2, apitest.HV2: apitest.HV1, apitest.W1: apitest.HV1})
	status := must(bySocket(t, s, "hv1").Status(patience(t)))(t)
	if status.Stale == nil || !strings.Contains(status.Stale.Why, "does not lead") {
		t.Errorf("stale %+v, want a local answer that says why", status.Stale)
	}
	_, err := bySocket(t, s, "hv1").SetMode(patience(t), api.ModeRequest{Mode: cluster.ModeOff})
	_, text := wantCause(t, err, api.CauseUnreachable)
	if !strings.Contains(text, "nothing was changed") {
		t.Errorf("error %q does not say that nothing was changed", text)
	}
}

// A change that finds no leader is carried out once there is one.
func TestChangeWaitsForALeader(t *testing.T) {
	limits := apitest.Patient()
	limits.Act = time.Minute
	s := siteWithin(t, apitest.Moved, limits)
	s.Group.Lead("")
	var wg sync.WaitGroup
	defer wg.Wait()
	asked := s.Group.Asked()
	wg.Go(func() {
		<-asked // the request has met the absence of a leader
		s.Group.Lead(apitest.W1)
	})
	change, err := bySocket(t, s, "hv1").Pause(patience(t), api.PauseRequest{ForSeconds: 60})
	if err != nil || !change.Done {
		t.Errorf("change %+v, error %v", change, err)
	}
}

// The outcome of the first attempt is not known, though it was applied. The
// second attempt must not do it again.
func TestUnknownOutcomeIsTriedUnderTheSameID(t *testing.T) {
	limits := apitest.Patient()
	limits.Act = time.Minute
	s := siteWithin(t, apitest.Moved, limits)
	s.Group.Doubt(1)
	if _, err := bySocket(t, s, "hv1").Pause(patience(t), api.PauseRequest{ForSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	if ids := s.Group.Proposals(); len(ids) != 2 || ids[0] != ids[1] || ids[0] == "" {
		t.Errorf("proposed under %q, want twice under one id", ids)
	}
	if state, _ := s.Group.Replica(apitest.HV2).State(); state.Paused.Until == 0 {
		t.Error("not paused")
	}
}

// A move is ordered in the term in which it was planned. When a new term begins
// meanwhile it is planned anew, and ordered once.
func TestMoveThatCrossesAChangeOfLeader(t *testing.T) {
	limits := apitest.Patient()
	limits.Act = time.Minute
	s := siteWithin(t, apitest.Suffering, limits)
	s.Group.Turn(2)
	before, _ := s.Group.Replica(apitest.HV2).State()
	change, err := bySocket(t, s, "hv1").Migrate(patience(t), api.MigrateRequest{VM: "db-01"})
	if err != nil || !change.Done || change.Move == nil {
		t.Fatalf("change %+v, error %v", change, err)
	}
	if ids := s.Group.Proposals(); len(ids) != 3 || ids[0] != ids[2] {
		t.Errorf("proposed under %q, want three times under one id", ids)
	}
	if after, _ := s.Group.Replica(apitest.HV2).State(); after.LastMove != before.LastMove+1 {
		t.Errorf("%d moves were ordered", after.LastMove-before.LastMove)
	}
}

func TestUnknownOutcomeIsSaid(t *testing.T) {
	s := site(t, apitest.Moved)
	s.Group.Doubt(1000)
	_, err := bySocket(t, s, "hv2").Pause(patience(t), api.PauseRequest{ForSeconds: 60})
	_, text := wantCause(t, err, api.CauseUnknown)
	if !strings.Contains(text, "the outcome is unknown") {
		t.Errorf("error %q", text)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	s := site(t, apitest.Suffering)
	_, before := s.Group.Replica(apitest.HV2).State()
	c := bySocket(t, s, "hv1")
	change := must(c.Pause(patience(t), api.PauseRequest{Act: api.Act{DryRun: true}, ForSeconds: 60}))(t)
	if change.Done || change.Mode.Paused == nil {
		t.Errorf("done %v, paused %v; want what would be, and not done", change.Done, change.Mode.Paused)
	}
	_, err := c.SetSettings(patience(t), api.SettingsRequest{Act: api.Act{DryRun: true}, Set: map[string]string{"exit": "90%"}})
	if code, _ := wantCause(t, err, api.CauseBlocked); code != cluster.CodeAbsurdFigure {
		t.Errorf("code %s, want the State's own refusal", code)
	}
	if _, after := s.Group.Replica(apitest.HV2).State(); after != before {
		t.Errorf("index %d -> %d", before, after)
	}
}

// A refusal comes through a forwarding member with its code.
func TestRefusalKeepsItsCode(t *testing.T) {
	s := site(t, apitest.Running)
	_, err := bySocket(t, s, "w1").Resolve(patience(t), api.ResolveRequest{Move: "m-1", RunningOn: "hv2"})
	if code, _ := wantCause(t, err, api.CauseBlocked); code != cluster.CodeWrongState {
		t.Errorf("code %q, want %s: %v", code, cluster.CodeWrongState, err)
	}
}

func TestCountersOfAllHosts(t *testing.T) {
	s := site(t, apitest.Moved)
	list := must(bySocket(t, s, "w1").VMs(patience(t)))(t)
	if len(list.Items) != 4 || len(list.Messages) != 0 {
		t.Fatalf("%d VMs, messages %v", len(list.Items), list.Messages)
	}
	hosts := map[string]int{}
	for _, vm := range list.Items {
		hosts[vm.Host]++
		if vm.VCPURunNSTotal == nil || vm.VCPUWaitNSTotal == nil || len(vm.VCPUThreads) != 1 || vm.Epoch.IsZero() {
			t.Errorf("%s on %s: not counted: %+v", vm.Name, vm.Host, vm)
		}
	}
	if hosts["hv1"] != 3 || hosts["hv2"] != 1 {
		t.Errorf("VMs by host %v", hosts)
	}
}

// A host that does not answer leaves nulls and a message; the others' figures
// are there all the same.
func TestSilentHostLeavesNulls(t *testing.T) {
	s := site(t, func(addresses map[string]string) *apitest.Fleet {
		delete(addresses, apitest.HV1)
		return apitest.Moved(addresses)
	})
	list := must(bySocket(t, s, "hv2").VMs(patience(t)))(t)
	if len(list.Messages) != 1 || !strings.Contains(list.Messages[0], "hv1: no live counters") {
		t.Errorf("messages %v", list.Messages)
	}
	for _, vm := range list.Items {
		counted := vm.VCPUWaitNSTotal != nil
		if counted != (vm.Host == "hv2") || !counted && vm.Message == "" || vm.StealRatio == nil {
			t.Errorf("%s on %s: counted %v, message %q, steal %v", vm.Name, vm.Host, counted, vm.Message, vm.StealRatio)
		}
	}
}

func TestAgentsGiveNoOrders(t *testing.T) {
	s := site(t, apitest.Moved)
	c := byCert(t, s, apitest.HV2, "hv1")
	if _, err := c.Hosts(patience(t)); err != nil {
		t.Errorf("a host may read: %v", err)
	}
	_, err := c.SetMode(patience(t), api.ModeRequest{Mode: cluster.ModeOff})
	wantCause(t, err, api.CauseForbidden)
}

func TestQuorumCountsWhoAnswers(t *testing.T) {
	s := site(t, func(addresses map[string]string) *apitest.Fleet {
		delete(addresses, apitest.W1)
		return apitest.Moved(addresses)
	})
	status := must(bySocket(t, s, "hv2").Status(patience(t)))(t)
	if q := status.Quorum; q != (api.Quorum{Voters: 3, Answering: 2, Needed: 2, Spare: 0}) {
		t.Errorf("quorum %+v", q)
	}
}

// A figure is believed only from the host that it is about: at hv1's address
// answers hv2 here.
func TestCountersOfAnotherHostAreNotBelieved(t *testing.T) {
	s := site(t, func(addresses map[string]string) *apitest.Fleet {
		addresses[apitest.HV1] = addresses[apitest.HV2]
		return apitest.Moved(addresses)
	})
	list := must(bySocket(t, s, "hv2").VMs(patience(t)))(t)
	if len(list.Messages) != 1 || !strings.Contains(list.Messages[0], "answers member "+apitest.HV2) {
		t.Errorf("messages %v", list.Messages)
	}
	peers := must(bySocket(t, s, "hv2").Peers(patience(t)))(t)
	if p := peers.Items[0]; p.Name != "hv1" || p.Answers || !strings.Contains(p.Message, "answers member "+apitest.HV2) {
		t.Errorf("peer %+v", p)
	}
}
