package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Explanation is why something was decided, or why nothing was.
type Explanation struct {
	Head
	Subject string `json:"subject"` // id or name
	About   string `json:"about"`   // decision, move, vm or host

	Decision *Decision `json:"decision"` // the one that it is about, or the newest that looked at it
	Moves    []Move    `json:"moves"`    // of the decision, or the newest of the VM or host
	VM       *VM       `json:"vm"`
	Host     *Host     `json:"host"`
	VMs      []VM      `json:"vms"` // of a host, without live counters
	// Verdicts are what the planner thinks now of moving the VM to each host.
	Verdicts []Candidate `json:"verdicts"`

	EnterRatio float64 `json:"enter_ratio"` // the threshold
}

// maxMovesShown bounds the moves of a VM or host in its explanation.
const maxMovesShown = 5

func (s *Server) explain(_ context.Context, v view, req *ExplainRequest) (*Explanation, error) {
	out := &Explanation{Head: v.head("Explanation"), Moves: []Move{}, VMs: []VM{}, Verdicts: []Candidate{}, EnterRatio: v.state.Settings.Enter.Float()}
	e := explainer{v, vmNames(v.state), out}
	subject := req.Subject
	switch {
	case subject == "":
		return nil, invalid("subject is missing: name a decision, a move, a VM, a host, or latest")
	case subject == "latest":
		return out, e.latest()
	case strings.HasPrefix(subject, "d-"):
		if d, err := findDecision(v.state, subject); err == nil {
			e.decision(d)
			return out, nil
		} else if !e.known(subject) {
			return nil, err
		}
	case strings.HasPrefix(subject, "m-"):
		if m, err := findMove(v.state, subject); err == nil {
			e.move(m)
			return out, nil
		} else if !e.known(subject) {
			return nil, err
		}
	}
	return out, e.thing(subject)
}

// explainer fills in an explanation.
type explainer struct {
	view
	vms names
	out *Explanation
}

// known says whether a name that looks like an id is a VM's or host's.
func (e explainer) known(name string) bool {
	_, isHost := e.state.MemberNamed(name)
	return isHost || len(e.vmsCalled(name)) > 0
}

func (e explainer) latest() error {
	for _, d := range e.state.DecisionsBackward() {
		e.decision(d)
		return nil
	}
	why := "the leader evaluates every second, unless the mode is off"
	if e.state.Mode == cluster.ModeOff {
		why = "the mode is off: nothing is evaluated"
	}
	return notFound("nothing has been decided yet: %s", why)
}

func (e explainer) decision(d cluster.Decision) {
	e.out.Subject, e.out.About = d.ID, "decision"
	e.tell(d)
	for _, id := range d.Moves {
		if m, ok := e.state.Move(id); ok {
			e.out.Moves = append(e.out.Moves, moveOf(e.state, m))
		}
	}
}

func (e explainer) tell(d cluster.Decision) {
	told := decisionOf(e.state, e.vms, d)
	e.out.Decision = &told
}

func (e explainer) move(m cluster.Move) {
	e.out.Subject, e.out.About = m.ID, "move"
	e.out.Moves = append(e.out.Moves, moveOf(e.state, m))
	if d, ok := e.state.Decision(m.Decision); ok {
		e.tell(d)
	}
}

// thing explains a VM or a host, by name or id.
func (e explainer) thing(name string) error {
	found := e.vmsCalled(name)
	member, err := findMember(e.state, name)
	host, isHost := e.state.Host(member.ID)
	switch {
	case len(found) > 1:
		return invalid("%d VMs are called %.80q; give a UUID, such as %s", len(found), name, found[0])
	case len(found) == 1:
		e.vm(found[0])
	case err == nil && isHost:
		e.host(host)
	case err == nil:
		return notFound("%s is a witness: it has no VMs, and nothing is decided about it", member.Name)
	default:
		return notFound("%.80q is no decision, move, VM or host; `evenkeel history --decisions`, `evenkeel vms` and `evenkeel hosts` list them", name)
	}
	return nil
}

func (e explainer) vmsCalled(name string) []string { return vmsCalled(e.state, e.vms, name) }

