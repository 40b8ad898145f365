package cluster

// later is a command that came after feature level 1.
type later interface {
	// since is the level that brought it.
	since() uint32
	// operators says whether an operator may send it.
	operators() bool
}

// Needs is the feature level that brought the command: below it nobody may
// propose it, for members of an older version could not apply it.
func (c Command) Needs() uint32 {
	if l, ok := c.Body.(later); ok {
		return l.since()
	}
	return 1
}

// required is the level that a replica and its State need to apply c.
func (c Command) required() uint32 { return max(c.Level, c.Needs()) }
