package sim

// Result is an outcome as JSON has it: base units, shares from 0 to 1.
type Result struct {
	Policy         string  `json:"policy"`
	StealPerVMHour float64 `json:"steal_seconds_per_vm_hour"`
	StealP99       float64 `json:"steal_p99_ratio"`
	Moves          int     `json:"moves"`
	Done           int     `json:"moves_done"`
	Bad            int     `json:"moves_failed"`
	Regretted      int     `json:"moves_regretted"`
	PingPong       int     `json:"moves_returned"`
	Copied         int64   `json:"copied_bytes"`
	WorstDowntime  float64 `json:"downtime_worst_seconds"`
	Reserve        float64 `json:"reserve_kept_ratio"`
	Reaction       float64 `json:"reaction_seconds"` // to the first order, -1: none
	Overloads      int     `json:"overloads"`
	Relief         float64 `json:"relief_median_seconds"`
	ReliefP95      float64 `json:"relief_p95_seconds"`
	Overloaded     float64 `json:"overloaded_seconds"`
	Why            string  `json:"still"` // why nothing moves, at the end
	Series         []Mark  `json:"series"`
}

// Mark is an interval of a run as JSON has it.
type Mark struct {
	At    float64 `json:"at_seconds"`
	Steal float64 `json:"steal_ratio"`
	Worst float64 `json:"steal_worst_ratio"`
	Moves int     `json:"moves"`
}

// Result is the outcome for a program to read.
func (o Outcome) Result() Result {
	r := Result{
		Policy: o.Policy, StealPerVMHour: o.StealPerVMHour, StealP99: o.P99.Float(), Moves: len(o.Moves), Done: o.Done, Bad: o.Bad,
		Regretted: o.Regretted, PingPong: o.PingPong, Copied: int64(o.Copied), WorstDowntime: o.WorstDowntime.Seconds(),
		Reserve: o.Reserve.Float(), Reaction: o.Reaction.Seconds(), Overloads: o.Overloads, Relief: o.Relief.Seconds(),
		ReliefP95: o.ReliefP95.Seconds(), Overloaded: o.Overloaded.Seconds(), Why: o.Why, Series: []Mark{},
	}
	if o.Reaction < 0 {
		r.Reaction = -1
	}
	for _, p := range o.Series {
		r.Series = append(r.Series, Mark{p.At.Seconds(), p.Steal.Float(), p.Worst.Float(), p.Moves})
	}
	return r
}
