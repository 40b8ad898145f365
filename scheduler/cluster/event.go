package cluster

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Event is one thing that happened, in words for people and in ids for
// programs. [Events] makes it from an entry of the log, so every replica that
// applies the entry makes the same one: Index and Number name it for ever.
type Event struct {
	Index    uint64    `json:"index"`  // of the entry that it comes from
	Number   int       `json:"number"` // within the entry, from 0
	Term     uint64    `json:"term"`
	At       Time      `json:"at"` // State.Now after the entry
	Kind     EventKind `json:"kind"`
	Severity Severity  `json:"severity"`
	By       Actor     `json:"by,omitzero"` // the operator who asked for it, if one did
	Subjects []Subject `json:"subjects,omitempty"`
	Text     string    `json:"text"` // one sentence, printable
}

// Subject is what an event is about.
type Subject struct {
	Kind SubjectKind `json:"kind"`
	ID   string      `json:"id"`
	Name string      `json:"name,omitempty"` // for people
}

// SubjectKind says what part a subject plays.
type SubjectKind string

// The kinds of subjects.
const (
	SubjectMember   SubjectKind = "member" // hypervisor or witness
	SubjectSource   SubjectKind = "source" // member that a VM leaves
	SubjectTarget   SubjectKind = "target" // member that a VM goes to
	SubjectVM       SubjectKind = "vm"
	SubjectMove     SubjectKind = "move"
	SubjectDecision SubjectKind = "decision"
	SubjectToken    SubjectKind = "token"
)

// Severity says how much an event wants to be looked at.
type Severity string

// The severities, rising.
const (
	SeverityInfo     Severity = "info"     // as it should be
	SeverityWarning  Severity = "warning"  // look at it
	SeverityCritical Severity = "critical" // evenkeel does not go on without an operator
)

// Severities lists all, rising.
func Severities() []Severity { return []Severity{SeverityInfo, SeverityWarning, SeverityCritical} }

// rank orders severities; an unknown one ranks lowest.
func (s Severity) rank() int {
	for i, known := range Severities() {
		if s == known {
			return i
		}
	}
	return -1
}

// Valid says whether s is one of the severities.
func (s Severity) Valid() bool { return s.rank() >= 0 }

// AtLeast says whether s is as severe as o, or more.
func (s Severity) AtLeast(o Severity) bool { return s.rank() >= o.rank() }

// EventKind is the closed list of what can happen.
type EventKind string

// The kinds, in the order of [EventKinds].
const (
	EventLeaderChanged   EventKind = "leader-changed"
	EventModeChanged     EventKind = "mode-changed"
	EventPolicyChanged   EventKind = "policy-changed"
	EventPaused          EventKind = "paused"
	EventPauseEnded      EventKind = "pause-ended"
	EventFreezeSet       EventKind = "freeze-set"
	EventFreezeLifted    EventKind = "freeze-lifted"
	EventLevelRaised     EventKind = "level-raised"
	EventLockTaken       EventKind = "lock-taken"
	EventLockGiven       EventKind = "lock-given"
	EventCertRevoked     EventKind = "certificate-revoked"
	EventHostCordoned    EventKind = "host-cordoned"
	EventHostDrained     EventKind = "host-drained"
	EventHostUncordoned  EventKind = "host-uncordoned"
	EventQuietChanged    EventKind = "quiet-hours-changed"
	EventVMRuled         EventKind = "vm-ruled"
	EventRulesChanged    EventKind = "rules-changed"
	EventVMMovedAway     EventKind = "vm-moved-by-others"
	EventDecisionMade    EventKind = "decision-made"
	EventMoveOrdered     EventKind = "move-ordered"
	EventMoveClaimed     EventKind = "move-claimed"
	EventMoveStarted     EventKind = "move-started"
	EventMoveAbortAsked  EventKind = "move-abort-asked"
	EventMoveDone        EventKind = "move-done"
	EventMoveFailed      EventKind = "move-failed"
	EventMoveAborted     EventKind = "move-aborted"
	EventMoveUnknown     EventKind = "move-unknown"
	EventMoveVetoed      EventKind = "move-vetoed"
	EventMoveExpired     EventKind = "move-expired"
	EventMoveCancelled   EventKind = "move-cancelled"
	EventMoveReleased    EventKind = "move-released"
	EventMoveVerified    EventKind = "move-verified"
	EventMemberJoined    EventKind = "member-joined"
	EventMemberRestarted EventKind = "member-restarted"
	EventMemberRemoved   EventKind = "member-removed"
	EventTokenMade       EventKind = "token-made"
	EventTokenUsed       EventKind = "token-used"
	EventVMDuplicated    EventKind = "vm-duplicated"
	EventVMUnique        EventKind = "vm-unique"
	EventAutostartTwice  EventKind = "autostart-twice"
	EventAutostartOnce   EventKind = "autostart-once"
	EventHostSilent      EventKind = "host-silent"
	EventHostHeard       EventKind = "host-heard"
	EventHostSuffers     EventKind = "host-suffers"
	EventHostRelieved    EventKind = "host-relieved"
	EventProbeLost       EventKind = "probe-lost"
	EventProbeBack       EventKind = "probe-back"
	EventFolded          EventKind = "folded"
)

// EventMeaning is a kind with its usual severity, and what it means.
type EventMeaning struct {
	Kind     EventKind
	Severity Severity
	Means    string
}

