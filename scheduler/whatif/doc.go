// Package whatif plays the recorded past again under other settings. The
// leader's own code decides at every moment at which a leader could have; what
// was measured stays as it was recorded, except where another placement makes
// it another.
//
//	run, err := whatif.New(whatif.Config{From: from, Lanes: []whatif.Lane{{Name: "then"}, {Name: "what-if", Mode: cluster.ModeAuto}}})
//	err = run.Begin(state)          // the State before the first entry, and again after each gap
//	err = run.Entry(whatif.Entry{}) // each entry of the record, in order
//	report := run.Report()
//
// It reads nothing but what it is given: the same entries give the same report,
// to the byte. DESIGN.md says what is recorded, what is modelled, and what the
// model leaves out.
package whatif
