// Package events is a member's memory of what happened: a bounded ring of the
// events of the entries that its replica applied, and beyond it the journal.
//
//	memory := events.New(journal)           // nil: the ring only
//	consensus.Config{Publish: memory.Take}  // in order, never blocks
//	page, err := memory.After(ctx, index, 100)
//
// A position is the index of an entry: all events up to it have been seen.
// Positions mean the same at every member, for events are a pure function of
// the log ([cluster.Events]). What neither ring nor journal remembers is named
// as missing, never passed over in silence.
package events
