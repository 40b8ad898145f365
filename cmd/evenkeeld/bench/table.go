package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// table prints rows of equal length under titles.
func table(title string, columns []string, rows [][]string) {
	fmt.Printf("\n%s\n\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	for _, row := range append([][]string{columns}, rows...) {
		for _, cell := range row {
			fmt.Fprint(w, cell, "\t")
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to stdout
}

// aims are what was aimed at, and what came of it.
type aims [][]string

// add notes an aim; cause is what is known of why it is not met, where it is not.
func (a *aims) add(aim, measured string, met bool, cause string) {
	word := "no"
	if met {
		word, cause = "yes", ""
	}
	*a = append(*a, []string{aim, measured, word, cause})
}

func (a *aims) print() {
	table("Aims", []string{"aim", "measured", "met", "known cause of a no"}, *a)
}

// quantile of sorted or unsorted values; 0 for none.
func quantile[T cmp.Ordered](values []T, q float64) (v T) {
	if len(values) == 0 {
		return v
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// size in powers of 1000, as disks are sold.
func size(bytes float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if bytes < 1000 {
			return fmt.Sprintf("%.3g %s", bytes, unit)
		}
		bytes /= 1000
	}
	return fmt.Sprintf("%.3g TB", bytes)
}
