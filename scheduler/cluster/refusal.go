package cluster

import (
	"errors"
	"fmt"
)

// Code is the closed list of reasons for which evenkeel does not do a thing.
// The same word is the JSON field, the metric's label and the docs' anchor.
type Code string

// The codes, in the order in which docs/refusals.md explains them.
const (
	CodeModeOff          Code = "MODE_OFF"           // automation is off
	CodeModeRecommend    Code = "MODE_RECOMMEND"     // evenkeel recommends, and moves nothing
	CodePaused           Code = "PAUSED"             // an operator paused automation
	CodeQuietHours       Code = "QUIET_HOURS"        // an operator wants nothing moved at this hour
	CodeFrozen           Code = "FROZEN"             // evenkeel froze itself; `evenkeel resume` lifts it
	CodeBelowThreshold   Code = "BELOW_THRESHOLD"    // no host suffers more than the enter threshold
	CodeNotSustained     Code = "NOT_SUSTAINED"      // the excess has not lasted long enough yet
	CodeWarmUp           Code = "WARM_UP"            // a new leader watches before it decides
	CodeStaleSnapshot    Code = "STALE_SNAPSHOT"     // no fresh load snapshot: the host is unknown
	CodePoorQuality      Code = "POOR_QUALITY"       // the host's figures do not balance or lost events
	CodeDisturbed        Code = "DISTURBED"          // figures still carry a move or a boot
	CodeUnknownHost      Code = "UNKNOWN_HOST"       // no such member, or it holds no VMs
	CodeUnknownVM        Code = "UNKNOWN_VM"         // no such VM, or it is not where the command says
	CodeNotRunning       Code = "NOT_RUNNING"        // the VM is paused or stopping
	CodeMoveInFlight     Code = "MOVE_IN_FLIGHT"     // the VM has a live move, or a job that is not ours
	CodeQuarantined      Code = "QUARANTINED"        // an earlier move's outcome is unknown
	CodeDuplicateVM      Code = "DUPLICATE_VM"       // two hosts report the VM
	CodeLimitHost        Code = "LIMIT_HOST"         // moves in flight on the host are at their limit
	CodeLimitCluster     Code = "LIMIT_CLUSTER"      // moves in flight in the cluster are at their limit
	CodeBudget           Code = "BUDGET"             // the hour's or day's moves are spent
	CodeCooldown         Code = "COOLDOWN"           // the VM moved a short while ago
	CodeNoHeadroom       Code = "NO_HEADROOM"        // memory does not fit
	CodeFailoverReserve  Code = "FAILOVER_RESERVE"   // the VMs of a lost host would find no room
	CodeNoTarget         Code = "NO_TARGET"          // no other known host
	CodeGainBelowCost    Code = "GAIN_BELOW_COST"    // the predicted relief does not pay for the move
	CodeWouldNotHelp     Code = "WOULD_NOT_HELP"     // the worst predicted contention would not fall
	CodeCapacityShort    Code = "CAPACITY_SHORT"     // all known hosts together have too few CPUs
	CodeGapTooSmall      Code = "GAP_TOO_SMALL"      // half-difference, pairwise-random: no VM smaller than the gap
	CodeNoDiskLock       Code = "NO_DISK_LOCK"       // nothing would stop two copies from writing one disk
	CodeNoMigrationPath  Code = "NO_MIGRATION_PATH"  // an end names no address for migrations
	CodeClockSkew        Code = "CLOCK_SKEW"         // the leader's clock is off the members' median
	CodeStaleTerm        Code = "STALE_TERM"         // ordered in a term that is over
	CodeStalePlan        Code = "STALE_PLAN"         // the world changed since the plan
	CodeDeadlinePassed   Code = "DEADLINE_PASSED"    // too late
	CodeNotReserved      Code = "NOT_RESERVED"       // the target has not agreed
	CodeWrongState       Code = "WRONG_STATE"        // the move's state has no such edge
	CodeNotYours         Code = "NOT_YOURS"          // the sender may not command this
	CodeUnknownMove      Code = "UNKNOWN_MOVE"       // no such move
	CodeStaleSequence    Code = "STALE_SEQUENCE"     // an older or repeated snapshot
	CodeStaleBase        Code = "STALE_BASE"         // a snapshot amends one that is not the newest committed
	CodeOtherDisk        Code = "OTHER_DISK"         // a member announced itself from a state directory that is not the one it had
	CodeStaleIncarnation Code = "STALE_INCARNATION"  // sent by an earlier start of the daemon
	CodeUnknownInventory Code = "UNKNOWN_INVENTORY"  // figures refer to an inventory that was not committed
	CodeAbsurdFigure     Code = "ABSURD_FIGURE"      // negative, huge or contradictory input
	CodeDuplicateName    Code = "DUPLICATE_NAME"     // another member has that name
	CodeWrongCluster     Code = "WRONG_CLUSTER"      // meant for another cluster
	CodeTooMany          Code = "TOO_MANY"           // a bound of the State is reached
	CodeRelieved         Code = "RELIEVED"           // the source no longer suffers (veto by its live figures)
	CodeTargetBusy       Code = "TARGET_BUSY"        // the target suffers itself (veto by its live figures)
	CodeNotReady         Code = "NOT_READY"          // a member has not announced the feature level
	CodeRevoked          Code = "REVOKED"            // the member was removed from the cluster
	CodeUnknownToken     Code = "UNKNOWN_TOKEN"      // no such token for joining
	CodeTokenExpired     Code = "TOKEN_EXPIRED"      // the token's time is over
	CodeTokenUsed        Code = "TOKEN_USED"         // another host has joined with the token
	CodeHasVMs           Code = "HAS_VMS"            // the host still has VMs
	CodeLastVoter        Code = "LAST_VOTER"         // without this member nobody votes
	CodeLocked           Code = "LOCKED"             // somebody else has the cluster's lock
	CodeCordoned         Code = "CORDONED"           // an operator keeps VMs from coming to the host
	CodeHeld             Code = "HELD"               // a file on the host keeps it from giving and taking VMs
	CodeTooLarge         Code = "TOO_LARGE"          // more memory than evenkeel moves by itself
	CodeTooSlow          Code = "TOO_SLOW"           // the migration is predicted to take too long
	CodeNotConverging    Code = "NOT_CONVERGING"     // the VM changes its memory as fast as it can be copied
	CodeHookVeto         Code = "HOOK_VETO"          // the source's pre-move hook said no
	CodeHeldBack         Code = "HELD_BACK"          // the last move of this kind made things worse
	CodeCanary           Code = "CANARY"             // the first move on a path is made alone, and must show that its VM lives on
	CodeNotSelected      Code = "NOT_SELECTED"       // mode auto is not for the VM or host
	CodeVMMode           Code = "VM_MODE"            // an operator said what may be done with the VM
	CodeVMBudget         Code = "VM_BUDGET"          // the VM has borne its moves or its downtime of the day
	CodeDrain            Code = "DRAIN"              // moved because an operator drains its host
	CodeRestore          Code = "RESTORE"            // moved back to the host that was drained of it
	CodeMakesRoom        Code = "MAKES_ROOM"         // moved so that another VM finds room
	CodeUndo             Code = "UNDO"               // moved back, or to be moved back, for its move made things worse
	CodeRuleAffinity     Code = "RULE_AFFINITY"      // a rule keeps the VM together with others
	CodeRuleAntiAffinity Code = "RULE_ANTI_AFFINITY" // a rule keeps the VM apart from others
	CodeRuleSpread       Code = "RULE_SPREAD"        // a rule spreads VMs over zones
	CodeRulePin          Code = "RULE_PIN"           // a rule lets the VM be on some hosts only
	CodeRuleIgnore       Code = "RULE_IGNORE"        // a rule keeps the VM where it is
	CodeUnknownRule      Code = "UNKNOWN_RULE"       // no such rule
)

// Refusal is the answer to a command that the State did not take. It is a
// result like any other: every replica computes the same one.
type Refusal struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
	Rule string `json:"rule,omitempty"` // id of the operators' rule that it is for
}

func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Text }

// Late says that a command was refused because the State or its term had moved
// on since it was made: made anew it may be taken, and nothing was done.
func (c Code) Late() bool { return c == CodeStaleTerm || c == CodeStalePlan }

// RefusalOf returns the refusal inside err, or nil.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	errors.As(err, &r)
	return r
}

func refuse(code Code, format string, args ...any) error { return refusal(code, format, args...) }

func refusal(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// ErrFeatureLevel means that a command needs a feature level above the
// State's or this binary's. A replica that meets it must stop applying:
// skipping the command would fork the State.
var ErrFeatureLevel = errors.New("command above the feature level of this replica")
