package cluster

import "slices"

// Limit is the most that a migration's stream may take of the network.
type Limit struct {
	Rate BytesPerSecond `json:"rate"` // 0: libvirt's default, which is no limit
	By   LimitBy        `json:"by"`
}

// LimitBy says where a limit comes from.
type LimitBy string

// The origins; "" for no limit.
const (
	LimitPolicy LimitBy = "policy"      // the setting bandwidth
	LimitSource LimitBy = "source-link" // half of the source's link
	LimitTarget LimitBy = "target-link" // half of the target's link
)

// Limit is what a migration between two hosts may take. Where the policy says
// nothing it is half of the slower link of the two: Raft's, storage's and the
// guests' own traffic mostly go over the same. A link of unknown speed bounds
// nothing.
//
//	10 Gbit/s and 1 Gbit/s: 62.5 MB/s, half of the slower one's 125 MB/s
func (s Settings) Limit(source, target Member) Limit {
	link, by := source.MigrationLink, LimitSource
	if l := target.MigrationLink; l != 0 && (link == 0 || l < link) {
		link, by = l, LimitTarget
	}
	switch {
	case s.Bandwidth != 0:
		return Limit{s.Bandwidth, LimitPolicy}
	case link == 0:
		return Limit{}
	}
	return Limit{max(link/2, BytesPerSecond(MiB)), by}
}

func (l Limit) check(m Move) error {
	known := slices.Contains([]LimitBy{LimitPolicy, LimitSource, LimitTarget}, l.By)
	if l.Rate < 0 || l.Rate > BytesPerSecond(MaxMemory) || known != (l.Rate != 0) || !known && l.By != "" {
		return refuse(CodeAbsurdFigure, "%s: a limit of %d bytes/s by %.20q", m.ID, l.Rate, l.By)
	}
	return nil
}
