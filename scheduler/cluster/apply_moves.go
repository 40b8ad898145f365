package cluster

import (
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

func (Decide) kind() string { return "decide" }

// apply records the decision and gives its orders. If one order no longer
// fits the present, nothing of the command is taken.
func (b Decide) apply(s *State, m Meta, c *Command) error {
	d := b.Decision
	if err := d.check(s); err != nil {
		return err
	}
	if c.Actor.Kind == KindOperator && !b.byOperator() {
		return refuse(CodeNotYours, "only a leader decides for itself; an operator's decision is triggered by %s", TriggerOperator)
	}
	d.At, d.LastAt, d.Term, d.LastIndex = s.Now, s.Now, m.Term, d.Index
	if len(b.Orders) > 0 && d.Result != ResultMoved {
		return refuse(CodeWrongState, "decision %s gives orders but says %q", d.ID, d.Result)
	}
	d.Moves = nil
	for _, o := range b.Orders {
		if err := s.order(o, d.ID, m); err != nil {
			return err
		}
		d.Moves = append(d.Moves, o.ID)
	}
	s.record(d)
	return nil
}

// byOperator says whether the decision and its orders are an operator's.
func (b Decide) byOperator() bool {
	return b.Decision.Trigger == TriggerOperator &&
		!slices.ContainsFunc(b.Orders, func(o Order) bool { return o.Trigger != TriggerOperator })
}

func (d *Decision) check(s *State) error {
	switch {
	case d.ID != s.NextDecisionID():
		return refuse(CodeStalePlan, "decision %.40q, the next one is %s", d.ID, s.NextDecisionID())
	case len(d.Proposed)+len(d.Refused) > 2*MaxCandidates || len(d.Counts) > 64:
		return refuse(CodeTooMany, "decision %s has %d candidates", d.ID, len(d.Proposed)+len(d.Refused))
	case len(d.Text) > maxText:
		return refuse(CodeTooMany, "decision %s: text of %d bytes", d.ID, len(d.Text))
	case !slices.Contains([]Result{ResultMoved, ResultRecommended, ResultNothing}, d.Result):
		return refuse(CodeAbsurdFigure, "decision %s: result %.20q", d.ID, d.Result)
	case !d.Input.valid():
		return refuse(CodeAbsurdFigure, "decision %s: input %.80q is no SHA-256", d.ID, d.Input)
	}
	for _, c := range slices.Concat(d.Proposed, d.Refused) {
		if err := c.check(); err != nil {
			return err
		}
	}
	return nil
}

// record keeps a decision, folded into the newest one if it says the same.
func (s *State) record(d Decision) {
	if last, ok := s.decisions.get(s.LastDecision); ok && last.SameOutcome(d) {
		last.Repeated += 1 + max(d.Repeated, 0)
		last.LastAt, last.LastIndex = d.At, d.Index
		last.Text, last.Proposed, last.Refused, last.Counts = d.Text, d.Proposed, d.Refused, d.Counts
		s.decisions = s.decisions.set(s.LastDecision, last)
		return
	}
	s.LastDecision++
	s.decisions = s.decisions.set(s.LastDecision, d)
	if s.decisions.len() > MaxDecisions {
		oldest, _, _ := s.decisions.first()
		s.decisions = s.decisions.without(oldest)
	}
}

// order is the last look before a move exists: everything that Plan checked
// on an older State is checked again on this one.
func (s *State) order(o Order, decision string, m Meta) error {
	if err := s.checkOrder(o, m); err != nil {
		return err
	}
	vm, err := s.movable(o)
	if err != nil {
		return err
	}
	if err := s.checkEnds(o, vm); err != nil {
		return err
	}
	if err := s.checkFit(o, vm); err != nil {
		return err
	}
	if err := s.checkRules(o, vm); err != nil {
		return err
	}
	if o.Trigger == TriggerAuto {
		if err := s.checkAutomatic(o, vm); err != nil {
			return err
		}
	}
	networks := s.networksOf(o)
	s.LastMove++
	move := Move{
		Order: o, Seq: s.LastMove, State: MoveOrdered, Decision: decision, Index: m.Index,
		VMName: vm.Name, MaxMemory: vm.MaxMemory, OrderedAt: s.Now, Copies: s.CopiesOf(o.VM, o.Source),
		Networks: networks, Canary: len(networks) > 0 && s.Tests(s.Trials(), o.Source, o.Target, networks),
	}
	move.ArrivesPaused = !vm.Guarded(move.Copies) && s.Settings.ArrivePaused
	if len(move.Copies) > 0 {
		move.CopyStorage = s.Settings.CopyStorage
	}
	s.store(move)
	s.forgetMoves()
	return nil
}

func (s *State) checkOrder(o Order, m Meta) error {
	switch {
	case o.Term != m.Term:
		return refuse(CodeStaleTerm, "order %s of term %d in an entry of term %d", o.ID, o.Term, m.Term)
	case o.ID != s.NextMoveID(0):
		return refuse(CodeStalePlan, "order %.40q, the next one is %s", o.ID, s.NextMoveID(0))
	case o.DecidedOn >= m.Index:
		return refuse(CodeAbsurdFigure, "order %s was decided on index %d, which lies ahead", o.ID, o.DecidedOn)
	case o.Deadline <= s.Now || o.Deadline.Sub(s.Now) > time.Hour:
		return refuse(CodeDeadlinePassed, "order %s: deadline in %v", o.ID, o.Deadline.Sub(s.Now))
	case o.StartWindow <= 0 || o.StartWindow > time.Hour || o.Budget <= 0 || o.Budget > 7*24*time.Hour:
		return refuse(CodeAbsurdFigure, "order %s: start window %v, budget %v", o.ID, o.StartWindow, o.Budget)
	case len(o.Reason) > maxText || o.Trigger != TriggerAuto && o.Trigger != TriggerOperator:
		return refuse(CodeAbsurdFigure, "order %s: reason of %d bytes, trigger %.20q", o.ID, len(o.Reason), o.Trigger)
	}
	return nil
}

// movable finds the VM and says whether it is in a state to be moved.
func (s *State) movable(o Order) (VM, error) {
	if m, ok := s.LiveMove(o.VM); ok {
		if m.State == MoveUnknown {
			return VM{}, refuse(CodeQuarantined, "VM %s: the outcome of %s is unknown", m.VMName, m.ID)
		}
		return VM{}, refuse(CodeMoveInFlight, "VM %s: %s is %s", m.VMName, m.ID, m.State)
	}
	p, ok := s.places.get(o.VM)
	if !ok || !slices.Contains(p.Hosts, o.Source) {
		return VM{}, refuse(CodeUnknownVM, "VM %.40s is not on %s", o.VM, s.HostName(o.Source))
	}
	if len(p.Hosts) > 1 {
		return VM{}, refuse(CodeDuplicateVM, "VM %s is reported by %d hosts", o.VM, len(p.Hosts))
	}
	h, _ := s.hosts.get(o.Source)
	i := slices.IndexFunc(h.Inventory.VMs, func(v VM) bool { return v.UUID == o.VM })
	if i < 0 {
		return VM{}, refuse(CodeUnknownVM, "VM %s is not in the inventory of %s", o.VM, s.HostName(o.Source))
	}
	vm := h.Inventory.VMs[i]
	switch {
	case vm.Run != RunRunning:
		return VM{}, refuse(CodeNotRunning, "VM %s is %s", vm.Name, vm.Run)
	case vm.Migrating || vm.Incoming:
		return VM{}, refuse(CodeMoveInFlight, "%s", s.JobOf(vm))
	case !vm.Guarded(s.CopiesOf(o.VM, o.Source)) && !s.Settings.MovesUnlocked():
		return VM{}, refuse(CodeNoDiskLock, "VM %s: no disk lock keeps a second copy from running", vm.Name)
	}
	return vm, nil
}

func (s *State) checkEnds(o Order, vm VM) error {
	if o.Source == o.Target {
		return refuse(CodeNoTarget, "VM %s: source and target are both %s", vm.Name, s.HostName(o.Source))
	}
	for _, id := range []string{o.Source, o.Target} {
		h, ok := s.hosts.get(id)
		member, _ := s.members.get(id)
		switch {
		case !ok:
			return refuse(CodeUnknownHost, "%.40s is no hypervisor", id)
		case !h.Fresh(s.Now):
			return refuse(CodeStaleSnapshot, "host %s is silent", member.Name)
		case member.Hold != "":
			return refuse(CodeHeld, "host %s is held: %s", member.Name, member.Hold)
		case member.MigrationPeerURI == "" || member.MigrationURI == "":
			return refuse(CodeNoMigrationPath, "host %s announces no address for migrations", member.Name)
		}
		onHost, inCluster := s.InFlight(id)
		if onHost >= s.Settings.PerHost {
			return refuse(CodeLimitHost, "host %s has %d of %d moves in flight", member.Name, onHost, s.Settings.PerHost)
		}
		if inCluster >= s.Settings.PerCluster {
			return refuse(CodeLimitCluster, "%d of %d moves in flight", inCluster, s.Settings.PerCluster)
		}
	}
	if c, ok := s.Cordoned(o.Target); ok {
		return refuse(CodeCordoned, "host %s was cordoned by %s", s.HostName(o.Target), c.By)
	}
	target, _ := s.hosts.get(o.Target)
	last, _ := target.Last()
	if r := s.Settings.Admit(s.Charge(o.Target).Plus(s.ChargeOf(o.Source, vm)), last.Load.Memory); r != nil {
		return refuse(r.Code, "host %s: %s", s.HostName(o.Target), r.Text)
	}
	return nil
}

// checkRules holds an order against the rules that are for its VM.
func (s *State) checkRules(o Order, vm VM) error {
	ruling := s.RulingOf(vm.UUID, vm.Name)
	for _, r := range []*Refusal{ruling.Stays(vm.UUID, o.Trigger != TriggerAuto), ruling.Forbids(vm.UUID, o.Target)} {
		if r != nil {
			return refuse(r.Code, "VM %s to %s: %s", vm.Name, s.HostName(o.Target), r.Text)
		}
	}
	return nil
}

func (s *State) checkAutomatic(o Order, vm VM) error {
	if s.Mode == ModeRecommend {
		return refuse(CodeModeRecommend, "mode is recommend")
	}
	if held := s.Holding(); held != nil {
		return held
	}
	if o.Code == CodeUndo {
		if err := s.checkUndo(o); err != nil {
			return err
		}
	} else if moved := s.movedAt(o.VM); moved != 0 && s.Now.Sub(moved) < s.Settings.Cooldown {
		return refuse(CodeCooldown, "VM %s moved %v ago, cooldown is %v", o.VM, s.Now.Sub(moved).Round(time.Second), s.Settings.Cooldown)
	}
	for _, r := range []*Refusal{s.PausedPart("", vm.UUID, vm.Name), s.PausedPart(o.Source, "", s.HostName(o.Source)), s.PausedPart(o.Target, "", s.HostName(o.Target))} {
		if r != nil {
			return r
		}
	}
	if r := s.HushSoon(o.Predicted.Duration); r != nil {
		return r
	}
	for _, r := range []*Refusal{s.VMSelected(vm.UUID, vm.Name), s.HostSelected(o.Source), s.HostSelected(o.Target)} {
		if r != nil {
			return r
		}
	}
	for _, r := range []*Refusal{s.VMHush(vm.UUID, vm.Name), s.VMHushSoon(vm.UUID, vm.Name, o.Predicted.Duration)} {
		if r != nil {
			return r
		}
	}
	if r := s.OwnMode(vm.UUID, vm.Name); r != nil {
		return r
	}
	if r := s.Spent(vm.UUID, vm.Name, s.disruption(vm.UUID)); r != nil {
		return r
	}
	if err := s.checkCanary(o); err != nil {
		return err
	}
	if n := s.OrderedSince(s.Now.Add(-time.Hour)); n >= s.Settings.PerHour {
		return refuse(CodeBudget, "%d of %d moves this hour", n, s.Settings.PerHour)
	}
	if n := s.OrderedSince(s.Now.Add(-24 * time.Hour)); n >= s.Settings.PerDay {
		return refuse(CodeBudget, "%d of %d moves this day", n, s.Settings.PerDay)
	}
	if r := s.Failover().Spends(vm.MaxMemory, o.Source, o.Target); r != nil {
		return r
	}
	if skew := s.Skew(); skew > MaxSkew || skew < -MaxSkew {
		return refuse(CodeClockSkew, "the leader's clock is %v off the median of the hosts'", skew.Round(time.Millisecond))
	}
	return nil
}

// movedAt is when a move of ours last brought the VM to where it is. A place is
// forgotten when nobody reports its VM for a moment (a copy of its host's image
// with the same id did so), the moves are not.
func (s *State) movedAt(vm string) Time {
	p, _ := s.places.get(vm)
	at := p.Moved
	for _, m := range s.moves.backward() {
		if m.OrderedAt < s.Now.Add(-s.Settings.Cooldown-24*time.Hour) {
			break
		}
		if m.VM == vm && m.State == MoveDone {
			at = max(at, m.EndedAt)
		}
	}
	for _, f := range s.Foreigns {
		if f.VM == vm {
			at = max(at, f.SeenAt)
		}
	}
	return at
}

// MaxSkew is how far the leader's clock may be off the median of the hosts'
// clocks before it orders nothing.
const MaxSkew = 5 * time.Second

// Skew is the State's time less the median of the fresh hosts' clocks, each
// taken when its newest snapshot was applied; 0 if no host is fresh.
func (s State) Skew() time.Duration {
	var off []time.Duration
	for _, h := range s.hosts.all() {
		if b, ok := h.Last(); ok && h.Fresh(s.Now) {
			off = append(off, b.At.Sub(b.Load.TakenAt))
		}
	}
	if len(off) == 0 {
		return 0
	}
	slices.Sort(off)
	return off[len(off)/2]
}

// store writes a move and keeps the index of live ones with it.
func (s *State) store(m Move) {
	s.moves = s.moves.set(m.Seq, m)
	if m.State.Live() {
		s.live = s.live.set(m.VM, m.Seq)
		return
	}
	// An ended move may still be written to, by Verify, while the VM has a new
	// live one, which is not this one's to end.
	if seq, ok := s.live.get(m.VM); ok && seq == m.Seq {
		s.live = s.live.without(m.VM)
	}
	_, held := s.live.get(m.VM)
	if p, ok := s.places.get(m.VM); ok && len(p.Hosts) == 0 && !held {
		s.places = s.places.without(m.VM)
	}
}

// forgetMoves drops the oldest ended move beyond the bound.
func (s *State) forgetMoves() {
	if s.moves.len() <= MaxMoves {
		return
	}
	for seq, m := range s.moves.all() {
		if !m.State.Live() {
			s.moves = s.moves.without(seq)
			return
		}
	}
}

// disturb notes that a host's figures up to now say nothing about what follows.
func (s *State) disturb(hosts ...string) {
	for _, id := range hosts {
		if h, ok := s.hosts.get(id); ok {
			h.DisturbedAt, h.Excess, h.ExcessSince = s.Now, 0, 0
			s.hosts = s.hosts.set(id, h)
		}
	}
}

func printable(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return string([]rune(text)[:maxText/4])
}
