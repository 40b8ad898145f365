package cluster

import "time"

// Host is a hypervisor as the State knows it: its member record, its VMs,
// its newest load and what has accumulated. Values are immutable.
type Host struct {
	ID        string    `json:"id"`
	Inventory Inventory `json:"inventory"`
	Seq       uint64    `json:"seq"`   // sequence of the newest snapshot, 0 before the first of an incarnation
	Beats     []Beat    `json:"beats"` // newest last, at most MaxBeats, all of this incarnation

	// Details are the newest that the host sent; they may be older than the
	// newest beat.
	Details   *Details `json:"details,omitempty"`
	DetailsAt Time     `json:"details_at,omitempty"`
	// DetailsSeq is the sequence of the snapshot that brought them, 0 if it was
	// an earlier start's: later ones may amend them.
	DetailsSeq uint64 `json:"details_seq,omitempty"`

	trend trend // see Minutes
	lives lives // see LifeFloor

	// Excess accumulates while the host suffers above the enter threshold; see
	// [Settings.excess]. It is what "sustained" means, it survives a change of
	// leader, and it falls to zero once the host is below the exit threshold.
	Excess      time.Duration `json:"excess"`
	ExcessSince Time          `json:"excess_since,omitempty"`
	// DisturbedAt is when a move to or from the host last began or ended: beats
	// whose window began before it say nothing about the present placement.
	DisturbedAt Time `json:"disturbed_at,omitempty"`

	// Refused is why the last refused snapshot of the host was refused.
	Refused   *Refusal `json:"refused,omitempty"`
	RefusedAt Time     `json:"refused_at,omitempty"`
}

// Beat is a load snapshot as it was accepted.
type Beat struct {
	At   Time `json:"at"` // State.Now when it was applied: ages count from here
	Load Load `json:"load"`
}

// MaxBeats is the length of the ring of snapshots that State keeps per host.
const MaxBeats = 12

// Last returns the newest beat.
func (h Host) Last() (Beat, bool) {
	if len(h.Beats) == 0 {
		return Beat{}, false
	}
	return h.Beats[len(h.Beats)-1], true
}

// MaxSilence bounds how long a host may be silent before it is unknown,
// whatever it promised.
const MaxSilence = 15 * time.Second

// Fresh says whether the host's newest snapshot still stands for the present:
// it does until three promised snapshots have been missed, at most MaxSilence.
func (h Host) Fresh(now Time) bool {
	b, ok := h.Last()
	return ok && now.Sub(b.At) <= min(3*b.Load.NextIn, MaxSilence)
}

// Settled says whether the newest beat measured only the present placement:
// its window began after the last disturbance.
func (h Host) Settled() bool {
	b, ok := h.Last()
	return ok && b.At.Add(-b.Load.Window) >= h.DisturbedAt
}

// accept appends a snapshot and lets the excess grow or vanish.
func (h *Host) accept(snap *Snapshot, now Time, s *State) {
	dt := snap.Load.NextIn
	if last, ok := h.Last(); ok {
		dt = min(max(now.Sub(last.At), 0), MaxSilence)
	}
	beats := make([]Beat, 0, MaxBeats)
	if n := len(h.Beats); n >= MaxBeats {
		beats = append(beats, h.Beats[n-MaxBeats+1:]...)
	} else {
		beats = append(beats, h.Beats...)
	}
	h.Beats = append(beats, Beat{At: now, Load: snap.Load})
	if snap.Details != nil {
		h.Details, h.DetailsAt, h.DetailsSeq = snap.Details, now, snap.Sequence
		h.lives.add(now, snap.Details)
	}
	h.Seq = snap.Sequence
	h.trend.add(now, &snap.Load, dt)
	h.accumulate(now, dt, s)
}

// accumulate judges the newest beat. One that still carries a disturbance
// adds nothing, but forgets nothing either.
func (h *Host) accumulate(now Time, dt time.Duration, s *State) {
	load := h.Beats[len(h.Beats)-1].Load
	pain, set := s.painOf(h.Inventory, load), &s.Settings
	switch {
	case load.Source == SourceNone || pain < set.Exit:
		h.Excess, h.ExcessSince = 0, 0
	case h.Settled():
		add := set.excess(pain, dt)
		if add > 0 && h.Excess == 0 {
			h.ExcessSince = now
		}
		h.Excess = min(h.Excess+add, time.Hour)
	}
}
