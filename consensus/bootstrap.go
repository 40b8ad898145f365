package consensus

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// errHaveCluster: there is a cluster, join it.
var errHaveCluster = errors.New("a cluster exists")

// found decides whether a member without Raft state may found a cluster, and
// with whom. Answers are what the founders said, by the addresses of its own
// configuration. It is a pure function of them, so that two members which
// found the same cluster found it with the same voters in the same order.
//
// Why a fixed list instead of the first N that answer: with four members and
// N = 2 two pairs that cannot see each other would found two clusters. Why all
// must answer: one that is silent may hold a cluster's memory.
func found(self PeerInfo, answers map[string]answer) ([]Voter, error) {
	if len(self.Founders) == 0 {
		return nil, errors.New("cluster.bootstrapExpect is 0: waiting for a cluster to join")
	}
	voters := make([]Voter, 0, len(self.Founders))
	for _, addr := range self.Founders {
		a, asked := answers[addr]
		switch {
		case !asked:
			return nil, fmt.Errorf("founder %s was not asked yet", addr)
		case a.err != nil:
			return nil, fmt.Errorf("founder %s does not answer: %w", addr, a.err)
		case a.info.Formed:
			return nil, fmt.Errorf("%w at %s", errHaveCluster, addr)
		case !slices.Equal(a.info.Founders, self.Founders):
			return nil, fmt.Errorf("%s would found a cluster of %v, this member one of %v: the first bootstrapExpect entries of cluster.peers must be the same everywhere, in the same order", addr, a.info.Founders, self.Founders)
		}
		voters = append(voters, Voter{a.info.Member, a.info.Address})
	}
	slices.SortFunc(voters, func(a, b Voter) int { return cmp.Compare(a.Member, b.Member) })
	for i, v := range voters[1:] {
		if v.Member == voters[i].Member {
			return nil, fmt.Errorf("member %s answers at %s and at %s: every member needs an id and a certificate of its own", v.Member, voters[i].Address, v.Address)
		}
	}
	if !slices.Contains(voters, Voter{self.Member, self.Address}) {
		return nil, fmt.Errorf("this member is no founder (%v): waiting for them", self.Founders)
	}
	return voters, nil
}
