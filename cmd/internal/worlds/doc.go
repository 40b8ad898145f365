// Package worlds has only tests: whole fleets in virtual time. Run them with
//
//	go test ./cmd/internal/worlds                     # a handful of seeds
//	EVENKEEL_SEEDS=100 go test ./cmd/internal/worlds  # more
//	go test ./cmd/internal/worlds -run Worlds -seed 7 # that one
//
// The replicas, the State, the leader's loop and the agents' executors with
// their journals are the real ones. Disks, lines, clocks and hypervisors are
// made here, because these have to freeze, break, lie and hang at will, and
// because somebody has to know the truth that the laws are held against.
package worlds
