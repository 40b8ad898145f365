package sim

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Compared prints what policies are compared by, side by side.
func Compared(out io.Writer, outcomes []Outcome) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "policy\tsteal s/VM/h\tp99\tmoves\tbad\tregretted\tping-pong\tcopied GiB\tworst downtime\treserve\toverloads\trelief p50\tp95\toverloaded h\t")
	for _, o := range outcomes {
		fmt.Fprintf(t, "%s\t%.2f\t%v\t%d\t%d\t%.1f %%\t%d\t%.0f\t%v\t%v\t%d\t%v\t%v\t%.1f\t\n",
			o.Policy, o.StealPerVMHour, o.P99, len(o.Moves), o.Bad, o.RegrettedShare()*100, o.PingPong,
			float64(o.Copied)/float64(cluster.GiB), o.WorstDowntime.Round(time.Millisecond), o.Reserve,
			o.Overloads, o.Relief, o.ReliefP95, o.Overloaded.Hours())
	}
	return t.Flush()
}
