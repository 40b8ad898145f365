package consensus

import "errors"

// What a Node's methods may answer, beside a [*cluster.Refusal].
var (
	// ErrNotLeader: another member leads, ask it. Nothing was proposed.
	ErrNotLeader = errors.New("this member is not the leader")
	// ErrNoLeader: nobody leads as far as this member knows. Nothing was proposed.
	ErrNoLeader = errors.New("no leader is known")
	// ErrClosed: the node was closed. Nothing was proposed.
	ErrClosed = errors.New("consensus is closed")
	// ErrBusy: the command waited for its turn until the context ended. Nothing
	// was proposed.
	ErrBusy = errors.New("too many commands are waiting")
	// ErrUnknownOutcome: the command was handed to Raft and nothing was heard of
	// it in time, or leadership was lost over it. It may still be applied, or
	// never. Proposing it again under the same ID is safe: State applies an ID
	// once.
	ErrUnknownOutcome = errors.New("the outcome of the command is unknown")
	// ErrInvalid: the command cannot be proposed as it is: it does not encode,
	// is too large, or needs a feature level that the cluster does not have.
	ErrInvalid = errors.New("invalid command")
	// ErrHalted: this replica met an entry that it may not apply and stopped;
	// Health says which.
	ErrHalted = errors.New("this replica has stopped applying")
	// ErrInUse: another process has the data directory.
	ErrInUse = errors.New("another evenkeeld uses this data directory")
	// ErrRevoked: this member was removed from the cluster, another one says.
	ErrRevoked = errors.New("this member was removed from the cluster")
	// ErrQuorum: the cluster that was to be recovered has a leader.
	ErrQuorum = errors.New("the quorum is not lost")
	// ErrNotAdmitted: the leader does not take the member into the Raft group.
	ErrNotAdmitted = errors.New("not admitted to the Raft group")
)