// vmsCalled finds VMs by name or UUID.
func vmsCalled(s cluster.State, vms names, name string) []string {
	if _, ok := s.Place(name); ok {
		return []string{name}
	}
	var out []string
	for uuid := range s.Places() {
		if vms.of(uuid) == name {
			out = append(out, uuid)
		}
	}
	return out
}

func (e explainer) vm(uuid string) {
	p, _ := e.state.Place(uuid)
	vm := vmOf(e.state, uuid, p, e.now)
	e.out.Subject, e.out.About, e.out.VM = vm.Name, "vm", &vm
	source := ""
	if len(p.Hosts) > 0 {
		source = p.Hosts[0]
		h, _ := e.state.Host(source)
		told := hostOf(e.state, h, e.now)
		e.out.Host = &told
	}
	for _, verdict := range scheduler.Explain(scheduler.Input{State: e.state, Now: e.now.Std()}, uuid) {
		e.out.Verdicts = append(e.out.Verdicts, Candidate{
			VM: vm.Name, VMUUID: uuid, Source: hostName(e.state, source), Target: hostName(e.state, verdict.Target),
			Code: verdict.Code, Text: verdict.Text, Predicted: effectOf(verdict.Predicted), Rule: verdict.Rule, Score: scoreOf(verdict.Score),
		})
	}
	e.newest(func(m cluster.Move) bool { return m.VM == uuid }, func(c cluster.Candidate) bool { return c.VM == uuid })
}

func (e explainer) host(h cluster.Host) {
	told := hostOf(e.state, h, e.now)
	e.out.Subject, e.out.About, e.out.Host = told.Name, "host", &told
	for _, vm := range h.Inventory.VMs {
		if p, ok := e.state.Place(vm.UUID); ok && !vm.Incoming {
			e.out.VMs = append(e.out.VMs, vmOf(e.state, vm.UUID, p, e.now))
		}
	}
	sortByName(e.out.VMs, func(vm VM) string { return fmt.Sprintf("%08.6f%s", 1-painOf(vm), vm.Name) })
	e.newest(func(m cluster.Move) bool { return m.Source == h.ID || m.Target == h.ID },
		func(c cluster.Candidate) bool { return c.Source == h.ID || c.Target == h.ID })
}

// painOf is what thresholds would look at.
func painOf(vm VM) float64 {
	if vm.StealRatio == nil || vm.StealRatioMax == nil {
		return 0
	}
	return min(max(*vm.StealRatio, *vm.StealRatioMax/2), 1)
}

// newest finds the newest moves, and the newest decision that looked at the
// subject; if none did, the newest there is says why nothing is looked at.
func (e explainer) newest(ofMove func(cluster.Move) bool, ofCandidate func(cluster.Candidate) bool) {
	for _, m := range e.state.MovesBackward() {
		if ofMove(m) && len(e.out.Moves) < maxMovesShown {
			e.out.Moves = append(e.out.Moves, moveOf(e.state, m))
		}
	}
	var last *cluster.Decision
	for _, d := range e.state.DecisionsBackward() {
		if last == nil {
			last = &d
		}
		for _, c := range append(d.Proposed[:len(d.Proposed):len(d.Proposed)], d.Refused...) {
			if ofCandidate(c) {
				e.tell(d)
				return
			}
		}
	}
	if last != nil {
		e.tell(*last)
	}
}

// findDecision finds a decision by its id or a unique beginning of it.
func findDecision(s cluster.State, id string) (cluster.Decision, error) {
	if d, ok := s.Decision(id); ok {
		return d, nil
	}
	var found []cluster.Decision
	for _, d := range s.DecisionsBackward() {
		if len(id) > len("d-") && strings.HasPrefix(d.ID, id) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return cluster.Decision{}, notFound("no decision %.40q; `evenkeel history --decisions` lists the last %d", id, cluster.MaxDecisions)
	case 1:
		return found[0], nil
	}
	return cluster.Decision{}, invalid("%.40q is the beginning of %d decisions, such as %s and %s", id, len(found), found[0].ID, found[1].ID)
}
