package api

import "time"

// Limits bound how long a request may take. Zero values mean the defaults.
type Limits struct {
	Read   time.Duration // within which the leader should answer a read, before this replica does; default 1 s
	Status time.Duration // the same for a status, which asks the members as well; default 700 ms
	Ask    time.Duration // of one member, for its live counters or its health; default 1 s
	Ping   time.Duration // of one member, whether it is there; default 300 ms
	Act    time.Duration // within which a change is tried again while there is no leader; default 10 s
	Try    time.Duration // of one attempt at a change; default 3 s
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{
		{&l.Read, time.Second},
		// A status must be there within a second, the stale one too.
		{&l.Status, 700 * time.Millisecond},
		{&l.Ping, 300 * time.Millisecond},
		{&l.Ask, time.Second},
		{&l.Act, 10 * time.Second},
		{&l.Try, 3 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return l
}
