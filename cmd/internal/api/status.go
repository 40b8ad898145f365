package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Status answers: healthy? acting? what next?
type Status struct {
	Head
	Cluster string       `json:"cluster"`
	Member  string       `json:"member"` // name of the one that answers
	Version string       `json:"version"`
	Lab     bool         `json:"lab"`      // every hypervisor belongs to a test fleet
	Mode    cluster.Mode `json:"mode"`     // off, recommend or auto
	ModeBy  string       `json:"mode_by"`  // who set it, "" for nobody yet
	ModeFor string       `json:"mode_for"` // whom auto is for, "" for all
	Paused  *Pause       `json:"paused"`
	Frozen  *Freeze      `json:"frozen"`
	// Held is why no automatic move may be ordered now, null if one may.
	Held   *Refusal `json:"held"`
	Leader *Ref     `json:"leader"` // null if none is known
	Term   uint64   `json:"term"`
	Quorum Quorum   `json:"quorum"`
	Hosts  Fleet    `json:"hosts"`
	Policy string   `json:"policy"`
	// Reserve is null of one host alone, and while no host could take VMs.
	Reserve *Reserve `json:"reserve"`

	WorstHost *Host `json:"worst_host"` // by pain, of the fresh ones
	WorstVM   *VM   `json:"worst_vm"`   // by pain, on fresh hosts; without live counters

	InFlight     []Move    `json:"in_flight"`
	LastMove     *Move     `json:"last_move"` // newest that is not in flight
	LastDecision *Decision `json:"last_decision"`
	Warnings     []Warning `json:"warnings"`
	Webhooks     []Webhook `json:"webhooks,omitempty"` // that the member which answers is to serve when it leads
}

// Fleet counts hypervisors and VMs.
type Fleet struct {
	Total  int      `json:"total"`
	Fresh  int      `json:"fresh"`
	Silent []string `json:"silent"` // names
	VMs    int      `json:"vms"`
}

