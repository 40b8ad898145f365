// Package doctor looks whether this host can run evenkeeld, and says of each
// thing that it cannot why and what to do:
//
//	for _, f := range doctor.Examine(ctx, doctor.Patient{ConfigPath: path, Probe: probe}) { ... }
//
// It changes nothing but a few kilobytes in the state folder, which it removes
// again to learn how long the disk takes to sync.
package doctor