// EventKinds lists what can happen. A restart of a member ends what was raised
// about its host: what still holds is raised anew.
var EventKinds = []EventMeaning{
	{EventLeaderChanged, SeverityInfo, "the first entry of a new leader's term"},
	{EventModeChanged, SeverityInfo, "an operator chose another mode"},
	{EventPolicyChanged, SeverityInfo, "an operator changed the shared policy; old and new values are named"},
	{EventPaused, SeverityInfo, "an operator paused automation, or prolonged the pause"},
	{EventPauseEnded, SeverityInfo, "an operator resumed, or the pause expired"},
	{EventFreezeSet, SeverityCritical, "evenkeel stopped itself"},
	{EventFreezeLifted, SeverityInfo, "an operator resumed, or the freeze expired"},
	{EventLevelRaised, SeverityInfo, "an upgrade was finalized"},
	{EventLockTaken, SeverityInfo, "somebody took the cluster's lock"},
	{EventLockGiven, SeverityInfo, "the lock was given back, or taken away"},
	{EventCertRevoked, SeverityWarning, "an operator's certificate is refused from now on"},
	{EventHostCordoned, SeverityInfo, "an operator keeps VMs from coming to a host"},
	{EventHostDrained, SeverityInfo, "an operator has a host's VMs leave"},
	{EventHostUncordoned, SeverityInfo, "VMs may come to a host again"},
	{EventQuietChanged, SeverityInfo, "an operator changed the hours in which evenkeel moves nothing by itself"},
	{EventVMRuled, SeverityInfo, "an operator said what evenkeel may do with a VM by itself"},
	{EventRulesChanged, SeverityInfo, "an operator made, changed or removed rules about where VMs may be or what they are"},
	{EventVMMovedAway, SeverityWarning, "a VM changed its host, and no move of ours explains it"},
	{EventDecisionMade, SeverityInfo, "an evaluation came to another outcome than the last one; repeated outcomes are one decision; a warning if CPUs are short"},
	{EventMoveOrdered, SeverityInfo, "a move was ordered"},
	{EventMoveClaimed, SeverityInfo, "the source was granted the move"},
	{EventMoveStarted, SeverityInfo, "the source calls libvirt"},
	{EventMoveAbortAsked, SeverityWarning, "an operator wants a claimed or running move ended"},
	{EventMoveDone, SeverityInfo, "the VM runs at the target, by both ends' evidence or an operator's word"},
	{EventMoveFailed, SeverityWarning, "the VM still runs at the source"},
	{EventMoveAborted, SeverityWarning, "the same, and the end was asked for"},
	{EventMoveUnknown, SeverityCritical, "nobody knows where the VM runs; it is quarantined until evidence or `evenkeel migrations resolve`"},
	{EventMoveVetoed, SeverityInfo, "source or target refused by its live figures"},
	{EventMoveExpired, SeverityWarning, "nobody claimed the order by its deadline"},
	{EventMoveCancelled, SeverityInfo, "the order was taken back before it was claimed"},
	{EventMoveReleased, SeverityInfo, "the source gave the move back before it began"},
	{EventMoveVerified, SeverityInfo, "what was measured after the move settled; a warning if it got worse, or nothing could be measured"},
	{EventMemberJoined, SeverityInfo, "a member announced itself for the first time"},
	{EventMemberRestarted, SeverityInfo, "a member's daemon started anew; ends what was raised about its host"},
	{EventMemberRemoved, SeverityWarning, "a member was removed, or replaced, and its id is revoked for ever"},
	{EventTokenMade, SeverityInfo, "an operator let a host join"},
	{EventTokenUsed, SeverityInfo, "a host joined with its token"},
	{EventVMDuplicated, SeverityCritical, "several hosts report the VM and no move explains it; it is not touched"},
	{EventVMUnique, SeverityInfo, "that is over"},
	{EventAutostartTwice, SeverityWarning, "libvirt would start a VM with a host although it runs, or is started, on another: a second copy"},
	{EventAutostartOnce, SeverityInfo, "that is over"},
	{EventHostSilent, SeverityWarning, "the host's load snapshots stopped: it is neither source nor target"},
	{EventHostHeard, SeverityInfo, "load snapshots come, for the first time or again"},
	{EventHostSuffers, SeverityWarning, "contention above the threshold has lasted: the host is worth relieving"},
	{EventHostRelieved, SeverityInfo, "that is over, or a move to or from the host begins a new measurement"},
	{EventProbeLost, SeverityWarning, "waits are measured by the kernel's sums, not by eBPF: causes are unknown"},
	{EventProbeBack, SeverityInfo, "they are measured by eBPF again"},
	{EventFolded, SeverityInfo, "further events of the same entry, which are only counted; as severe as the severest of them"},
}

// usual is a kind's severity.
func (k EventKind) usual() Severity {
	for _, m := range EventKinds {
		if m.Kind == k {
			return m.Severity
		}
	}
	panic("event kind " + string(k) + " is not in EventKinds")
}

// Valid says whether k is one of the kinds.
func (k EventKind) Valid() bool {
	for _, m := range EventKinds {
		if m.Kind == k {
			return true
		}
	}
	return false
}

// Key names the event within its cluster, for ever and at every replica.
func (e Event) Key() string { return fmt.Sprintf("%d-%d", e.Index, e.Number) }

// Bounds of events.
const (
	// MaxEvents bounds the events of one entry: a leader that was cut off may
	// find a thousand hosts silent at once.
	MaxEvents = 64
	// MaxEventText bounds the sentence, in bytes.
	MaxEventText = 512
)

// sentence makes a text printable, one line, and short enough.
func sentence(format string, args ...any) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(fmt.Sprintf(format, args...), "?"))
	if len(text) <= MaxEventText {
		return text
	}
	cut := MaxEventText - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