// Pause is an operator's stop.
type Pause struct {
	Since  Time   `json:"since"`
	Until  Time   `json:"until"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// Freeze is evenkeel's own stop. Until is null if only an operator lifts it.
type Freeze struct {
	Since Time   `json:"since"`
	Until Time   `json:"until"`
	Cause string `json:"cause"`
}

func statusOf(s cluster.State, now cluster.Time) *Status {
	vms := vmNames(s)
	out := &Status{
		Cluster: s.Cluster, Mode: s.Mode, ModeBy: s.ModeBy, ModeFor: s.Scope.String(), Held: refusalOf(s.Holding()), Term: s.Term, Policy: s.Settings.Policy,
		Lab: allLab(s), InFlight: []Move{}, Warnings: []Warning{},
	}
	if p := s.Paused; p.Until > now {
		out.Paused = &Pause{timeOf(p.Since), timeOf(p.Until), p.By, p.Text}
	}
	if f := s.Frozen; f.Since != 0 && (f.Until == 0 || f.Until > now) {
		out.Frozen = &Freeze{timeOf(f.Since), timeOf(f.Until), f.Cause}
	}
	out.fleet(s, now)
	for m := range s.Live() {
		out.InFlight = append(out.InFlight, moveOf(s, m))
	}
	for _, m := range s.MovesBackward() {
		if !m.State.Live() {
			last := moveOf(s, m)
			out.LastMove = &last
			break
		}
	}
	for _, d := range s.DecisionsBackward() {
		last := decisionOf(s, vms, d)
		out.LastDecision = &last
		break
	}
	s.Now = max(s.Now, now)
	out.Reserve = reserveOf(s.Standing())
	out.warn(s, vms, now)
	return out
}

func (out *Status) fleet(s cluster.State, now cluster.Time) {
	_, out.Hosts.VMs, _, _ = s.Size()
	out.Hosts.Silent = []string{}
	worst := cluster.Ratio(-1)
	for _, h := range s.Hosts() {
		out.Hosts.Total++
		if !h.Fresh(now) {
			out.Hosts.Silent = append(out.Hosts.Silent, s.HostName(h.ID))
			continue
		}
		out.Hosts.Fresh++
		beat, _ := h.Last()
		if pain := beat.Load.Pain(); pain > worst && beat.Load.Source != cluster.SourceNone {
			worst = pain
			host := hostOf(s, h, now)
			out.WorstHost = &host
		}
	}
	slices.Sort(out.Hosts.Silent)
	out.WorstVM = worstVM(s, now)
}

// worstVM looks at every figure once and describes only the winner.
func worstVM(s cluster.State, now cluster.Time) *VM {
	worst, uuid := cluster.Ratio(-1), ""
	for _, h := range s.Hosts() {
		beat, _ := h.Last()
		if !h.Fresh(now) || beat.Load.Source == cluster.SourceNone {
			continue
		}
		for _, l := range beat.Load.VMs {
			vm, known := h.Inventory.BySlot(l.Slot)
			if pain := l.Pain(); known && !vm.Incoming && pain > worst {
				worst, uuid = pain, vm.UUID
			}
		}
	}
	p, ok := s.Place(uuid)
	if !ok {
		return nil
	}
	vm := vmOf(s, uuid, p, now)
	return &vm
}

func (out *Status) warn(s cluster.State, vms names, now cluster.Time) {
	warn := out.warning
	if s.Settings.AllowUnsafe {
		warn(Caution, "evenkeel policy set allow_unsafe=false", "%s", UnsafeWarning)
	}
	if f := out.Frozen; f != nil {
		warn(Alarm, "evenkeel history", "evenkeel froze automation: %s; `evenkeel resume` lifts it", f.Cause)
	}
	if d := out.LastDecision; d != nil && d.Code == cluster.CodeCapacityShort {
		warn(Caution, "evenkeel explain", "CPUs are short, and no move would help: %s", d.Text)
	}
	for _, m := range out.InFlight {
		if m.State == cluster.MoveUnknown {
			warn(Alarm, "evenkeel explain "+m.ID, "the outcome of %s (%s) is unknown: %s", m.ID, m.VM, m.Why)
		}
	}
	for _, m := range s.Members() {
		if m.Hold != "" {
			warn(Caution, "evenkeel hosts", "%s is held by its own word: %s", m.Name, m.Hold)
		}
	}
	out.warnReserve()
	out.warnPauses(s, vms)
	out.warnForeign(s, vms, now)
	out.warnMetas(s, now)
	for _, c := range s.Cordons {
		h, _ := s.Host(c.Host)
		warn(Remark, "evenkeel hosts", "%s is %s", s.HostName(c.Host), cordonOf(s, c.Host).message(residents(h.Inventory)))
	}
	for _, m := range s.MovesBackward() {
		p, _ := s.Place(m.VM)
		if now.Sub(m.OrderedAt) > 2*24*time.Hour {
			break
		}
		if m.Verdict == cluster.VerdictWorse && m.Code != cluster.CodeUndo && now.Sub(m.VerifiedAt) < 24*time.Hour && slices.Equal(p.Hosts, []string{m.Target}) {
			warn(Caution, fmt.Sprintf("evenkeel migrate %s %s --reason 'undo %s'", m.VMName, s.HostName(m.Source), m.ID), "%s made %s worse: %s", m.ID, m.VMName, m.Why)
		}
	}
	if len(out.Hosts.Silent) > 0 {
		warn(Caution, "evenkeel hosts", "silent, so neither source nor target: %s", strings.Join(out.Hosts.Silent, ", "))
	}
	for id, p := range s.Places() {
		if _, moving := s.LiveMove(id); len(p.Hosts) > 1 && !moving {
			warn(Alarm, "evenkeel vms show "+id, "VM %s is reported by %s", vms.of(id), strings.Join(hostNames(s, p.Hosts), " and "))
		}
	}
	for w := range s.TwiceStarted() {
		warn(Alarm, "evenkeel vms show "+w.VM, "libvirt at %s would start VM %s with that host, though %s has it, too: `virsh autostart --disable %s` there", s.HostName(w.Host), vms.of(w.VM), s.HostName(w.Other), w.VM)
	}
	for _, h := range s.Hosts() {
		if beat, ok := h.Last(); ok && h.Fresh(now) && !beat.Load.Source.Causes() {
			warn(Remark, "evenkeel doctor", "%s measures by %s, not by eBPF", s.HostName(h.ID), beat.Load.Source)
		}
		if beat, ok := h.Last(); ok && h.Fresh(now) && beat.Load.BookError > bookAlarm {
			warn(Remark, "evenkeel explain "+s.HostName(h.ID), "what %s measures is %.2f %% off the kernel's own accounts", s.HostName(h.ID), 100*beat.Load.BookError.Float())
		}
	}
	if skew := s.Skew(); skew > cluster.MaxSkew || skew < -cluster.MaxSkew {
		warn(Alarm, "evenkeel cluster peers", "the leader's clock is %v off the hosts' median: nothing is ordered", skew.Round(time.Millisecond))
	}
}

// bookAlarm is how far a host's books may be off before an operator should
// know (spec: 0.1 %).
const bookAlarm = cluster.Ratio(1000)

// allLab says whether every hypervisor announced itself as part of a test fleet.
func allLab(s cluster.State) bool {
	n := 0
	for _, m := range s.Members() {
		if !m.Lab {
			return false
		}
		n++
	}
	return n > 0
}

// certWarned is how long before its end a certificate is worth a word.
const certWarned = 30 * 24 * time.Hour

// warnCertificates names members whose certificates end soon: nobody speaks to
// them from then on.
func (out *Status) warnCertificates(peers []Peer, now cluster.Time) {
	for _, p := range peers {
		left := p.CertificateExpires.Sub(now.Std())
		if p.CertificateExpires.IsZero() || left > certWarned {
			continue
		}
		rank, next := Caution, "evenkeel certs renew"
		text := fmt.Sprintf("the certificate of %s expires in %d days, at %s", p.Name, int(left/(24*time.Hour)), p.CertificateExpires.Format(time.RFC3339))
		if left <= 0 {
			rank, next = Alarm, "evenkeel certs host --help"
			text = fmt.Sprintf("the certificate of %s expired at %s", p.Name, p.CertificateExpires.Format(time.RFC3339))
		}
		out.warning(rank, next, "%s", text)
	}
}

// warnQuorum is about members, who were asked just now.
func (out *Status) warnQuorum(peers []Peer) {
	q := out.Quorum
	if q.Voters > 1 && q.Answering < q.Voters {
		rank := Caution
		if q.Answering <= q.Needed {
			rank = Alarm // the next one stops all decisions, or they have stopped
		}
		out.warning(rank, "evenkeel cluster peers", "%d of %d voters answer, %d are needed", q.Answering, q.Voters, q.Needed)
	}
	for _, p := range peers {
		if p.Unfit || p.StalledSeconds > 0 {
			out.warning(Caution, "evenkeel cluster peers", "%s: %s", p.Name, p.Message)
		}
	}
}
