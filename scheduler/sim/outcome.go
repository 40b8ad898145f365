package sim

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Outcome is what came of a run.
type Outcome struct {
	Scenario string
	Policy   string
	Moves    []Move
	Done     int // moves that ended well
	Bad      int // failed, aborted, unknown, not claimed in time
	// PingPong counts moves that brought a VM back to a host that it had left
	// within a day.
	PingPong int
	// StealPerHour is how many seconds a vCPU waited in an hour, on average.
	StealPerHour time.Duration
	// WorstFirst and WorstLast are the steal of the VM that suffered most in the
	// first and last minute, MeanFirst and MeanLast that of all vCPUs.
	WorstFirst, WorstLast, MeanFirst, MeanLast cluster.Ratio
	// Reaction is the time from the first second in which a VM suffered more
	// than the threshold to the first order; -1 if there was none.
	Reaction      time.Duration
	WorstDowntime time.Duration
	Copied        cluster.Bytes
	Figures
	Why       string    // why nothing moved any more, at the end
	Placement []Placing // at the end
}

// Move is a move that was ordered.
type Move struct {
	At                 time.Duration
	VM, Source, Target string
	State              cluster.MoveState // at the end of the run
	Took, Downtime     time.Duration
	Unknown            bool   // its outcome was unknown for a while
	Why                string // of one that did not end well
	Reason             string
}

// Placing says which VMs a host has.
type Placing struct {
	Host string
	VMs  []string
}

// Story prints a run as it went.
func (o Outcome) Story(out io.Writer) error {
	var b strings.Builder
	for _, m := range o.Moves {
		fmt.Fprintf(&b, "%6s  %s %s->%s %s", m.At.Round(time.Second), m.VM, m.Source, m.Target, m.State)
		if m.State == cluster.MoveDone {
			fmt.Fprintf(&b, " in %v, downtime %v", m.Took.Round(100*time.Millisecond), m.Downtime.Round(time.Millisecond))
			if m.Unknown {
				b.WriteString(", unknown until the ends could say what they saw")
			}
		} else if m.Why != "" {
			fmt.Fprintf(&b, ": %s", m.Why)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "worst steal %v -> %v, mean %v -> %v\n", o.WorstFirst, o.WorstLast, o.MeanFirst, o.MeanLast)
	for _, p := range o.Placement {
		fmt.Fprintf(&b, "%s: %s\n", p.Host, strings.Join(p.VMs, " "))
	}
	if o.Why != "" {
		fmt.Fprintf(&b, "at the end %s\n", o.Why)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// Compare plays a scenario under several policies, each from the same seed.
func Compare(s Scenario, policies ...string) ([]Outcome, error) {
	var out []Outcome
	for _, p := range policies {
		o, err := Run(s, p)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// Table prints outcomes side by side.
func Table(out io.Writer, outcomes []Outcome) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "policy\tmoves\tbad\tping-pong\tsteal s/vCPU/h\tworst first\tworst last\tmean first\tmean last\treaction\tworst downtime\tcopied\t")
	for _, o := range outcomes {
		reaction := "-"
		if o.Reaction >= 0 {
			reaction = o.Reaction.String()
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.0f\t%v\t%v\t%v\t%v\t%s\t%v\t%v\t\n", o.Policy, len(o.Moves), o.Bad, o.PingPong, o.StealPerHour.Seconds(),
			o.WorstFirst, o.WorstLast, o.MeanFirst, o.MeanLast, reaction, o.WorstDowntime.Round(time.Millisecond), o.Copied)
	}
	return t.Flush()
}
