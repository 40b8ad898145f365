package main

import (
	"path/filepath"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/events"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/journal"
)

// openMemory opens the memory of events, and the journal of what this member
// applies. It holds up nothing: a journal that cannot be opened is done without, and said so.
func (h *host) openMemory() *journal.Journal {
	j := h.openJournal()
	if j == nil { // an interface must not hold a nil pointer
		h.events = events.New(nil)
	} else {
		h.events = events.New(j)
	}
	return j
}

func (h *host) openJournal() *journal.Journal {
	if h.cfg.Journal.Size == 0 {
		return nil
	}
	dir := filepath.Join(h.cfg.StateDir, "history")
	j, err := journal.Open(journal.Config{Dir: dir, Cluster: h.cfg.Cluster.ID, Bytes: int64(h.cfg.Journal.Size), Logger: h.log.With("part", "journal")})
	if err != nil {
		h.log.Error("the past is not remembered: `history` shows only what the State holds, `replay` nothing", "err", err)
		return nil
	}
	return j
}

// remember hands an applied entry to the memory of events and to the journal.
// It is called on the goroutine that applies.
func (h *host) remember(a consensus.Applied) {
	h.events.Take(a)
	if h.memory == nil {
		return
	}
	h.memory.Record(journal.Entry{
		Mark:   journal.Mark{Index: a.Meta.Index, Term: a.Meta.Term, At: a.Command.At},
		Before: a.Before.Index, BeforeTerm: a.Before.Term, Refused: a.Refusal != nil, Data: a.Data,
	}, a.State)
}

func (h *host) closeMemory() error {
	if h.memory == nil {
		return nil
	}
	return h.memory.Close()
}

// recollect is the journal as the API asks it, nil if there is none.
func (h *host) recollect() api.Journal {
	if h.memory == nil {
		return nil
	}
	return h.memory
}
