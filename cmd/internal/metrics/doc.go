// Package metrics tells Prometheus, and whoever asks after this member's
// health, what it knows: over plain HTTP, and for reading only.
//
//	s, err := metrics.Listen(metrics.Config{Listen: "127.0.0.1:7472", Replica: node, ...})
//	err = s.Run(ctx)
//
// Each scrape looks at the State, the replica's health and this host's live
// counters; between scrapes nothing is kept but counts of what the State forgets in time.
// The names stand in one table, [Catalogue], and in docs/reference/metrics.md.
package metrics
