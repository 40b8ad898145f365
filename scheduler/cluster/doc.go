// Package cluster holds the words that every part of evenkeel speaks: hosts,
// VMs, load snapshots, moves, commands, and the one transition function
// [State.Apply]. A replica, the simulator and the tests all start from
// [New] and apply the same commands in the same order; they end in the same
// [State], byte for byte. The package reads no clock, no randomness, no
// environment and no map order, and computes in integers only: the Go
// compiler fuses floating-point multiply and add on some architectures, and
// replicas on unlike machines would drift apart.
package cluster
