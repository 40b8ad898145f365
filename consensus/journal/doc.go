// Package journal is a member's memory of the past: the entries that its
// replica applied, and checkpoints of the State, in files of a bounded size.
// [Open] it, hand it what is applied with [Journal.Record], ask it with
// [Journal.Span], [Journal.Entries] and [Journal.StateAt].
//
// It is memory, not truth. Raft's log and snapshots decide what the State is;
// nothing here is ever read back into a replica. So the disk is synced once a
// second at most, a crash may take the last second, and whoever cannot write
// leaves a gap which is counted and named, and never holds up the replica.
//
// A segment is a file of records, each with its length and CRC-32C. It begins
// with whose it is and a checkpoint, so that each stands for itself: the State
// at an index is the checkpoint of the segment that holds it, and the entries
// up to the index. Entries that do not follow on the one before begin a new
// segment. The oldest segments are deleted to stay within the bound.
package journal
