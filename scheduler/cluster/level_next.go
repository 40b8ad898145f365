//go:build evenkeel_next

package cluster

// This is a next version to upgrade to, for the tests of rolling upgrades
// while there is no release to upgrade from: one command and one field more.
// No build that ships has the tag.

// CurrentLevel is the highest feature level that this binary knows.
const CurrentLevel uint32 = 2

var laterBodies = []Body{Note{}}

// Later are the State's fields that came after level 1.
type Later struct {
	// Note is what an operator wants the others to know.
	Note string `json:"note,omitempty"`
}

// Note leaves a note for the other operators.
type Note struct {
	Text string `json:"text"`
}

func (Note) kind() string    { return "note" }
func (Note) since() uint32   { return 2 }
func (Note) operators() bool { return true }

func (b Note) apply(s *State, _ Meta, _ *Command) error {
	if !printable(b.Text) {
		return refuse(CodeAbsurdFigure, "note of %d bytes is not printable", len(b.Text))
	}
	s.Note = clip(b.Text)
	return nil
}
