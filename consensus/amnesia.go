package consensus

import "errors"

// errForgot: a voter whose disk was lost is not the voter that it was. It may
// have acknowledged entries that it no longer has, and voted in terms that it no
// longer knows; electing with its voice could lose what was acknowledged.
var errForgot = errors.New("this member's state directory is not the one that the cluster knows it by: the host was installed anew, or the directory was emptied; it takes no part as who it was (`evenkeel cluster add --replace` on another member prints a token with which it joins anew), or put the old directory back")

// blank says whether this member has no log, and never had one in its present
// directory.
func (n *Node) blank() bool { return !n.formed() }

// DiskOf is the data directory by which this member's State knows a member,
// "" if it knows none.
func (n *Node) DiskOf(member string) string {
	state, _ := n.State()
	m, _ := state.Member(member)
	return m.Disk
}

// sameDisk says whether a member that shows a data directory may be the one
// that is known: nothing speaks against it where one of the two says nothing.
func sameDisk(known, shown string) bool { return known == "" || shown == "" || known == shown }

// compare holds this member's directory against the one that another member's
// State knows it by. Who has a log keeps its part: the directory is then the
// one in which that log was built up, whatever it was called before.
func (n *Node) compare(known string) {
	if n.blank() && !sameDisk(known, n.begin.Disk) {
		n.forgotten.Store(true)
	}
}

// recall compares what all peers know.
func (n *Node) recall(answers map[string]answer) {
	for _, a := range answers {
		if a.err == nil {
			n.compare(a.info.Known)
		}
	}
}

// forgot says whether this member has lost its memory.
func (n *Node) forgot() bool { return n.forgotten.Load() }

// allAnswered says whether each of the addresses has answered.
func allAnswered(addrs []string, answers map[string]answer) bool {
	for _, addr := range addrs {
		if a, asked := answers[addr]; !asked || a.err != nil {
			return false
		}
	}
	return true
}
